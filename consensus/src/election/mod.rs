//! Who judges: elections by virtual voting, in one of two profiles.
//!
//! Each event is inserted once, behind its parents; what it decides is decided
//! in the same call. Decisions depend on the graph only, so nodes that know
//! different parts of it never contradict each other.

mod ballot;
mod classic;
mod firsts;
mod layered;

use crate::dag::{Dag, Slot};
use crate::ordering::{Ordering, Profile};
use crate::weights::Weights;
use ballot::Ballot;
use classic::Classic;
use layered::Layered;

/// What the election made of an event, once that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// No candidate (classic: no witness).
    None,
    /// A candidate that no finished election names: the rules tell more.
    Candidate,
    Elected,
    NotElected,
}

#[derive(Debug)]
enum Rules {
    Classic(Classic),
    Layered(Layered),
}

/// The elections of all rounds or layers of one graph.
#[derive(Debug)]
pub(crate) struct Election {
    rules: Rules,
    /// By slot.
    marks: Vec<Mark>,
    /// Votes in rounds or layers done that a coin decided.
    tosses: u64,
}

impl Election {
    /// The elections of an empty graph.
    ///
    /// # Panics
    /// Where the coin frequency leaves no step to decide in.
    pub(crate) fn new(ordering: &Ordering) -> Self {
        assert!(
            ordering.coin_frequency > 2,
            "deciding needs two steps between coins"
        );
        let rules = match ordering.profile {
            Profile::Classic => Rules::Classic(Classic::new(ordering, Vec::new())),
            Profile::Layered => Rules::Layered(Layered::new(ordering)),
        };
        Self {
            rules,
            marks: Vec::new(),
            tosses: 0,
        }
    }

    /// Classic elections among nodes that change: each entry holds from its
    /// round on, ascending, the first from round 0. Before that, and without
    /// entries, the graph's own weights count. For graphs made elsewhere; ours
    /// never change within one graph.
    pub(crate) fn with_sets(ordering: &Ordering, sets: Vec<(u64, Weights)>) -> Self {
        let mut election = Self::new(ordering);
        if ordering.profile == Profile::Classic {
            election.rules = Rules::Classic(Classic::new(ordering, sets));
        }
        election
    }

    /// The first round or layer that is not done.
    pub(crate) fn first_open(&self) -> u64 {
        match &self.rules {
            Rules::Classic(rules) => rules.first_open(),
            Rules::Layered(rules) => rules.first_open(),
        }
    }

    /// Takes the event inserted last.
    pub(crate) fn insert(&mut self, dag: &Dag, slot: Slot) {
        assert!(
            self.marks.len() == slot as usize,
            "events are judged in order of insertion"
        );
        match &mut self.rules {
            Rules::Classic(rules) => rules.insert(dag, slot),
            Rules::Layered(rules) => rules.insert(dag, slot),
        }
        let candidate = match &self.rules {
            Rules::Classic(rules) => rules.is_witness(slot),
            Rules::Layered(_) => starts_layer(dag, slot),
        };
        self.marks.push(if candidate {
            Mark::Candidate
        } else {
            Mark::None
        });
    }

    /// The next round or layer to be done, with its judges: those elected, one
    /// per creator, ascending by id. Call until it says `None`.
    pub(crate) fn next_done(&mut self, dag: &Dag) -> Option<(u64, Vec<Slot>)> {
        let (round, ballot, judges) = match &mut self.rules {
            Rules::Classic(rules) => rules.next_done(dag),
            Rules::Layered(rules) => rules.next_done(dag),
        }?;
        self.tosses += ballot.tosses();
        self.mark(&ballot);
        Some((round, judges))
    }

    /// How many votes in the rounds or layers done were decided by a coin.
    pub(crate) fn tosses(&self) -> u64 {
        self.tosses
    }

    fn mark(&mut self, ballot: &Ballot) {
        for (slot, verdict) in ballot.candidates() {
            self.marks[slot as usize] = match verdict {
                Some(true) => Mark::Elected,
                _ => Mark::NotElected,
            };
        }
    }

    /// The event's round (classic) or layer.
    pub(crate) fn round_of(&self, dag: &Dag, slot: Slot) -> u64 {
        match &self.rules {
            Rules::Classic(rules) => rules.round_of(slot),
            Rules::Layered(_) => dag.vertex(slot).layer,
        }
    }

    /// Whether the event is a candidate: a witness, in the classic profile.
    pub(crate) fn is_candidate(&self, slot: Slot) -> bool {
        self.marks[slot as usize] != Mark::None
    }

    /// Whether the candidate was elected (is famous); `None` while that is open.
    pub(crate) fn famous(&self, dag: &Dag, slot: Slot) -> Option<bool> {
        match self.marks[slot as usize] {
            Mark::Elected => Some(true),
            Mark::NotElected => Some(false),
            Mark::None => None,
            Mark::Candidate => {
                let round = self.round_of(dag, slot);
                match &self.rules {
                    Rules::Classic(rules) => rules.verdict(round, slot),
                    Rules::Layered(rules) => rules.verdict(round, slot),
                }
            }
        }
    }

    /// How much each creator counts in this round.
    pub(crate) fn weights<'a>(&'a self, dag: &'a Dag, round: u64) -> &'a Weights {
        match &self.rules {
            Rules::Classic(rules) => rules.weights(dag, round),
            Rules::Layered(_) => dag.weights(),
        }
    }
}

/// Whether the event is its chain's first in its layer, and counts.
fn starts_layer(dag: &Dag, slot: Slot) -> bool {
    let vertex = dag.vertex(slot);
    let before = vertex.self_parent.map(|parent| dag.vertex(parent).layer);
    before != Some(vertex.layer) && dag.weights().one(vertex.creator()) > 0
}
