//! Own events: parents, payload, and the moment.

use super::{Core, Stop, Unsent};
use crate::crypto::sha256;
use crate::dag::Slot;
use crate::emit::{Busy, Decision, Front};
use crate::event::{Event, EventHeader, ParentRef};
use crate::id::{Digest, NodeIndex, Timestamp};
use crate::interface::{Output, RefusalReason};
use crate::record::Entry;

impl Core {
    /// Makes an own event if it is time; else says when to look again.
    pub(super) fn create_due(&mut self) -> Option<Timestamp> {
        let me = self.epoch.me()?;
        let unsynced = self.epoch.own_len() > self.epoch.own_synced;
        let unexecuted = self
            .epoch
            .order
            .last_index()
            .saturating_sub(self.finality.executed());
        if self.stop.is_some()
            || !self.sure
            || unsynced
            || unexecuted > self.config.limits.unexecuted_blocks_max
        {
            return None;
        }
        // Behind the seal nothing is ordered, but the seal must become final.
        let sealed = self.epoch.sealed_by.is_some();
        let pool = !sealed && !self.pool.is_empty();
        let payload = !sealed && !self.epoch.order.payload().is_empty();
        let uncertified = self.finality.is_uncertified();
        if !pool && !payload && !uncertified {
            return None;
        }
        let front = Front::of(&self.epoch.dag, me, self.epoch.forkers);
        let unordered = payload && self.unordered(&front, |_| false);
        let busy = Busy {
            pool,
            unordered,
            pending: unordered && self.unordered(&front, |slot| self.epoch.covered.contains(&slot)),
            uncertified,
        };
        match self
            .epoch
            .emit
            .decide(&front.view(&self.epoch.emit, busy), self.now)
        {
            Decision::Create => {
                // Who insists says nothing about who is in time.
                let in_time = front.in_time().filter(|_| pool || unordered);
                self.epoch.emit.created(self.now, in_time.as_deref());
                self.create(me, &front, sealed);
                None
            }
            Decision::WaitUntil(time) => Some(time),
            Decision::Rest => None,
        }
    }

    /// Whether a transaction is in the graph that has no place in the order,
    /// beside those in the events to be `ignored`.
    fn unordered(&self, front: &Front, ignored: impl Fn(Slot) -> bool) -> bool {
        let mut payload = self.epoch.order.payload().iter();
        payload.any(|&slot| !ignored(slot) && self.will_be_ordered(front, slot))
    }

    /// Whether honest nodes build on the event. One of a forker that nobody
    /// names stays unordered for ever, and must keep nobody awake; but where
    /// one of the others named it, they cannot come to an end without us.
    fn will_be_ordered(&self, front: &Front, slot: Slot) -> bool {
        !self
            .epoch
            .forkers
            .contains(self.epoch.dag.vertex(slot).creator())
            || front.all().any(|over| self.epoch.dag.ancestor(over, slot))
    }

    fn create(&mut self, me: NodeIndex, front: &Front, empty: bool) {
        let transactions = if empty {
            Vec::new()
        } else {
            self.pool.take_for_event(&self.config.limits)
        };
        let before = front.own().map(|slot| &self.epoch.dag.vertex(slot).event);
        let seq = before.map_or(0, |event| event.header().seq + 1);
        let earliest = before.map_or(Timestamp(0), |event| event.header().timestamp.after(1));
        let header = EventHeader {
            anchor: self.epoch.start.anchor,
            epoch: self.epoch.start.epoch,
            creator: me,
            seq,
            timestamp: self.now.max(earliest),
            coin: self.coin(seq),
            self_parent: before.map(Event::id),
            other_parents: self.other_parents(front),
            transaction_count: 0,
            payload_digest: Digest::ZERO,
        };
        let event = Event::create(header, &transactions, &*self.signer);
        let slot = match self.epoch.dag.insert(event.clone()) {
            Ok(slot) => slot,
            // As many of its own as a layer takes: others must go on first.
            Err(RefusalReason::LayerFull) => return self.pool.put_back(transactions),
            Err(_) => {
                // Only where the disk was exchanged: another branch of this node's
                // own chain is below what it would build on.
                self.pool.put_back(transactions);
                self.stop = Some(Stop::Amnesia);
                self.out.push(Output::Amnesia { seq });
                return;
            }
        };
        let number = self.record(&Entry::Event(event.clone()));
        self.epoch.dag.set_record(slot, number);
        self.unsent.push_back((number, Unsent::Event(event)));
        self.inserted(slot);
    }

    fn other_parents(&self, front: &Front) -> Vec<ParentRef> {
        let name = |&tip: &Slot| {
            let vertex = self.epoch.dag.vertex(tip);
            ParentRef {
                creator: vertex.creator(),
                seq: vertex.seq(),
                id: vertex.event.id(),
            }
        };
        front.parents(&self.epoch.dag).iter().map(name).collect()
    }

    /// Bits that nobody can foresee without the seed, and that come out the
    /// same if the event is made again after a restart that lost it unsent.
    fn coin(&self, seq: u64) -> u32 {
        let epoch = self.epoch.start.epoch.to_be_bytes();
        let digest = sha256(
            b"dctrl/coin/1\0",
            &[&self.config.coin_seed, &epoch, &seq.to_be_bytes()],
        );
        u32::from_be_bytes([digest.0[0], digest.0[1], digest.0[2], digest.0[3]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Ed25519Signer, Scheme, Signer};
    use crate::id::ClusterId;
    use crate::interface::Config;
    use crate::limits::{Limits, Pace};
    use crate::ordering::Ordering;
    use crate::roster::{Roster, RosterMember};
    use bytes::Bytes;

    /// The first of four nodes, of which nobody else speaks.
    fn alone(limits: Limits) -> Core {
        let signer = |node: u8| Ed25519Signer::from_seed(&[node; 32]);
        let members = (1..5).map(|node| {
            let key = signer(node).public_key();
            RosterMember::new(format!("node-{node}"), key)
        });
        let config = Config {
            cluster: ClusterId(Digest([9; 32])),
            roster: Roster::new(0, members.collect()).expect("a roster"),
            instance: 0,
            coin_seed: [7; 32],
            limits,
            pace: Pace::default(),
            ordering: Ordering::default(),
            scheme: Scheme::Ed25519,
        };
        Core::new(config, Box::new(signer(1)))
    }

    /// Seed 3001400 of the busy world: the node took the refusal of its own
    /// graph for the sign of an exchanged disk, and was silent from then on.
    #[test]
    fn who_has_filled_its_layer_waits_and_keeps_its_transactions() {
        let limits = Limits {
            layer_events_max: 3,
            ..Limits::STANDARD
        };
        let mut core = alone(limits);
        let me = core.epoch.me().expect("a seat");
        for number in 0..5_u8 {
            let transaction = Bytes::from(vec![number]);
            assert!(core.pool.push(transaction, &limits).is_ok());
            let front = Front::of(&core.epoch.dag, me, core.epoch.forkers);
            core.create(me, &front, false);
        }
        assert_eq!(core.epoch.own_len(), 3, "as many as its layer takes");
        assert!(core.stop.is_none(), "it goes on when others have");
        assert_eq!(core.pool.take_for_event(&limits), [vec![3], vec![4]]);
    }
}
