//! The definitions, word for word and slow: sets of ancestors, no indices, no
//! memory between questions.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use crate::crypto::sha256;
use crate::event::Event;
use crate::id::{Digest, NodeIndex, Timestamp};
use crate::roster::quorum;

pub(super) struct Reference {
    members: usize,
    coin_frequency: u64,
    events: Vec<Event>,
    parents: Vec<Vec<usize>>,
    ancestors: Vec<BTreeSet<usize>>,
    pub(super) rounds: Vec<u64>,
    basis: Vec<usize>,
    /// Per event, the creators of whom its ancestors hold a fork.
    forked: Vec<BTreeSet<NodeIndex>>,
    pub(super) witness: Vec<bool>,
    /// How often a coin was tossed.
    pub(super) tosses: Cell<usize>,
}

impl Reference {
    pub(super) fn new(members: usize, coin_frequency: u64, events: Vec<Event>) -> Self {
        let places: BTreeMap<Digest, usize> = events
            .iter()
            .enumerate()
            .map(|(place, event)| (event.id(), place))
            .collect();
        let parents: Vec<Vec<usize>> = events
            .iter()
            .map(|event| {
                let header = event.header();
                header
                    .self_parent
                    .iter()
                    .chain(header.other_parents.iter().map(|p| &p.id))
                    .map(|id| places[id])
                    .collect()
            })
            .collect();
        let mut ancestors: Vec<BTreeSet<usize>> = Vec::new();
        for (place, parents) in parents.iter().enumerate() {
            let mut all: BTreeSet<usize> = parents
                .iter()
                .flat_map(|&parent| ancestors[parent].clone())
                .collect();
            all.insert(place);
            ancestors.push(all);
        }
        let mut reference = Self {
            members,
            coin_frequency,
            events,
            parents,
            ancestors,
            rounds: Vec::new(),
            basis: Vec::new(),
            forked: Vec::new(),
            witness: Vec::new(),
            tosses: Cell::new(0),
        };
        let creators: BTreeSet<NodeIndex> = reference
            .events
            .iter()
            .map(|event| event.header().creator)
            .collect();
        reference.forked = (0..reference.events.len())
            .map(|x| {
                creators
                    .iter()
                    .copied()
                    .filter(|&creator| reference.holds_fork(x, creator))
                    .collect()
            })
            .collect();
        reference.place_all();
        reference
    }

    fn creator(&self, event: usize) -> NodeIndex {
        self.events[event].header().creator
    }

    fn self_parent(&self, event: usize) -> Option<usize> {
        self.events[event]
            .header()
            .self_parent
            .map(|_| self.parents[event][0])
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

    pub(super) fn forked(&self, x: usize, creator: NodeIndex) -> bool {
        self.forked[x].contains(&creator)
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
        self.ancestor(x, y) && !self.forked(x, self.creator(y))
    }

    pub(super) fn strongly_see(&self, x: usize, y: usize) -> bool {
        let through: BTreeSet<NodeIndex> = self.ancestors[x]
            .iter()
            .filter(|&&z| self.ancestor(z, y) && self.see(x, z) && self.see(z, y))
            .map(|&z| self.creator(z))
            .collect();
        through.len() >= quorum(self.members)
    }

    fn witnesses(&self, round: u64) -> Vec<usize> {
        (0..self.rounds.len())
            .filter(|&e| self.rounds[e] == round && self.witness[e])
            .collect()
    }

    fn strongly_seen(&self, x: usize, round: u64) -> Option<Vec<usize>> {
        let seen: Vec<usize> = self
            .witnesses(round)
            .into_iter()
            .filter(|&w| self.strongly_see(x, w))
            .collect();
        let creators: BTreeSet<NodeIndex> = seen.iter().map(|&w| self.creator(w)).collect();
        (creators.len() >= quorum(self.members)).then_some(seen)
    }

    fn place_all(&mut self) {
        for x in 0..self.events.len() {
            let highest = self.parents[x]
                .iter()
                .map(|&parent| self.rounds[parent])
                .max();
            let (round, basis) = match highest {
                None => (0, x),
                Some(r) if self.strongly_seen(x, r).is_some() => (r + 1, x),
                Some(r) => {
                    let first = self.parents[x]
                        .iter()
                        .find(|&&parent| self.rounds[parent] == r)
                        .unwrap();
                    (r, self.basis[*first])
                }
            };
            let witness = self
                .self_parent(x)
                .is_none_or(|before| self.rounds[before] < round);
            self.rounds.push(round);
            self.basis.push(basis);
            self.witness.push(witness);
        }
    }

    /// Whether the witness is famous; `None` while undecided.
    fn famous(&self, candidate: usize) -> Option<bool> {
        let round = self.rounds[candidate];
        let last = self.rounds.iter().max().copied().unwrap_or(0);
        let mut votes: BTreeMap<usize, bool> = BTreeMap::new();
        for voter in self.witnesses(round + 1) {
            votes.insert(voter, self.see(voter, candidate));
        }
        for step in 2..=last.saturating_sub(round) {
            let mut next = BTreeMap::new();
            for voter in self.witnesses(round + step) {
                let before = round + step - 1;
                let counted = self
                    .strongly_seen(voter, before)
                    .or_else(|| self.strongly_seen(self.basis[voter], before))
                    .unwrap();
                let yes = counted.iter().filter(|&w| votes[w]).count();
                let no = counted.len() - yes;
                let quorum = yes.max(no) >= quorum(self.members);
                let coin = step % self.coin_frequency == 0;
                if quorum && !coin {
                    return Some(yes >= no);
                }
                let toss = self.events[voter].header().coin & 1 == 1;
                self.tosses
                    .set(self.tosses.get() + usize::from(coin && !quorum));
                next.insert(voter, if coin && !quorum { toss } else { yes >= no });
            }
            votes = next;
        }
        None
    }

    /// Judges of all done rounds, in order of rounds, each ascending by id.
    pub(super) fn judges(&self) -> Vec<Vec<usize>> {
        let mut all = Vec::new();
        for round in 0.. {
            let fame: Vec<(usize, Option<bool>)> = self
                .witnesses(round)
                .into_iter()
                .map(|w| (w, self.famous(w)))
                .collect();
            if self.witnesses(round + 2).is_empty()
                || fame.iter().any(|(_, famous)| famous.is_none())
            {
                return all;
            }
            let mut judges: BTreeMap<NodeIndex, usize> = BTreeMap::new();
            for (w, _) in fame.iter().filter(|(_, famous)| *famous == Some(true)) {
                let kept = judges.entry(self.creator(*w)).or_insert(*w);
                if self.events[*w].id() < self.events[*kept].id() {
                    *kept = *w;
                }
            }
            let mut judges: Vec<usize> = judges.into_values().collect();
            judges.sort_by_key(|&judge| self.events[judge].id());
            all.push(judges);
        }
        unreachable!("some round has no witnesses")
    }

    pub(super) fn id(&self, event: usize) -> Digest {
        self.events[event].id()
    }

    /// All received events in their final order.
    pub(super) fn ordered(&self) -> Vec<usize> {
        let mut ordered: Vec<usize> = Vec::new();
        for judges in self.judges().iter().filter(|judges| !judges.is_empty()) {
            let fresh = (0..self.events.len()).filter(|x| {
                !ordered.contains(x) && judges.iter().all(|&judge| self.ancestor(judge, *x))
            });
            let mut received: Vec<_> = fresh.map(|x| (self.key(judges, x), x)).collect();
            received.sort();
            ordered.extend(received.into_iter().map(|(_, x)| x));
        }
        ordered
    }

    fn key(&self, judges: &[usize], x: usize) -> (Timestamp, Timestamp, usize, Vec<u8>) {
        let mut times: Vec<Timestamp> = judges
            .iter()
            .map(|&judge| {
                let mut first = judge;
                while let Some(before) = self
                    .self_parent(first)
                    .filter(|&before| self.ancestor(before, x))
                {
                    first = before;
                }
                self.events[first].header().timestamp
            })
            .collect();
        times.sort_unstable();
        let median = (times.len() - 1) / 2;
        let ids: Vec<Digest> = judges
            .iter()
            .map(|&judge| self.events[judge].id())
            .collect();
        let ids: Vec<&[u8]> = ids.iter().map(|id| &id.0[..]).collect();
        let white = sha256(b"dctrl/whitening/1\0", &ids);
        let whitened = self.events[x]
            .id()
            .0
            .iter()
            .zip(white.0)
            .map(|(a, b)| a ^ b)
            .collect();
        (
            times[median],
            times[(median + 1).min(times.len() - 1)],
            self.depth(x),
            whitened,
        )
    }

    /// The longest path down, from the bottom up: events stand behind their parents.
    fn depth(&self, x: usize) -> usize {
        let mut depths: BTreeMap<usize, usize> = BTreeMap::new();
        for &event in &self.ancestors[x] {
            let depth = self.parents[event]
                .iter()
                .map(|parent| depths[parent] + 1)
                .max()
                .unwrap_or(0);
            depths.insert(event, depth);
        }
        depths[&x]
    }
}
