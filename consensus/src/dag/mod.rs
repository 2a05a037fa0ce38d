//! The graph: events, their ancestry, and forks.
//!
//! Each creator has a chain, and one more *branch* for each fork. A branch is
//! a column; each event keeps, per column, its highest ancestor there (`heads`).
//! Slots rise along a branch, so all questions about ancestry are comparisons
//! of integers:
//! - y is an ancestor of x iff x's highest ancestor in y's column is y or above;
//! - x *sees* y iff y is an ancestor and x's ancestors hold no fork by y's creator;
//! - x *strongly sees* y iff events of a quorum of creators that x sees, see y.
//!
//! No first-descendant table is kept: the events of a branch that descend from
//! y are a suffix of it, so the highest event of the branch that x sees
//! answers for all of them. Cost: O(n) per question, nothing to update.
//!
//! Slots depend on the order of arrival, so nothing may depend on them but
//! comparisons within one column.

mod index;
mod insert;
mod see;

use crate::event::Event;
use crate::id::{Digest, NodeIndex};
use crate::limits::Limits;
use crate::node_set::NodeSet;
use crate::weights::Weights;
use index::Index;

/// The place of an event in the arena, in order of insertion.
pub(crate) type Slot = u32;

/// An inserted event and what follows from its ancestry alone.
#[derive(Debug)]
pub(crate) struct Vertex {
    pub(crate) event: Event,
    pub(crate) self_parent: Option<Slot>,
    /// Ascending by creator.
    pub(crate) other_parents: Box<[Slot]>,
    /// The column of the event's own branch.
    branch: usize,
    /// Per column, one more than the slot of the highest event among the
    /// ancestors and the event itself, 0 for none; so are columns behind the end.
    heads: Box<[u32]>,
    /// Creators of whom the ancestors hold a fork.
    pub(crate) forked: NodeSet,
    /// The longest path to an event without parents.
    pub(crate) lamport: u64,
    /// One more than the parents' highest layer m where the ancestors hold
    /// layer-m events of a quorum, else m; 0 without parents.
    pub(crate) layer: u64,
    /// Creators with an event of this layer among the ancestors and the event.
    pub(crate) layer_support: NodeSet,
    /// How many self-ancestors are of the same layer.
    layer_repeats: u32,
    /// The number of the event's record; 0 until it is recorded.
    pub(crate) record: u64,
}

impl Vertex {
    pub(crate) fn creator(&self) -> NodeIndex {
        self.event.header().creator
    }

    /// The column of its branch.
    pub(crate) fn column(&self) -> usize {
        self.branch
    }

    pub(crate) fn seq(&self) -> u64 {
        self.event.header().seq
    }

    /// The self-parent first, the others ascending by creator.
    pub(crate) fn parents(&self) -> impl Iterator<Item = Slot> + '_ {
        self.self_parent
            .iter()
            .chain(self.other_parents.iter())
            .copied()
    }

    fn head(&self, branch: usize) -> u32 {
        self.heads.get(branch).copied().unwrap_or(0)
    }
}

/// One line of a creator's chain.
#[derive(Debug)]
struct Branch {
    /// The sequence number of the first event.
    start: u64,
    events: Vec<Slot>,
}

impl Branch {
    fn at(&self, seq: u64) -> Option<Slot> {
        let offset = usize::try_from(seq.checked_sub(self.start)?).ok()?;
        self.events.get(offset).copied()
    }
}

/// The graph as far as this node has it.
#[derive(Debug)]
pub(crate) struct Dag {
    weights: Weights,
    branches_max: usize,
    layer_events_max: u32,
    vertices: Vec<Vertex>,
    by_id: Index,
    /// The first columns are the main branches, by creator.
    branches: Vec<Branch>,
    branches_of: Vec<Vec<usize>>,
    /// Creators with more than one branch.
    branched: NodeSet,
    encoded_bytes: usize,
}

impl Dag {
    /// An empty graph over these creators.
    pub(crate) fn new(weights: Weights, limits: &Limits) -> Self {
        let members = weights.members();
        let branch = || Branch {
            start: 0,
            events: Vec::new(),
        };
        Self {
            weights,
            branches_max: limits.branches_max,
            layer_events_max: limits.layer_events_max,
            vertices: Vec::new(),
            by_id: Index::default(),
            branches: (0..members).map(|_| branch()).collect(),
            branches_of: (0..members).map(|column| vec![column]).collect(),
            branched: NodeSet::default(),
            encoded_bytes: 0,
        }
    }

    /// How many creators there are.
    pub(crate) fn members(&self) -> usize {
        self.branches_of.len()
    }

    /// All creators, ascending.
    pub(crate) fn creators(&self) -> impl Iterator<Item = NodeIndex> + use<> {
        (0..self.members())
            .filter_map(|position| u16::try_from(position).ok())
            .map(NodeIndex)
    }

    /// How much each creator counts.
    pub(crate) fn weights(&self) -> &Weights {
        &self.weights
    }

    pub(crate) fn len(&self) -> usize {
        self.vertices.len()
    }

    pub(crate) fn encoded_bytes(&self) -> usize {
        self.encoded_bytes
    }

    pub(crate) fn find(&self, id: &Digest) -> Option<Slot> {
        self.by_id
            .find(id, |slot| self.vertex(slot).event.id() == *id)
    }

    /// Notes the event's record.
    pub(crate) fn set_record(&mut self, slot: Slot, record: u64) {
        self.vertices[slot as usize].record = record;
    }

    pub(crate) fn vertex(&self, slot: Slot) -> &Vertex {
        &self.vertices[slot as usize]
    }

    /// How many events of the creator's main branch are there.
    pub(crate) fn chain_len(&self, creator: NodeIndex) -> u64 {
        self.branches[creator.position()].events.len() as u64
    }

    /// The last event of the creator's main branch.
    pub(crate) fn tip(&self, creator: NodeIndex) -> Option<Slot> {
        self.branches[creator.position()].events.last().copied()
    }

    /// All events of the creator with this sequence number, over all branches.
    pub(crate) fn all_at(&self, creator: NodeIndex, seq: u64) -> impl Iterator<Item = Slot> + '_ {
        let columns = self
            .branches_of
            .get(creator.position())
            .map_or(&[][..], Vec::as_slice);
        columns
            .iter()
            .filter_map(move |&column| self.branches[column].at(seq))
    }

    /// How many columns there are: one per creator and one more per fork.
    pub(crate) fn columns(&self) -> usize {
        self.branches.len()
    }

    /// The events of a column from this position on, in order of the chain.
    pub(crate) fn column_from(&self, column: usize, position: usize) -> &[Slot] {
        self.branches[column]
            .events
            .get(position..)
            .unwrap_or_default()
    }

    /// One more than the slot of x's highest ancestor in the column; 0 for none.
    pub(crate) fn head(&self, x: Slot, column: usize) -> u32 {
        self.vertex(x).head(column)
    }
}
