//! What the engine decides about a graph, by name.

use crate::ordering::Profile;

/// What the engine decides about each event, and what follows for the order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Explanation {
    /// Whether levels are rounds or layers.
    pub profile: Profile,
    /// One for each event of the graph, in its order.
    pub events: Vec<EventExplanation>,
    /// The blocks, in order.
    pub blocks: Vec<BlockExplanation>,
    /// The judges of each done round or layer, ascending by level.
    pub judges: Vec<Judges>,
}

/// What the engine decides about one event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventExplanation {
    /// Its round (classic) or layer (layered).
    pub level: u64,
    /// Whether it is the first event of its creator there, and so stands for election.
    pub witness: bool,
    /// Whether it is famous; `None` while undecided and for what is no witness.
    pub famous: Option<bool>,
    /// Whether it is ordered.
    pub ordered: bool,
    /// The level that received it, where that is told.
    pub received: Option<u64>,
    /// The longest path to an event without parents.
    pub lamport: u64,
    /// Its place among all ordered events, from 0.
    pub order: Option<u64>,
    /// Ids of the validators of whom its ancestors hold a fork.
    pub forked_creators_seen: Vec<u64>,
    /// Whether another event has its creator and its place in the chain.
    pub twin: bool,
}

/// One block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlockExplanation {
    /// Its number, from 0.
    pub index: u64,
    /// The round or layer that received its events.
    pub received: u64,
    /// What it carries, in order.
    pub transactions: Vec<String>,
    /// The consensus time of its last transaction.
    pub timestamp_ms: u64,
}

/// The judges of one round or layer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judges {
    /// The round or layer.
    pub level: u64,
    /// Their names, by creator in the order of the validators.
    pub events: Vec<String>,
}
