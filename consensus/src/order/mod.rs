//! From done rounds or layers to blocks.
//!
//! Rounds are consumed in order. What one receives, given its judges:
//!
//! - *Received*: the events that all judges descend from, and that no round
//!   before received. A round whose judges weigh less than [`Floor`] asks for
//!   receives nothing.
//! - *Direct*: the events that any judge is or descends from, and that no round
//!   before received.
//!
//! Ancestry counts here, not seeing: what a forker wrote before it was caught is
//! ordered too. What was received is closed under ancestry, so in each column
//! of the graph it is a beginning, and one position per column says which.
//! Nothing that waits is ever looked at again. The order within a round, and
//! the times, stand in `time`.

mod time;

use std::collections::BTreeSet;

use crate::block::{Block, Origin, Piece, Transaction};
use crate::crypto::sha256;
use crate::dag::{Dag, Slot};
use crate::id::{Digest, Timestamp};
use crate::merkle;
use crate::ordering::{OrderRule, Ordering, Profile};
use crate::weights::Weights;

/// How much the judges of a round must weigh for it to receive anything, under
/// received order. Without any judge no round does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Floor {
    /// One judge is enough, as in the paper.
    One,
    /// A quorum, except behind a round that was passed over for that reason:
    /// so the times stay in honest hands, and nobody holds up the order.
    QuorumOnce,
    /// Always a quorum, as some published implementations have it.
    Quorum,
}

/// An event with its consensus time, in its place in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ordered {
    pub(crate) slot: Slot,
    pub(crate) time: Timestamp,
}

/// The order so far.
#[derive(Debug)]
pub(crate) struct Order {
    epoch: u64,
    rule: OrderRule,
    floor: Floor,
    /// Whether liars among few judges are kept from the times (not published).
    guarded: bool,
    /// Per column, how many of its events are received.
    received: Vec<usize>,
    received_len: usize,
    inserted: usize,
    /// Inserted events with transactions that no round has received.
    payload: BTreeSet<Slot>,
    /// Whether the round before was passed over.
    passed: bool,
    /// The time of the last round; direct order only.
    round_time: Timestamp,
    /// The time of the last transaction.
    clock: Timestamp,
    /// The index of the last block.
    last_index: u64,
}

impl Order {
    /// The order of an epoch's graph that follows a block of this index, whose last
    /// transaction has this time; 0 and 0 where there is none.
    pub(crate) fn starting_at(
        ordering: &Ordering,
        epoch: u64,
        last_index: u64,
        clock: Timestamp,
    ) -> Self {
        let layered = ordering.profile == Profile::Layered;
        Self {
            epoch,
            rule: ordering.order,
            floor: if layered {
                Floor::QuorumOnce
            } else {
                Floor::One
            },
            guarded: layered,
            received: Vec::new(),
            received_len: 0,
            inserted: 0,
            payload: BTreeSet::new(),
            passed: false,
            round_time: clock,
            clock,
            last_index,
        }
    }

    /// With another floor than the profile's own.
    pub(crate) fn with_floor(self, floor: Floor) -> Self {
        Self { floor, ..self }
    }

    /// An event is in the graph now.
    pub(crate) fn insert(&mut self, dag: &Dag, slot: Slot) {
        self.inserted += 1;
        if !dag.vertex(slot).event.transactions().is_empty() {
            self.payload.insert(slot);
        }
    }

    /// How many events no round has received.
    pub(crate) fn waiting(&self) -> usize {
        self.inserted - self.received_len
    }

    /// Whether a round has received the event.
    pub(crate) fn has(&self, dag: &Dag, slot: Slot) -> bool {
        let column = dag.vertex(slot).column();
        let received = self.received.get(column).copied().unwrap_or(0);
        // The slots of a column rise.
        let waiting = dag.column_from(column, received);
        waiting.first().is_none_or(|&first| slot < first)
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
        let ordered = self.receive_events(dag, dag.weights(), judges, |_| true);
        self.block(dag, round, &ordered)
    }

    /// The events that a done round receives, in order. `weights` are those of
    /// the round, which differ from the graph's where nodes change within it.
    /// Of a chain, `admits` refuses no event above which it admits one.
    pub(crate) fn receive_events(
        &mut self,
        dag: &Dag,
        weights: &Weights,
        judges: &[Slot],
        admits: impl Fn(Slot) -> bool,
    ) -> Vec<Ordered> {
        if !self.consumes(dag, weights, judges) {
            return Vec::new();
        }
        let fresh = self.take_fresh(dag, judges, admits);
        let whitening = whitening(dag, judges);
        let ordered = match self.rule {
            OrderRule::Received => {
                let guard = if self.guarded {
                    weights.fault_bound() + 1
                } else {
                    0
                };
                time::by_median(dag, weights, guard, judges, &fresh, &whitening)
            }
            OrderRule::Direct => {
                let after = self.round_time.after(1);
                let (time, ordered) =
                    time::by_clamp(dag, weights, after, judges, &fresh, &whitening);
                self.round_time = time;
                ordered
            }
        };
        for event in &ordered {
            self.payload.remove(&event.slot);
        }
        self.received_len += ordered.len();
        ordered
    }

    /// Whether the round receives anything at all.
    fn consumes(&mut self, dag: &Dag, weights: &Weights, judges: &[Slot]) -> bool {
        if self.rule == OrderRule::Direct {
            return !judges.is_empty();
        }
        let creators = judges.iter().map(|&judge| dag.vertex(judge).creator());
        let weight: u32 = creators.map(|creator| weights.one(creator)).sum();
        let full = weight >= weights.quorum();
        let enough = match self.floor {
            Floor::One => true,
            Floor::QuorumOnce => full || self.passed,
            Floor::Quorum => full,
        };
        self.passed = !enough || judges.is_empty();
        !self.passed
    }

    /// The events received by these judges and by none before; parents first.
    fn take_fresh(
        &mut self,
        dag: &Dag,
        judges: &[Slot],
        admits: impl Fn(Slot) -> bool,
    ) -> Vec<Slot> {
        self.received.resize(dag.columns(), 0);
        let mut fresh = Vec::new();
        for (column, received) in self.received.iter_mut().enumerate() {
            let heads = judges.iter().map(|&judge| dag.head(judge, column));
            let head = match self.rule {
                OrderRule::Received => heads.min(),
                OrderRule::Direct => heads.max(),
            };
            let waiting = dag.column_from(column, *received);
            let below = |slot: &&Slot| head.is_some_and(|head| **slot < head) && admits(**slot);
            let count = waiting.iter().take_while(below).count();
            fresh.extend_from_slice(&waiting[..count]);
            *received += count;
        }
        fresh.sort_unstable();
        fresh
    }

    /// The block of the transactions of these events, if there are any.
    pub(crate) fn block(&mut self, dag: &Dag, round: u64, ordered: &[Ordered]) -> Option<Block> {
        let count = |event: &Ordered| dag.vertex(event.slot).event.transactions().len();
        let mut transactions = Vec::with_capacity(ordered.iter().map(count).sum());
        let mut pieces = Vec::new();
        for &Ordered { slot, time } in ordered {
            let event = &dag.vertex(slot).event;
            if !event.transactions().is_empty() {
                pieces.push(Piece {
                    record: dag.vertex(slot).record,
                    transactions: event.transactions().len(),
                });
            }
            for bytes in event.transactions() {
                self.clock = time.max(self.clock.after(1));
                let origin = Origin {
                    creator: event.header().creator,
                    time: self.clock,
                };
                transactions.push(Transaction {
                    bytes: bytes.clone(),
                    origin: Some(origin),
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
            epoch: self.epoch,
            seals: false,
            index: self.last_index,
            round,
            time: self.clock,
            transactions,
            pieces,
            payload_root,
        })
    }
}

/// A digest that nobody knows before all judges are made.
fn whitening(dag: &Dag, judges: &[Slot]) -> Digest {
    let ids: Vec<Digest> = judges
        .iter()
        .map(|&judge| dag.vertex(judge).event.id())
        .collect();
    let ids: Vec<&[u8]> = ids.iter().map(|id| &id.0[..]).collect();
    sha256(b"dctrl/whitening/1\0", &ids)
}
