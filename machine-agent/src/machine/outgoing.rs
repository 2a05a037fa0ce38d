//! What the agent says: heartbeats, receipts, reports.
//!
//! Everything is said again, more and more slowly, until a certified frame
//! shows that the federation has applied it. A request id is the digest of
//! what is said and of its expiry, so saying it again is the same action.

use dctrl_proto::action::Payload;
use dctrl_proto::v1::{ActionBody, MachineHeartbeat, MachineReceipt, MachineReport, SignedAction};
use prost::Message;
use ring::digest::{SHA256, digest};

use super::durable::REPORTS_MAX;
use super::time::NONCES_MAX;
use super::{Effect, Machine, Record, Report, Sending, Stage, TimeBase};
use crate::clock::Now;

/// A heartbeat that is older is of no use.
const HEARTBEAT_LIFE_MS: u64 = 60_000;
/// An acceptance is overtaken by the receipt.
pub(super) const ACCEPT_LIFE_MS: u64 = 60_000;
/// A receipt and a report stay true for ever, but the ledger lets an action
/// live 24 h; the agent's idea of consensus time may be ahead, hence the hour.
pub(super) const RECEIPT_LIFE_MS: u64 = 23 * 3_600_000;
/// A receipt this near to its expiry is signed again.
const RESIGN_MS: u64 = 60_000;

/// Longest reason or detail that the ledger takes, bytes.
const TEXT_BYTES_MAX: usize = 200;

/// Least pause between heartbeats, whatever asks for one.
const BEAT_PAUSE_MS: u64 = 1_000;
/// First and longest pause before something is said again.
const RETRY_MS: u64 = 1_000;
const RETRY_MS_MAX: u64 = 30_000;

/// When the next heartbeat is due.
#[derive(Debug, Default)]
pub(super) struct Beat {
    last_ms: Option<u64>,
    wanted: bool,
}

impl Beat {
    /// Asks for one as soon as the pause allows.
    pub(super) fn now(&mut self) {
        self.wanted = true;
    }

    /// Forgets the pause; for what happens once in an incarnation.
    pub(super) fn at_once(&mut self) {
        *self = Self::default();
    }

    /// Whether one shall go out before its time.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted || self.last_ms.is_none()
    }

    fn due(&self, now: Now, every_ms: u64) -> bool {
        let Some(last) = self.last_ms else {
            return true;
        };
        let pause = if self.wanted { BEAT_PAUSE_MS } else { every_ms };
        now.boot_ms >= last + pause
    }
}

/// When something is said again.
#[derive(Debug, Default)]
pub(super) struct Retry {
    due_ms: u64,
    pause_ms: u64,
}

impl Retry {
    /// At once, and then from the shortest pause on.
    pub(super) fn now(&mut self) {
        *self = Self::default();
    }

    /// Whether it was said before, to no avail so far.
    fn is_again(&self) -> bool {
        self.pause_ms > 0
    }

    fn take(&mut self, now: Now) -> bool {
        if now.boot_ms < self.due_ms {
            return false;
        }
        let pause = self.pause_ms.max(RETRY_MS);
        self.due_ms = now.boot_ms + pause;
        self.pause_ms = (pause * 2).min(RETRY_MS_MAX);
        true
    }
}

impl Machine {
    /// Signs an action that lives `life_ms`; returns it with its expiry.
    pub(super) fn sign<P: Payload>(
        &self,
        now: Now,
        life_ms: u64,
        payload: &P,
    ) -> (SignedAction, u64) {
        let expires_at_ms = self.action_time(now) + life_ms;
        let said = [
            b"dctrl/agent-request/1\0".as_slice(),
            P::NAME.as_bytes(),
            &expires_at_ms.to_be_bytes(),
            &payload.encode_to_vec(),
        ]
        .concat();
        let mut request_id = [0; 16];
        request_id.copy_from_slice(&digest(&SHA256, &said).as_ref()[..16]);
        let action =
            self.identity
                .sign_action(&self.facts.cluster, request_id, expires_at_ms, payload);
        (action, expires_at_ms)
    }

    /// Whether a receipt or report that expires then can still be applied: not
    /// too late, and not signed by a wall clock that was far ahead, which the
    /// ledger refuses until that time is near.
    fn is_good(&self, now: Now, expires_at_ms: u64) -> bool {
        let time_ms = self.action_time(now);
        (time_ms + RESIGN_MS + 1..=time_ms + RECEIPT_LIFE_MS + RESIGN_MS).contains(&expires_at_ms)
    }

    pub(super) fn send(&mut self, name: &'static str, action: SignedAction, out: &mut Vec<Effect>) {
        self.send_by(name, action, false, out);
    }

    fn send_by(
        &mut self,
        name: &'static str,
        action: SignedAction,
        another: bool,
        out: &mut Vec<Effect>,
    ) {
        out.push(Effect::Send(Sending {
            name,
            action,
            another,
        }));
    }

    /// Says that the machine lives, and asks for the time.
    pub(super) fn beat(&mut self, now: Now, out: &mut Vec<Effect>) {
        let incarnation = match &self.durable.life {
            Some(life) => life.incarnation,
            // Says under the lost incarnation that it is lost.
            None if self.lost => self.orders_of,
            None => return,
        };
        if !self.beat.due(now, self.facts.heartbeat_ms) {
            return;
        }
        // The beat before this one brought no beacon.
        let another = self.beat.last_ms.is_some_and(|last| {
            let answered = |time: TimeBase| time.sent_boot_ms >= last;
            !self.time.is_some_and(answered)
        });
        self.beat = Beat {
            last_ms: Some(now.boot_ms),
            wanted: false,
        };
        let nonce = self.fresh_nonce(now);
        let not_ready = self.not_ready();
        let heartbeat = MachineHeartbeat {
            machine_id: self.facts.machine_id.clone(),
            incarnation,
            nonce,
            ready: not_ready.is_none(),
            detail: shortened(&not_ready.unwrap_or_default()),
        };
        let (action, _) = self.sign(now, HEARTBEAT_LIFE_MS, &heartbeat);
        self.send_by("machine.heartbeat", action, another, out);
    }

    fn fresh_nonce(&mut self, now: Now) -> Vec<u8> {
        self.nonce_count += 1;
        let seed = [
            self.facts.nonce_seed.as_slice(),
            &self.nonce_count.to_be_bytes(),
        ]
        .concat();
        let nonce = digest(&SHA256, &seed).as_ref()[..16].to_vec();
        if self.nonces.len() >= NONCES_MAX {
            self.nonces.pop_front();
        }
        self.nonces.push_back((nonce.clone(), now.boot_ms));
        nonce
    }

    /// Sends the oldest receipt that is not known to be applied.
    pub(super) fn send_receipt(&mut self, now: Now, out: &mut Vec<Effect>) {
        let Some(first) = self.durable.receipts.front() else {
            return;
        };
        let another = self.receipt_retry.is_again();
        if self.caught_up.is_none() || !self.receipt_retry.take(now) {
            return;
        }
        let mut receipt = first.receipt.clone();
        let void = !self.is_good(now, first.expires_at_ms);
        if void && let Some(payload) = receipt_of(&receipt) {
            let (again, expires_at_ms) = self.sign(now, RECEIPT_LIFE_MS, &payload);
            receipt = again.clone();
            let record = Record::Resigned {
                receipt: again,
                expires_at_ms,
            };
            self.append(record, out);
        }
        self.send_by("machine.receipt", receipt, another, out);
    }

    /// A certified frame names the last receipt that was applied.
    pub(super) fn on_applied(&mut self, receipt_hash: &[u8], out: &mut Vec<Effect>) {
        let waiting = self
            .durable
            .receipts
            .iter()
            .find(|one| one.receipt_hash == receipt_hash);
        if let Some(one) = waiting {
            let receipt_hash = one.receipt_hash;
            self.append(Record::Applied { receipt_hash }, out);
            self.receipt_retry.now();
        }
    }

    pub(super) fn on_sensed(&mut self, report: Report, out: &mut Vec<Effect>) {
        if self.durable.reports.len() >= REPORTS_MAX {
            out.push(Effect::Alarm(format!(
                "{REPORTS_MAX} sensor reports wait: one of {:?} is dropped",
                report.sensor
            )));
            return;
        }
        self.append(Record::Sensed(report), out);
    }

    /// Sends the first report that the federation does not know.
    pub(super) fn send_report(&mut self, now: Now, out: &mut Vec<Effect>) {
        let (Some(life), Some(report)) = (&self.durable.life, self.durable.reports.front()) else {
            return;
        };
        // A vend goes first: its clock is running.
        let busy = !matches!(self.durable.stage, Stage::Idle);
        let another = self.report_retry.is_again();
        if busy || self.caught_up.is_none() || !self.report_retry.take(now) {
            return;
        }
        let number = self.durable.reports_done + 1;
        let fresh = |(sent, expires_at_ms, action): &(u64, u64, SignedAction)| {
            (*sent == number && self.is_good(now, *expires_at_ms)).then(|| action.clone())
        };
        let action = match self.report_in_flight.as_ref().and_then(fresh) {
            Some(action) => action,
            None => {
                let payload = MachineReport {
                    machine_id: self.facts.machine_id.clone(),
                    incarnation: life.incarnation,
                    number,
                    sensor: report.sensor.clone(),
                    value: report.value,
                    observed_at_ms: report.observed_at_ms,
                };
                let (action, expires_at_ms) = self.sign(now, RECEIPT_LIFE_MS, &payload);
                self.report_in_flight = Some((number, expires_at_ms, action.clone()));
                action
            }
        };
        self.send_by("machine.report", action, another, out);
    }

    /// A certified frame shows how far the reports have come.
    pub(super) fn on_reported(&mut self, incarnation: u32, number: u64, out: &mut Vec<Effect>) {
        let ours = self
            .durable
            .life
            .as_ref()
            .is_some_and(|life| life.incarnation == incarnation);
        if ours && number > self.durable.reports_done && !self.durable.reports.is_empty() {
            self.append(Record::Forwarded { number }, out);
            self.report_retry.now();
        }
    }
}

/// A text that the ledger takes: an operating system's message may be longer
/// or hold control characters.
pub(super) fn shortened(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    text.replace(char::is_control, " ")
}

fn receipt_of(action: &SignedAction) -> Option<MachineReceipt> {
    let body = ActionBody::decode(action.body.as_slice()).ok()?;
    MachineReceipt::decode(body.payload.as_slice()).ok()
}
