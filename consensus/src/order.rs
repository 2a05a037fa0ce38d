//! From done rounds to blocks.
//!
//! An event is received in the first done round all of whose judges descend
//! from it (as in the paper, ancestry counts here, not seeing: what a forker
//! wrote before it was caught is ordered too). Its consensus time is the lower
//! median, over the judges, of when each judge's chain first knew it. Events of
//! one round are sorted by that time, then by the next value above it, then by
//! depth, then by id whitened with the judges' ids, which nobody knows when
//! they sign. All three times rise along an edge, so parents come first.

use std::collections::BTreeSet;

use crate::block::{Block, Transaction};
use crate::crypto::sha256;
use crate::dag::{Dag, Slot};
use crate::id::{Digest, Timestamp};
use crate::merkle;
use crate::ordering::Ordering;

/// The order so far.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// Inserted events that no round has received.
    waiting: BTreeSet<Slot>,
    /// Those of them that carry transactions.
    payload: BTreeSet<Slot>,
    /// The time of the last transaction.
    clock: Timestamp,
    /// The index of the last block.
    last_index: u64,
}

type SortKey = (Timestamp, Timestamp, u64, Digest);

impl Order {
    /// The order of an epoch that follows a block of this index, whose last
    /// transaction has this time; 0 and 0 where there is none.
    pub(crate) fn starting_at(_ordering: &Ordering, last_index: u64, clock: Timestamp) -> Self {
        Self {
            clock,
            last_index,
            ..Self::default()
        }
    }

    pub(crate) fn insert(&mut self, dag: &Dag, slot: Slot) {
        self.waiting.insert(slot);
        if !dag.vertex(slot).event.transactions().is_empty() {
            self.payload.insert(slot);
        }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Events with transactions that are not ordered yet.
    pub(crate) fn payload(&self) -> &BTreeSet<Slot> {
        &self.payload
    }

    pub(crate) fn last_index(&self) -> u64 {
        self.last_index
    }

    /// Receives what a done round receives. `None` where that carries nothing.
    pub(crate) fn receive(&mut self, dag: &Dag, round: u64, judges: &[Slot]) -> Option<Block> {
        let received = self.received(dag, judges);
        let mut transactions = Vec::new();
        for (_, slot, time) in received {
            self.waiting.remove(&slot);
            self.payload.remove(&slot);
            let event = &dag.vertex(slot).event;
            for bytes in event.transactions() {
                self.clock = time.max(self.clock.after(1));
                let creator = event.header().creator;
                transactions.push(Transaction {
                    bytes: bytes.clone(),
                    creator,
                    time: self.clock,
                });
            }
        }
        if transactions.is_empty() {
            return None;
        }
        self.last_index += 1;
        let leaves: Vec<&[u8]> = transactions
            .iter()
            .map(|transaction| &transaction.bytes[..])
            .collect();
        let payload_root = merkle::root(&leaves);
        Some(Block {
            index: self.last_index,
            round,
            time: self.clock,
            transactions,
            payload_root,
        })
    }

    fn received(&self, dag: &Dag, judges: &[Slot]) -> Vec<(SortKey, Slot, Timestamp)> {
        if judges.is_empty() {
            return Vec::new();
        }
        let ids: Vec<[u8; 32]> = judges
            .iter()
            .map(|&judge| dag.vertex(judge).event.id().0)
            .collect();
        let ids: Vec<&[u8]> = ids.iter().map(|id| &id[..]).collect();
        let whitening = sha256(b"dctrl/whitening/1\0", &ids);
        let by_all = |slot: &Slot| judges.iter().all(|&judge| dag.ancestor(judge, *slot));
        let mut received: Vec<_> = self
            .waiting
            .iter()
            .copied()
            .filter(by_all)
            .map(|slot| {
                let key = sort_key(dag, judges, slot, &whitening);
                (key, slot, key.0)
            })
            .collect();
        received.sort_unstable();
        received
    }
}

fn sort_key(dag: &Dag, judges: &[Slot], slot: Slot, whitening: &Digest) -> SortKey {
    let first_known = |&judge: &Slot| {
        dag.vertex(dag.first_self_ancestor_over(judge, slot))
            .event
            .header()
            .timestamp
    };
    let mut times: Vec<Timestamp> = judges.iter().map(first_known).collect();
    times.sort_unstable();
    let median = (times.len() - 1) / 2;
    let above = (median + 1).min(times.len() - 1);
    let vertex = dag.vertex(slot);
    let mut whitened = vertex.event.id();
    for (byte, white) in whitened.0.iter_mut().zip(whitening.0) {
        *byte ^= white;
    }
    (times[median], times[above], vertex.lamport, whitened)
}
