//! Which orders are looked at: the machine's own, not older than its journal,
//! in sequence, each once.

use dctrl_proto::order::ORDER_DOMAIN;

use super::{EVIDENCE_MAX, Effect, Machine, OrderInHand, PENDING_MAX, Stage};

impl Machine {
    /// An order that a roster with this number has certified.
    pub(super) fn on_order(&mut self, held: OrderInHand, roster: u64, out: &mut Vec<Effect>) {
        if let Some(what) = self.foreign(&held, roster) {
            out.push(Effect::Alarm(format!(
                "an order was refused: its {what} is not as it must be"
            )));
            return;
        }
        let (incarnation, sequence) = (held.order.incarnation, held.order.sequence);
        self.orders_of = self.orders_of.max(incarnation);
        if self.proves_loss(&held.order, out) {
            return;
        }
        // The word of a roster that has a successor stands behind any other.
        let waiting = self.pending.get(&(incarnation, sequence));
        if !held.superseded && waiting.is_some_and(|waiting| waiting.superseded) {
            self.pending.insert((incarnation, sequence), held);
            return;
        }
        let known = self.known(incarnation, sequence).cloned();
        if let Some(known) = known {
            self.on_again(&known, held, out);
            return;
        }
        let settled = self.durable.life.as_ref().is_some_and(|life| {
            (incarnation, sequence) <= (life.incarnation, life.sequence)
                || incarnation < life.incarnation
        });
        if settled {
            tracing::debug!(incarnation, sequence, "an old order is passed over");
            return;
        }
        self.pending.insert((incarnation, sequence), held);
        while self.pending.len() > PENDING_MAX {
            // The last can always be replayed once the first ones are done.
            self.pending.pop_last();
        }
    }

    /// The field by which an order is not for this machine.
    fn foreign(&self, held: &OrderInHand, roster: u64) -> Option<&'static str> {
        let order = &held.order;
        if order.domain != ORDER_DOMAIN {
            Some("domain")
        } else if order.cluster != self.facts.cluster {
            Some("cluster")
        } else if order.roster_epoch != roster {
            Some("roster number")
        } else if order.machine_id != self.facts.machine_id {
            Some("machine")
        } else {
            None
        }
    }

    /// An order of the same incarnation and sequence that is remembered.
    fn known(&self, incarnation: u32, sequence: u64) -> Option<&OrderInHand> {
        let in_hand = match &self.durable.stage {
            Stage::Idle => None,
            Stage::Armed(held) | Stage::Firing(held) => Some(held.as_ref()),
        };
        let settled = self.durable.receipts.iter().chain(&self.durable.last);
        let settled = settled.map(|settled| &settled.held);
        in_hand
            .into_iter()
            .chain(settled)
            .chain(self.pending.values())
            .find(|held| held.order.incarnation == incarnation && held.order.sequence == sequence)
    }

    /// An order for a sequence that an order is known for: the same one is
    /// answered again, another one proves that more than f nodes lied.
    fn on_again(&mut self, known: &OrderInHand, again: OrderInHand, out: &mut Vec<Effect>) {
        let hash = again.hash();
        if known.hash() == hash {
            let last = self.durable.last.as_ref();
            if let Some(last) = last.filter(|last| last.held.hash() == hash) {
                let receipt = last.receipt.clone();
                self.send("machine.receipt", receipt, out);
            }
            return;
        }
        if self.accused.len() >= EVIDENCE_MAX || !self.accused.insert(hash) {
            return;
        }
        out.push(Effect::Alarm(format!(
            "two certified orders for sequence {}: the second is refused",
            again.order.sequence
        )));
        out.push(Effect::Evidence(Box::new((known.clone(), again))));
    }

    /// The next order in sequence, if it has come.
    pub(super) fn next_order(&mut self) -> Option<OrderInHand> {
        let life = self.durable.life.as_ref()?;
        let next = (life.incarnation, life.sequence + 1);
        while self
            .pending
            .first_key_value()
            .is_some_and(|(key, _)| *key < next)
        {
            self.pending.pop_first();
        }
        self.pending.get(&next).cloned()
    }

    /// Whether orders wait although the one before them never came.
    pub(super) fn has_hole(&self) -> bool {
        let Some(life) = &self.durable.life else {
            return false;
        };
        matches!(self.durable.stage, Stage::Idle)
            && self
                .pending
                .first_key_value()
                .is_some_and(|(key, _)| key.0 == life.incarnation && key.1 > life.sequence + 1)
    }
}
