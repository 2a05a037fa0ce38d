//! Whether the journal is as old as the machine's incarnation.
//!
//! An agent without a journal adopts what the nodes show it, and nodes that
//! lag or lie may hide an order that it carried out before. So the time of the
//! first beacon after an adoption is journalled, and the agent says that it is
//! ready only from then on. The federation issues orders only to a machine
//! that has said so: an order of the incarnation that was issued before that
//! beacon was meant for a journal that is gone, and may have been carried out.
//! Nothing fires any more until the machine is reset.
//!
//! Absent: the rule for a journal from before first beacons were recorded.
//! Nobody knows when it began, so it goes on without.

use dctrl_proto::v1::Order;

use super::{Begin, Effect, Machine, Record};

impl Machine {
    /// Whether this incarnation had another journal before this one.
    pub(super) fn is_lost(&self) -> bool {
        self.lost || self.begin() == Begin::Lost
    }

    /// What is known of the beginning of the journal's incarnation.
    pub(super) fn begin(&self) -> Begin {
        let life = self.durable.life.as_ref();
        life.map_or(Begin::Unrecorded, |life| life.begin)
    }

    /// The first beacon of the incarnation is journalled, and the orders that
    /// came before it are judged.
    pub(super) fn on_first_beacon(&mut self, time_ms: u64, out: &mut Vec<Effect>) {
        if self.begin() != Begin::Awaited {
            return;
        }
        self.append(Record::Begun { time_ms }, out);
        // Ready now, which the federation waits to hear.
        self.beat.at_once();
        if let Some((sequence, issued_at_ms)) = self.oldest_issue
            && issued_at_ms < time_ms
        {
            self.lose(sequence, out);
        }
    }

    /// Whether the order is older than the journal. One that comes before the
    /// first beacon is noted, and judged by it.
    pub(super) fn proves_loss(&mut self, order: &Order, out: &mut Vec<Effect>) -> bool {
        let of_this_life = self
            .durable
            .life
            .as_ref()
            .is_some_and(|life| life.incarnation == order.incarnation);
        // Settled here, or before one that was.
        let settled = self
            .durable
            .last
            .as_ref()
            .is_some_and(|last| order.sequence <= last.held.order.sequence);
        if !of_this_life || settled {
            return false;
        }
        match self.begin() {
            Begin::Unrecorded => false,
            Begin::Awaited => {
                let this = (order.sequence, order.issued_at_ms);
                self.oldest_issue = match self.oldest_issue {
                    Some(older) if older.1 <= this.1 => Some(older),
                    _ => Some(this),
                };
                false
            }
            Begin::At(time_ms) if order.issued_at_ms < time_ms => {
                self.lose(order.sequence, out);
                true
            }
            Begin::At(_) => false,
            // Known already.
            Begin::Lost => true,
        }
    }

    pub(super) fn lose(&mut self, sequence: u64, out: &mut Vec<Effect>) {
        self.append(Record::Lost { sequence }, out);
        out.push(Effect::Alarm(format!(
            "order {sequence} is older than the journal: the journal it was meant for is lost, \
             and nothing is vended until the machine is reset"
        )));
        self.beat.now();
    }
}
