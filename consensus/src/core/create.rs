//! Own events: parents, payload, and the moment.

use super::{Core, Unsent};
use crate::crypto::sha256;
use crate::dag::Slot;
use crate::emit::{Decision, View};
use crate::event::{Event, EventHeader, ParentRef};
use crate::id::{Digest, NodeIndex, Timestamp};
use crate::record::Entry;

impl Core {
    /// Makes an own event if it is time; else says when to look again.
    pub(super) fn create_due(&mut self) -> Option<Timestamp> {
        let me = self.config.me;
        let unsynced = self.dag.chain_len(me) > self.own_synced;
        let unexecuted = self
            .order
            .last_index()
            .saturating_sub(self.finality.executed());
        let unconfirmed = self.confirmed.len() < self.config.roster.quorum();
        if self.stopped
            || unconfirmed
            || unsynced
            || unexecuted > self.config.limits.unexecuted_blocks_max
        {
            return None;
        }
        let own = self.dag.tip(me);
        let tips = self.foreign_tips();
        let view = self.view(own, &tips);
        match self.emit.decide(&view, self.now) {
            Decision::Create => {
                let leaves_layer = view
                    .own_layer
                    .filter(|own| view.next_layer > *own && view.highest_layer == *own);
                let in_time = leaves_layer.map(|layer| self.reached(layer));
                self.emit.created(self.now, in_time.as_deref());
                self.create(own, &tips);
                None
            }
            Decision::WaitUntil(time) => Some(time),
            Decision::Rest => None,
        }
    }

    /// The last event of every other creator that is not known to fork.
    fn foreign_tips(&self) -> Vec<Slot> {
        let others = self.config.roster.indices();
        others
            .filter(|&node| node != self.config.me && !self.forkers.contains(node))
            .filter_map(|node| self.dag.tip(node))
            .collect()
    }

    fn view(&self, own: Option<Slot>, tips: &[Slot]) -> View {
        let layer = |slot: Slot| self.dag.vertex(slot).layer;
        let own_layer = own.map(layer);
        let (next_layer, _) = self.dag.layer_over(own.iter().chain(tips));
        let highest = own.iter().chain(tips).map(|&slot| layer(slot)).max();
        let waits_for = |node: &NodeIndex| {
            *node != self.config.me && !self.forkers.contains(*node) && self.emit.is_live(*node)
        };
        let here = |node: NodeIndex| self.dag.tip(node).map(layer) >= own_layer;
        View {
            own_layer,
            highest_layer: highest.unwrap_or(0),
            next_layer,
            pool: !self.pool.is_empty(),
            unordered: self
                .order
                .payload()
                .iter()
                .any(|&slot| self.will_be_ordered(own, tips, slot)),
            live_all_here: self.config.roster.indices().filter(waits_for).all(here),
        }
    }

    /// Whether honest nodes build on the event. One of a forker that nobody
    /// names stays unordered for ever, and must keep nobody awake; but where
    /// one of the others named it, they cannot come to an end without us.
    fn will_be_ordered(&self, own: Option<Slot>, tips: &[Slot], slot: Slot) -> bool {
        let mut over = own.iter().chain(tips);
        !self.forkers.contains(self.dag.vertex(slot).creator())
            || over.any(|&over| self.dag.ancestor(over, slot))
    }

    /// Which nodes have reached the layer.
    fn reached(&self, layer: u64) -> Vec<bool> {
        let reached = |node: NodeIndex| {
            node == self.config.me
                || self
                    .dag
                    .tip(node)
                    .is_some_and(|tip| self.dag.vertex(tip).layer >= layer)
        };
        self.config.roster.indices().map(reached).collect()
    }

    fn create(&mut self, own: Option<Slot>, tips: &[Slot]) {
        let transactions = self.pool.take_for_event(&self.config.limits);
        let before = own.map(|slot| &self.dag.vertex(slot).event);
        let seq = before.map_or(0, |event| event.header().seq + 1);
        let earliest = before.map_or(Timestamp(0), |event| event.header().timestamp.after(1));
        let header = EventHeader {
            cluster: self.config.cluster,
            epoch: self.config.roster.number,
            creator: self.config.me,
            seq,
            timestamp: self.now.max(earliest),
            coin: self.coin(seq),
            self_parent: before.map(Event::id),
            other_parents: self.other_parents(own, tips),
            transaction_count: 0,
            payload_digest: Digest::ZERO,
        };
        let event = Event::create(header, &transactions, &*self.signer);
        let inserted = self.dag.insert(event.clone());
        let Ok(slot) = inserted else {
            unreachable!("an own event is valid")
        };
        let number = self.record(&Entry::Event(event.clone()));
        self.unsent.push_back((number, Unsent::Event(event)));
        self.inserted(slot);
    }

    /// The tips that are neither known to the self-parent nor to another tip.
    fn other_parents(&self, own: Option<Slot>, tips: &[Slot]) -> Vec<ParentRef> {
        let known = |over: Slot, tip: Slot| over != tip && self.dag.ancestor(over, tip);
        let adds = |tip: &&Slot| !own.iter().chain(tips).any(|&over| known(over, **tip));
        let name = |&tip: &Slot| {
            let vertex = self.dag.vertex(tip);
            ParentRef {
                creator: vertex.creator(),
                seq: vertex.seq(),
                id: vertex.event.id(),
            }
        };
        tips.iter().filter(adds).map(name).collect()
    }

    /// Bits that nobody can foresee without the seed, and that come out the
    /// same if the event is made again after a restart that lost it unsent.
    fn coin(&self, seq: u64) -> u32 {
        let digest = sha256(
            b"dctrl/coin/1\0",
            &[&self.config.coin_seed, &seq.to_be_bytes()],
        );
        u32::from_be_bytes([digest.0[0], digest.0[1], digest.0[2], digest.0[3]])
    }
}
