//! A graph as it is written down: names, parents, and nothing that follows.
//!
//! What a file, a drawing or a running node hands over before anything is
//! checked. An event may name parents that are not there: [`super::explain`]
//! refuses such a graph, the drawings show the loose ends of a window.

use std::collections::BTreeMap;

use crate::ordering::{Ordering, Profile};

/// Events of one graph at most: about as many as one epoch ever holds.
pub const GRAPH_EVENTS_MAX: usize = 100_000;

/// Events, who may make them, and by which rules they are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Graph {
    /// Who takes part, in the order of the columns of a drawing.
    pub validators: Vec<Validator>,
    /// Who counts from which round on; empty where all always do.
    pub sets: Vec<ValidatorSet>,
    /// The events. Parents may be listed before or after their children.
    pub events: Vec<GraphEvent>,
    /// The rules.
    pub variant: Variant,
}

/// One member and its say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validator {
    /// Its number in the file; need not be its position.
    pub id: u64,
    /// Its weight in every quorum.
    pub weight: u64,
}

/// The members that count in a round and those after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatorSet {
    /// The first round of the set.
    pub from_round: u64,
    /// Ids of validators.
    pub members: Vec<u64>,
}

/// One event by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GraphEvent {
    /// The name, unique in the graph.
    pub id: String,
    /// The id of the validator that made it.
    pub creator: u64,
    /// Its place in its creator's chain, from 0; follows from the parents
    /// where it is not given.
    pub index: Option<u64>,
    /// The event before in its creator's chain.
    pub self_parent: Option<String>,
    /// At most one of each other creator.
    pub other_parents: Vec<String>,
    /// What it carries, for the blocks to name.
    pub transactions: Vec<String>,
    /// Its creator's clock. Where it is not given: a millisecond after the
    /// latest parent, 0 without parents.
    pub timestamp_ms: Option<u64>,
}

/// The rules by which a graph is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Profile, order, coin frequency.
    pub ordering: Ordering,
    /// The coins of events by name; one that is not here says yes.
    pub coin_bits: BTreeMap<String, bool>,
    /// Babble's rule: an event is received in a round after its own, and only
    /// where the judges are a quorum.
    pub received_needs_supermajority: bool,
}

impl Default for Variant {
    /// The published algorithm, since a published graph says nothing else.
    fn default() -> Self {
        Self {
            ordering: Ordering {
                profile: Profile::Classic,
                unanimity: false,
                ..Ordering::STANDARD
            },
            coin_bits: BTreeMap::new(),
            received_needs_supermajority: false,
        }
    }
}
