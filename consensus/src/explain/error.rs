//! Why a graph is no graph.

use super::graph::GRAPH_EVENTS_MAX;
use crate::roster::ROSTER_MEMBERS_MAX;

/// Why a graph is refused. Whatever is wrong with an event names it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// There is no validator, or there are too many.
    #[error("{0} validators; a graph has 1 to {ROSTER_MEMBERS_MAX}")]
    Validators(usize),
    /// Two validators have one id.
    #[error("validator {0} is listed twice")]
    ValidatorTwice(u64),
    /// Their weights are nothing, or more than can be counted.
    #[error("the weights of the validators add up to nothing, or to 2^30 or more")]
    Weights,
    /// A set of validators is not usable.
    #[error("the validator set from round {from_round} {problem}")]
    Set {
        /// Which set.
        from_round: u64,
        /// What is wrong with it, as the end of a sentence.
        problem: SetProblem,
    },
    /// The coin would leave no step to decide in.
    #[error("a coin in every step number {0}; deciding needs 3 or more")]
    CoinFrequency(u32),
    /// There are too many events.
    #[error("{0} events; a graph has {GRAPH_EVENTS_MAX} at most")]
    TooManyEvents(usize),
    /// Something is wrong with one event.
    #[error("event {event}: {problem}")]
    Event {
        /// The event's name.
        event: String,
        /// What is wrong with it.
        problem: EventProblem,
    },
    /// A question names an event that is not there.
    #[error("event {0} is not in the graph")]
    NotThere(String),
}

/// What is wrong with a set of validators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SetProblem {
    /// Its member is no validator.
    #[error("names {0}, which is no validator")]
    Stranger(u64),
    /// Its member is named twice.
    #[error("names {0} twice")]
    Twice(u64),
    /// Nobody counts in it.
    #[error("has no weight")]
    Empty,
    /// The sets do not begin at round 0 and rise.
    #[error("is out of order: the first begins at round 0, and each later than the one before")]
    Order,
    /// Layers have one set a graph.
    #[error("is one too many: the layered profile has one set for the whole graph")]
    Layered,
}

/// What is wrong with an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventProblem {
    /// Another event has the same name.
    #[error("its id is taken by another event")]
    Twice,
    /// Its creator is no validator.
    #[error("its creator {0} is no validator")]
    Stranger(u64),
    /// A parent is not in the graph.
    #[error("its parent {0} is not in the graph")]
    UnknownParent(String),
    /// It is among its own ancestors.
    #[error("it is its own ancestor: the parents make a cycle")]
    Cycle,
    /// The self-parent was made by somebody else.
    #[error("its self-parent {parent} was made by {creator}")]
    ForeignSelfParent {
        /// The parent's name.
        parent: String,
        /// Who made it.
        creator: u64,
    },
    /// An other-parent was made by the event's own creator.
    #[error("its other-parent {0} was made by its own creator")]
    OwnOtherParent(String),
    /// Two other-parents were made by one creator.
    #[error("two of its other-parents were made by {0}")]
    TwoOtherParents(u64),
    /// Its place in the chain is not the first, but no self-parent is named.
    #[error("its index is {0}, but it has no self-parent")]
    NoSelfParent(u64),
    /// Its place in the chain is not the one after its self-parent's.
    #[error("its index is {index}, but it follows from its self-parent that it is {expected}")]
    WrongIndex {
        /// What the graph says.
        index: u64,
        /// What its self-parent says.
        expected: u64,
    },
    /// Its time is outside what the engine counts.
    #[error("its time is beyond what is counted")]
    Time,
}

impl GraphError {
    /// A stable name for programs, such as `graph.unknown_parent`.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Validators(_) => "graph.validators",
            Self::ValidatorTwice(_) => "graph.validator_twice",
            Self::Weights => "graph.weights",
            Self::Set { .. } => "graph.validator_set",
            Self::CoinFrequency(_) => "graph.coin_freq",
            Self::TooManyEvents(_) => "graph.events_max",
            Self::NotThere(_) => "graph.event",
            Self::Event { problem, .. } => match problem {
                EventProblem::Twice => "graph.duplicate_id",
                EventProblem::Stranger(_) => "graph.unknown_creator",
                EventProblem::UnknownParent(_) => "graph.unknown_parent",
                EventProblem::Cycle => "graph.cycle",
                EventProblem::ForeignSelfParent { .. } => "graph.self_parent_creator",
                EventProblem::OwnOtherParent(_) => "graph.own_other_parent",
                EventProblem::TwoOtherParents(_) => "graph.two_other_parents",
                EventProblem::NoSelfParent(_) => "graph.self_parent_missing",
                EventProblem::WrongIndex { .. } => "graph.index",
                EventProblem::Time => "graph.time",
            },
        }
    }

    /// The event at fault.
    #[must_use]
    pub fn event(&self) -> Option<&str> {
        match self {
            Self::Event { event, .. } | Self::NotThere(event) => Some(event),
            _ => None,
        }
    }
}
