//! What the agent decides: a pure state machine.
//!
//! ```text
//! IDLE -certified, next in sequence, not expired, ready-> ARMED -synced-> FIRING -synced-> [pulse]
//!      -sensor-> settled as DISPENSED | FAILED, or as UNKNOWN -synced-> signed receipt -> IDLE
//! boot in ARMED : no pulse yet; checked afresh, then continued or settled as EXPIRED
//! boot in FIRING: never pulsed again; a latched sensor decides, else UNKNOWN
//! an order older than the journal: LOST, nothing fires until the machine is reset
//! an order by a roster that has a successor: never armed, settled as EXPIRED
//! an order in blocks that the nodes have forgotten: never seen, never carried out
//! ```
//!
//! [`Machine::step`] takes what happened and returns what to do, in order. A
//! record is synced before the effects that follow it are performed; a failed
//! sync ends the process. Frames that come in are already certified.
//!
//! Deliberately absent: clocks, disks, sockets and randomness.

mod begin;
mod durable;
mod orders;
mod outgoing;
mod rejoin;
mod time;
mod vend;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use dctrl_access::Identity;
use dctrl_follow::{Position, Verified};
use dctrl_proto::v1::bus_body::Event;
use dctrl_proto::v1::{self, Outcome, SignedAction};

use crate::clock::Now;

pub use durable::{
    Begin, Durable, Life, OrderInHand, Place, Record, Report, SettledOrder, Skip, Stage,
};
pub use time::{TimeBase, drifted};

use outgoing::{Beat, Retry};

/// Orders that are held until they can be looked at.
const PENDING_MAX: usize = 8;
/// Conflicting orders that are kept as evidence in one run.
const EVIDENCE_MAX: usize = 64;

/// What the agent knows of itself.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Identity of the federation.
    pub cluster: [u8; 32],
    /// The machine's id.
    pub machine_id: String,
    /// The slots that may be pulsed: line and length.
    pub slots: BTreeMap<String, SlotLine>,
    /// Least pause between the ends of two pulses, milliseconds.
    pub spacing_ms: u64,
    /// Pause between heartbeats, milliseconds.
    pub heartbeat_ms: u64,
    /// Unpredictable bytes of this run, from which nonces are made.
    pub nonce_seed: [u8; 32],
}

/// Which line a slot hangs on, and how long it is pulsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotLine {
    /// Offset of the line on the chip.
    pub line: u32,
    /// Length of the pulse, milliseconds.
    pub pulse_ms: u32,
}

/// One pulse that is to be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulse {
    /// The slot.
    pub slot: String,
    /// Its line.
    pub line: u32,
    /// Length, milliseconds.
    pub pulse_ms: u32,
    /// The order it carries out.
    pub sequence: u64,
    /// The machine's incarnation.
    pub incarnation: u32,
}

/// How a pulse ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulseEnd {
    /// DISPENSED, FAILED or UNKNOWN.
    pub outcome: Outcome,
    /// Why, for people; empty where all went well.
    pub reason: String,
    /// Pulses that the line saw.
    pub pulses: u32,
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// A certified frame of one of the machine's topics.
    Frame(Box<Verified>),
    /// Everything up to here has been handed in as frames, or was skipped.
    CaughtUp(Position),
    /// A quorum of nodes has forgotten what stands up to here and was not handed
    /// in; what follows comes.
    Skipped(Position),
    /// The result of the actuator's self-test.
    Ready(Result<(), String>),
    /// The end of the pulse that [`Effect::Pulse`] asked for.
    Pulsed(PulseEnd),
    /// What a latched drop sensor says, where there is one.
    Latched(Option<bool>),
    /// A debounced change of a sensor.
    Sensed(Report),
    /// Nothing but time.
    Tick,
}

/// What to do, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Append to the journal and sync, before anything that follows.
    Append(Box<Record>),
    /// Hand to a node's door; may be lost, is repeated.
    Send(Sending),
    /// Pulse a line once and answer [`Input::Pulsed`].
    Pulse(Pulse),
    /// Ask a latched drop sensor and answer [`Input::Latched`].
    ReadLatch,
    /// Step again at once.
    Again,
    /// Keep two certified orders that contradict each other.
    Evidence(Box<(OrderInHand, OrderInHand)>),
    /// Tell people.
    Alarm(String),
}

/// An action on its way, with what it is for.
#[derive(Debug, Clone, PartialEq)]
pub struct Sending {
    /// Such as `machine.receipt`.
    pub name: &'static str,
    /// The action.
    pub action: SignedAction,
    /// What was said before had no effect yet: the node that took it may not
    /// have passed it on, so another one is asked.
    pub another: bool,
}

/// The agent's decisions and what they rest on.
pub struct Machine {
    facts: Facts,
    identity: Arc<Identity>,
    durable: Durable,
    time: Option<TimeBase>,
    /// Highest consensus time of any frame: consensus is not before it.
    floor_ms: u64,
    nonces: VecDeque<(Vec<u8>, u64)>,
    nonce_count: u64,
    beat: Beat,
    pending: BTreeMap<(u32, u64), OrderInHand>,
    /// Highest incarnation of an order seen in this run.
    orders_of: u32,
    /// Sequence and time of issue of the oldest order that came before the
    /// first beacon of its incarnation.
    oldest_issue: Option<(u64, u64)>,
    caught_up: Option<Position>,
    /// How the machine is, and where that was told.
    status: Option<(Position, v1::Machine)>,
    readiness: Result<(), String>,
    lost: bool,
    latch_wanted: bool,
    pulse_end_ms: Option<u64>,
    receipt_retry: Retry,
    report_retry: Retry,
    report_in_flight: Option<(u64, u64, SignedAction)>,
    accused: BTreeSet<[u8; 32]>,
}

impl Machine {
    /// The state machine after a start, with what the journal remembers.
    #[must_use]
    pub fn new(facts: Facts, identity: Arc<Identity>, durable: Durable) -> Self {
        Self {
            latch_wanted: matches!(durable.stage, Stage::Firing(_)),
            facts,
            identity,
            durable,
            time: None,
            floor_ms: 0,
            nonces: VecDeque::new(),
            nonce_count: 0,
            beat: Beat::default(),
            pending: BTreeMap::new(),
            orders_of: 0,
            oldest_issue: None,
            caught_up: None,
            status: None,
            readiness: Err("the self-test has not run yet".to_owned()),
            lost: false,
            pulse_end_ms: None,
            receipt_retry: Retry::default(),
            report_retry: Retry::default(),
            report_in_flight: None,
            accused: BTreeSet::new(),
        }
    }

    /// What the journal must remember.
    #[must_use]
    pub fn durable(&self) -> &Durable {
        &self.durable
    }

    /// Why the machine cannot vend now, for people.
    #[must_use]
    pub fn not_ready(&self) -> Option<String> {
        if self.is_lost() {
            return Some("the journal of this incarnation is lost; reset the machine".to_owned());
        }
        if let Some(reason) = self.not_rejoined() {
            return Some(reason);
        }
        if self.begin() == Begin::Awaited {
            return Some("the first beacon of this incarnation has not come yet".to_owned());
        }
        if self.has_hole() {
            return Some("an order before the newest one never came".to_owned());
        }
        self.readiness.clone().err()
    }

    /// Whether nothing is to be done within half a second unless something
    /// happens: there is no order in hand, and nothing is to be said at once.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        matches!(self.durable.stage, Stage::Idle)
            && self.pending.is_empty()
            && !self.beat.is_wanted()
    }

    /// Takes in what happened and says what to do.
    pub fn step(&mut self, now: Now, input: Input) -> Vec<Effect> {
        let mut out = Vec::new();
        match input {
            Input::Frame(frame) => self.on_frame(*frame, &mut out),
            Input::CaughtUp(position) => self.caught_up = Some(position),
            Input::Skipped(to) => self.on_skipped(to, &mut out),
            Input::Ready(result) => self.on_ready(result),
            Input::Pulsed(end) => self.on_pulsed(now, end, &mut out),
            Input::Latched(latch) => self.on_latched(now, latch, &mut out),
            Input::Sensed(report) => self.on_sensed(report, &mut out),
            Input::Tick => {}
        }
        self.advance(now, &mut out);
        out
    }

    /// Journals a report and decides nothing: for the moment of a stop.
    pub fn keep(&mut self, report: Report) -> Vec<Effect> {
        let mut out = Vec::new();
        self.on_sensed(report, &mut out);
        out
    }

    fn advance(&mut self, now: Now, out: &mut Vec<Effect>) {
        if std::mem::take(&mut self.latch_wanted) {
            out.push(Effect::ReadLatch);
        }
        self.adopt(out);
        self.rejoin(out);
        self.vend(now, out);
        self.beat(now, out);
        self.send_receipt(now, out);
        self.send_report(now, out);
        self.note_position(out);
    }

    fn append(&mut self, record: Record, out: &mut Vec<Effect>) {
        self.durable.apply(&record);
        out.push(Effect::Append(Box::new(record)));
    }

    fn on_ready(&mut self, result: Result<(), String>) {
        if self.readiness != result {
            self.beat.now();
        }
        self.readiness = result;
    }

    fn on_frame(&mut self, frame: Verified, out: &mut Vec<Effect>) {
        self.floor_ms = self.floor_ms.max(frame.body.time_ms);
        match frame.body.event {
            Some(Event::Order(order)) => {
                let held = OrderInHand {
                    order,
                    frame: frame.frame,
                    superseded: frame.superseded,
                };
                self.on_order(held, frame.roster, out);
            }
            Some(Event::Beacon(beacon)) => self.on_beacon(&beacon, out),
            Some(Event::Machine(changed)) => {
                if let Some(status) = changed.machine {
                    self.on_status(frame.position, status, out);
                }
            }
            Some(Event::Report(reported)) => {
                if let Some(report) = reported.report {
                    self.on_reported(report.incarnation, report.number, out);
                }
            }
            _ => {}
        }
    }

    fn on_status(&mut self, told_at: Position, status: v1::Machine, out: &mut Vec<Effect>) {
        if status.id != self.facts.machine_id {
            return;
        }
        self.on_applied(&status.last_receipt_hash, out);
        self.on_reported(status.incarnation, status.last_report_number, out);
        self.status = Some((told_at, status));
    }

    /// Takes up the incarnation that the federation knows, once everything
    /// that happened before the start has been seen.
    fn adopt(&mut self, out: &mut Vec<Effect>) {
        if self.caught_up.is_none() {
            return;
        }
        let status = self.status.clone().map(|(_, status)| status);
        let status = status.unwrap_or_default();
        // Before its first change no frame shows a machine: it is as in the genesis.
        let incarnation = status.incarnation.max(1);
        let known = self
            .durable
            .life
            .as_ref()
            .map_or(0, |life| life.incarnation);
        if incarnation <= known {
            return;
        }
        // Orders are only issued to an agent that has journalled its
        // incarnation and said so, so an order without a journal is a lost one.
        self.lost = self.orders_of >= incarnation;
        if self.lost {
            return;
        }
        let receipt_hash = <[u8; 32]>::try_from(status.last_receipt_hash.as_slice());
        let record = Record::Adopted {
            life: Life {
                incarnation,
                sequence: status.last_sequence,
                receipt_hash: receipt_hash.unwrap_or(dctrl_proto::order::NO_RECEIPT),
                begin: Begin::Awaited,
            },
            reports_done: status.last_report_number,
        };
        self.append(record, out);
        self.time = None;
        self.oldest_issue = None;
        self.beat.now();
    }

    /// Remembers now and then how far the federation's order has been read,
    /// so that a start need not read it all again.
    fn note_position(&mut self, out: &mut Vec<Effect>) {
        let idle = matches!(self.durable.stage, Stage::Idle);
        if let Some(position) = self.caught_up
            && idle
            && self.durable.life.is_some()
            && self.pending.is_empty()
            && position.height >= self.durable.followed.height + POSITION_EVERY
        {
            let place = Place {
                height: position.height,
                sub_index: position.sub_index,
            };
            self.append(Record::Followed(place), out);
        }
    }
}

/// Blocks between two notes of the position.
const POSITION_EVERY: u64 = 256;

#[cfg(test)]
mod tests;
