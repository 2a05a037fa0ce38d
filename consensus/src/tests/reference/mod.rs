//! The definitions, word for word and slow: sets of ancestors, no indices, no
//! memory between questions.

mod classic;
mod layered;
mod order;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use crate::event::Event;
use crate::id::{Digest, NodeIndex};
use crate::ordering::{Ordering, Profile};

/// A whole graph, its events behind their parents.
pub(super) struct Reference {
    pub(super) ordering: Ordering,
    weights: Vec<u32>,
    events: Vec<Event>,
    parents: Vec<Vec<usize>>,
    ancestors: Vec<BTreeSet<usize>>,
    /// Per event, the creators of whom its ancestors hold a fork.
    forked: Vec<BTreeSet<NodeIndex>>,
    /// Rounds or layers.
    pub(super) rounds: Vec<u64>,
    /// Classic: the event that strongly saw the quorum of the round before.
    basis: Vec<usize>,
    pub(super) candidate: Vec<bool>,
    /// How often a coin was tossed.
    pub(super) tosses: Cell<usize>,
}

impl Reference {
    pub(super) fn new(weights: &[u32], ordering: Ordering, events: Vec<Event>) -> Self {
        let places: BTreeMap<Digest, usize> = events
            .iter()
            .enumerate()
            .map(|(place, event)| (event.id(), place))
            .collect();
        let parents: Vec<Vec<usize>> = events
            .iter()
            .map(|event| {
                let header = event.header();
                let others = header.other_parents.iter().map(|parent| &parent.id);
                let ids = header.self_parent.iter().chain(others);
                ids.map(|id| places[id]).collect()
            })
            .collect();
        let mut ancestors: Vec<BTreeSet<usize>> = Vec::new();
        for (place, parents) in parents.iter().enumerate() {
            let below = parents.iter().flat_map(|&parent| ancestors[parent].clone());
            let mut all: BTreeSet<usize> = below.collect();
            all.insert(place);
            ancestors.push(all);
        }
        let mut reference = Self {
            ordering,
            weights: weights.to_vec(),
            events,
            parents,
            ancestors,
            forked: Vec::new(),
            rounds: Vec::new(),
            basis: Vec::new(),
            candidate: Vec::new(),
            tosses: Cell::new(0),
        };
        let creators = || (0..weights.len()).map(|node| NodeIndex(u16::try_from(node).unwrap()));
        reference.forked = (0..reference.events.len())
            .map(|x| creators().filter(|&c| reference.holds_fork(x, c)).collect())
            .collect();
        match ordering.profile {
            Profile::Classic => reference.place_in_rounds(),
            Profile::Layered => reference.place_in_layers(),
        }
        reference
    }

    fn total(&self) -> u32 {
        self.weights.iter().sum()
    }

    /// The least weight above two thirds.
    fn quorum(&self) -> u32 {
        (0..).find(|q| 3 * q > 2 * self.total()).unwrap()
    }

    /// The most weight below a third.
    fn faults(&self) -> u32 {
        (0..self.total())
            .rev()
            .find(|f| 3 * f < self.total())
            .unwrap()
    }

    fn weigh(&self, creators: impl IntoIterator<Item = NodeIndex>) -> u32 {
        let different: BTreeSet<NodeIndex> = creators.into_iter().collect();
        different.iter().map(|c| self.weights[c.position()]).sum()
    }

    fn weight_of(&self, event: usize) -> u32 {
        self.weights[self.creator(event).position()]
    }

    fn creator(&self, event: usize) -> NodeIndex {
        self.events[event].header().creator
    }

    fn self_parent(&self, event: usize) -> Option<usize> {
        let header = self.events[event].header();
        header.self_parent.map(|_| self.parents[event][0])
    }

    pub(super) fn ancestor(&self, x: usize, y: usize) -> bool {
        self.ancestors[x].contains(&y)
    }

    fn self_ancestor(&self, mut x: usize, y: usize) -> bool {
        while x != y {
            let Some(before) = self.self_parent(x) else {
                return false;
            };
            x = before;
        }
        true
    }

    fn holds_fork(&self, x: usize, creator: NodeIndex) -> bool {
        let own: Vec<usize> = self.ancestors[x]
            .iter()
            .copied()
            .filter(|&e| self.creator(e) == creator)
            .collect();
        own.iter().any(|&a| {
            own.iter()
                .any(|&b| !self.self_ancestor(a, b) && !self.self_ancestor(b, a))
        })
    }

    pub(super) fn see(&self, x: usize, y: usize) -> bool {
        self.ancestor(x, y) && !self.forked[x].contains(&self.creator(y))
    }

    pub(super) fn strongly_see(&self, x: usize, y: usize) -> bool {
        let through = self.ancestors[x]
            .iter()
            .filter(|&&z| self.ancestor(z, y) && self.see(x, z) && self.see(z, y))
            .map(|&z| self.creator(z));
        self.weigh(through) >= self.quorum()
    }

    /// Those of the events that x strongly sees, if they are of a quorum.
    fn strongly_seen(&self, x: usize, events: &[usize]) -> Option<Vec<usize>> {
        let seen: Vec<usize> = events
            .iter()
            .copied()
            .filter(|&w| self.strongly_see(x, w))
            .collect();
        let weight = self.weigh(seen.iter().map(|&w| self.creator(w)));
        (weight >= self.quorum()).then_some(seen)
    }

    /// A later voter's vote, and whether it decides.
    fn later_vote(
        &self,
        voter: usize,
        step: u64,
        counted: &[usize],
        votes: &BTreeMap<usize, bool>,
    ) -> (bool, bool) {
        let total: u32 = counted.iter().map(|&w| self.weight_of(w)).sum();
        let yes_voters = counted.iter().filter(|&w| votes[w]);
        let yes: u32 = yes_voters.map(|&w| self.weight_of(w)).sum();
        let no = total - yes;
        let quorum = yes.max(no) >= self.quorum();
        let coin = step.is_multiple_of(u64::from(self.ordering.coin_frequency));
        if coin && !quorum {
            self.tosses.set(self.tosses.get() + 1);
            return (self.events[voter].header().coin & 1 == 1, false);
        }
        (yes >= no, quorum && !coin)
    }

    /// Of each done round in order: whether each of its candidates is elected.
    pub(super) fn verdicts(&self) -> Vec<Vec<(usize, bool)>> {
        let of = |round| match self.ordering.profile {
            Profile::Classic => self.round_verdicts(round),
            Profile::Layered => self.layer_verdicts(round),
        };
        (0..).map_while(of).collect()
    }

    /// Judges of all done rounds, in order of rounds, each ascending by id.
    pub(super) fn judges(&self) -> Vec<Vec<usize>> {
        let mut all = Vec::new();
        for verdicts in self.verdicts() {
            let mut judges: BTreeMap<NodeIndex, usize> = BTreeMap::new();
            for (w, _) in verdicts.iter().filter(|(_, elected)| *elected) {
                let kept = judges.entry(self.creator(*w)).or_insert(*w);
                if self.events[*w].id() < self.events[*kept].id() {
                    *kept = *w;
                }
            }
            let mut judges: Vec<usize> = judges.into_values().collect();
            judges.sort_by_key(|&judge| self.events[judge].id());
            all.push(judges);
        }
        all
    }

    pub(super) fn id(&self, event: usize) -> Digest {
        self.events[event].id()
    }
}
