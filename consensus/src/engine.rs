//! Graph, election and order of one epoch, driven together.
//!
//! This is all that decides: what else the core does (waiting for parents,
//! asking peers, signing blocks) changes no decision. It is a function of the
//! events inserted, whatever their order.

use crate::block::Block;
use crate::dag::{Dag, Slot};
use crate::election::Election;
use crate::event::Event;
use crate::id::Timestamp;
use crate::interface::RefusalReason;
use crate::limits::Limits;
use crate::order::{Floor, Order, Ordered};
use crate::ordering::Ordering;
use crate::weights::Weights;

/// One graph and all that follows from it: for tools and measurements. A node
/// runs a [`Core`](crate::Core).
#[derive(Debug)]
pub struct Engine {
    pub(crate) dag: Dag,
    pub(crate) election: Election,
    pub(crate) order: Order,
    /// Whether a round receives events of earlier rounds only.
    later: bool,
}

/// What an event decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Rounds or layers that are done now.
    pub rounds: usize,
    /// Events that have their place in the order now.
    pub events: usize,
    /// Transactions of these events.
    pub transactions: usize,
}

/// A round or layer that is done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) round: u64,
    /// Ascending by id.
    pub(crate) judges: Vec<Slot>,
    /// What it received, in order.
    pub(crate) events: Vec<Ordered>,
    /// What of that is to be executed.
    pub(crate) block: Option<Block>,
}

/// An event's place in the elections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Its round, or its layer.
    pub(crate) round: u64,
    /// Whether it is a candidate: a witness, in the classic profile.
    pub(crate) candidate: bool,
    /// Whether the candidate was elected (is famous); `None` while that is open.
    pub(crate) famous: Option<bool>,
}

impl Engine {
    /// An empty graph over nodes of these weights, before the first block.
    /// `None` where the weights' sum is 0 or too large to be counted.
    #[must_use]
    pub fn of(weights: &[u32], ordering: &Ordering, limits: &Limits) -> Option<Self> {
        Weights::of(weights).map(|weights| Self::new(weights, ordering, limits))
    }

    /// An empty graph, before the first block.
    pub(crate) fn new(weights: Weights, ordering: &Ordering, limits: &Limits) -> Self {
        Self {
            dag: Dag::new(weights, limits),
            election: Election::new(ordering),
            order: Order::starting_at(ordering, 0, 0, Timestamp(0)),
            later: false,
        }
    }

    /// Lets other nodes count from certain rounds on; see
    /// [`Election::with_sets`]. Before the first event.
    pub(crate) fn with_sets(self, ordering: &Ordering, sets: Vec<(u64, Weights)>) -> Self {
        let election = Election::with_sets(ordering, sets);
        Self { election, ..self }
    }

    /// Lets a round receive events of earlier rounds only, and only where its
    /// judges are of a quorum, as Babble does. Received order.
    pub(crate) fn needing_a_later_quorum_of_judges(self) -> Self {
        let order = self.order.with_floor(Floor::Quorum);
        let later = true;
        Self {
            order,
            later,
            ..self
        }
    }

    /// Inserts a valid event whose parents are all there, and counts what that
    /// decides.
    ///
    /// # Errors
    /// Why the event is not taken.
    pub fn feed(&mut self, event: Event) -> Result<Progress, RefusalReason> {
        let (_, done) = self.insert(event)?;
        let blocks = done.iter().filter_map(|decided| decided.block.as_ref());
        Ok(Progress {
            rounds: done.len(),
            events: done.iter().map(|decided| decided.events.len()).sum(),
            transactions: blocks.map(|block| block.transactions.len()).sum(),
        })
    }

    /// Inserts a valid event whose parents are all there.
    pub(crate) fn insert(&mut self, event: Event) -> Result<(Slot, Vec<Decided>), RefusalReason> {
        let slot = self.dag.insert(event)?;
        Ok((slot, self.decide(slot)))
    }

    /// Inserts an event whose parents are all there, whether it is valid by our
    /// rules or not.
    pub(crate) fn insert_unchecked(
        &mut self,
        event: Event,
    ) -> Result<(Slot, Vec<Decided>), RefusalReason> {
        let slot = self.dag.insert_unchecked(event)?;
        Ok((slot, self.decide(slot)))
    }

    /// What the election made of an event so far.
    pub(crate) fn standing(&self, slot: Slot) -> Standing {
        Standing {
            round: self.election.round_of(&self.dag, slot),
            candidate: self.election.is_candidate(slot),
            famous: self.election.famous(&self.dag, slot),
        }
    }

    /// Whether x strongly sees y, by the weights of y's round.
    pub(crate) fn strongly_see(&self, x: Slot, y: Slot) -> bool {
        let round = self.election.round_of(&self.dag, y);
        let weights = self.election.weights(&self.dag, round);
        self.dag.strongly_see(x, y, weights)
    }

    fn decide(&mut self, slot: Slot) -> Vec<Decided> {
        self.election.insert(&self.dag, slot);
        self.order.insert(&self.dag, slot);
        let mut done = Vec::new();
        while let Some((round, judges)) = self.election.next_done(&self.dag) {
            let weights = self.election.weights(&self.dag, round);
            let admits = |slot| !self.later || self.election.round_of(&self.dag, slot) < round;
            let events = self
                .order
                .receive_events(&self.dag, weights, &judges, admits);
            let block = self.order.block(&self.dag, round, &events);
            done.push(Decided {
                round,
                judges,
                events,
                block,
            });
        }
        done
    }
}
