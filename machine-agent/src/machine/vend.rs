//! One order from its arrival to its receipt.

use dctrl_proto::order::receipt_hash;
use dctrl_proto::v1::{MachineAccept, MachineReceipt, Outcome};
use prost::Message;

use super::durable::outcome_name;
use super::outgoing::{ACCEPT_LIFE_MS, RECEIPT_LIFE_MS, shortened};
use super::{Effect, Machine, OrderInHand, Pulse, PulseEnd, Record, SettledOrder, Stage};
use crate::clock::Now;

impl Machine {
    /// Moves the order in hand on, or takes on the next one.
    pub(super) fn vend(&mut self, now: Now, out: &mut Vec<Effect>) {
        if self.caught_up.is_none() || self.is_lost() {
            return;
        }
        match self.durable.stage.clone() {
            Stage::Idle => self.take_on(now, out),
            Stage::Armed(held) => self.fire(now, &held, out),
            // Its end comes as an input.
            Stage::Firing(_) => {}
        }
    }

    fn take_on(&mut self, now: Now, out: &mut Vec<Effect>) {
        let Some(held) = self.next_order() else {
            return;
        };
        if !self.may_start(now, &held, out) {
            return;
        }
        self.append(Record::Armed(Box::new(held.clone())), out);
        let accept = MachineAccept {
            machine_id: held.order.machine_id.clone(),
            incarnation: held.order.incarnation,
            sequence: held.order.sequence,
            order_hash: held.hash().to_vec(),
        };
        let (action, _) = self.sign(now, ACCEPT_LIFE_MS, &accept);
        self.send("machine.accept", action, out);
        out.push(Effect::Again);
    }

    /// Checked again after the order was journalled, and after a restart.
    fn fire(&mut self, now: Now, held: &OrderInHand, out: &mut Vec<Effect>) {
        if !self.may_start(now, held, out) {
            return;
        }
        let order = &held.order;
        let Some(slot) = self.facts.slots.get(&order.slot).copied() else {
            return;
        };
        let sequence = order.sequence;
        self.append(Record::Firing { sequence }, out);
        out.push(Effect::Pulse(Pulse {
            slot: order.slot.clone(),
            line: slot.line,
            pulse_ms: slot.pulse_ms,
            sequence,
            incarnation: order.incarnation,
        }));
    }

    /// Whether the order may be started now. Where it never may, it is
    /// settled; where only time is missing, it waits.
    fn may_start(&mut self, now: Now, held: &OrderInHand, out: &mut Vec<Effect>) -> bool {
        let Some(time) = self.time else {
            self.beat.now();
            return false;
        };
        let refusal = if held.superseded {
            let reason = "another roster has followed the one that ordered it";
            Some((Outcome::Expired, reason.to_owned()))
        } else if time.latest(now) >= held.order.expires_at_ms {
            Some((Outcome::Expired, "it came too late".to_owned()))
        } else if !self.facts.slots.contains_key(&held.order.slot) {
            let slot = &held.order.slot;
            Some((Outcome::Failed, format!("there is no slot {slot:?}")))
        } else {
            let ready = self.readiness.clone();
            ready.err().map(|reason| (Outcome::Failed, reason))
        };
        if let Some((outcome, reason)) = refusal {
            let end = PulseEnd {
                outcome,
                reason,
                pulses: 0,
            };
            self.settle(now, held, end, out);
            return false;
        }
        let spaced = |end| now.boot_ms >= end + self.facts.spacing_ms;
        self.pulse_end_ms.is_none_or(spaced)
    }

    pub(super) fn on_pulsed(&mut self, now: Now, end: PulseEnd, out: &mut Vec<Effect>) {
        self.pulse_end_ms = Some(now.boot_ms);
        if let Stage::Firing(held) = self.durable.stage.clone() {
            self.settle(now, &held, end, out);
        }
    }

    /// After a start in FIRING: the pulse may have been given, so it is never
    /// given again, and only a sensor that remembers can tell.
    pub(super) fn on_latched(&mut self, now: Now, latch: Option<bool>, out: &mut Vec<Effect>) {
        let Stage::Firing(held) = self.durable.stage.clone() else {
            return;
        };
        let (outcome, reason) = match latch {
            Some(true) => (Outcome::Dispensed, "the drop sensor had latched"),
            Some(false) => (Outcome::Failed, "the drop sensor had not latched"),
            None => (Outcome::Unknown, "power was lost around the pulse"),
        };
        let end = PulseEnd {
            outcome,
            reason: reason.to_owned(),
            // What the line saw is not known; this is the most it can have been.
            pulses: 1,
        };
        self.settle(now, &held, end, out);
    }

    /// Signs the receipt, once, and journals it before it is sent.
    fn settle(&mut self, now: Now, held: &OrderInHand, end: PulseEnd, out: &mut Vec<Effect>) {
        let Some(life) = self.durable.life.clone() else {
            return;
        };
        let receipt = MachineReceipt {
            machine_id: held.order.machine_id.clone(),
            incarnation: held.order.incarnation,
            sequence: held.order.sequence,
            order_hash: held.hash().to_vec(),
            outcome: end.outcome.into(),
            reason: shortened(&end.reason),
            previous_receipt_hash: life.receipt_hash.to_vec(),
            pulses: end.pulses,
        };
        let (action, expires_at_ms) = self.sign(now, RECEIPT_LIFE_MS, &receipt);
        self.append(
            Record::Settled(Box::new(SettledOrder {
                held: held.clone(),
                outcome: outcome_name(end.outcome),
                receipt_hash: receipt_hash(&receipt.encode_to_vec()),
                receipt: action,
                expires_at_ms,
            })),
            out,
        );
        self.receipt_retry.now();
    }
}
