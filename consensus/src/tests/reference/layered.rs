//! Layers, candidates and voters.

use std::collections::{BTreeMap, BTreeSet};

use super::Reference;
use crate::id::NodeIndex;

impl Reference {
    pub(super) fn place_in_layers(&mut self) {
        for x in 0..self.events.len() {
            let below = || self.ancestors[x].iter().copied().filter(|&e| e != x);
            let layer = match below().map(|e| self.rounds[e]).max() {
                None => 0,
                Some(m) => {
                    let there = below().filter(|&e| self.rounds[e] == m);
                    let weight = self.weigh(there.map(|e| self.creator(e)));
                    m + u64::from(weight >= self.quorum())
                }
            };
            let before = self.self_parent(x).map(|before| self.rounds[before]);
            self.rounds.push(layer);
            let counts = self.weight_of(x) > 0;
            self.candidate.push(counts && before != Some(layer));
        }
    }

    fn candidates(&self, layer: u64) -> Vec<usize> {
        (0..self.rounds.len())
            .filter(|&e| self.rounds[e] == layer && self.candidate[e])
            .collect()
    }

    /// First events of their chains in a layer above this one.
    fn first_voters(&self, layer: u64) -> Vec<usize> {
        (0..self.rounds.len())
            .filter(|&e| {
                let before = self.self_parent(e).map(|before| self.rounds[before]);
                self.rounds[e] > layer && before.is_none_or(|before| before <= layer)
            })
            .collect()
    }

    /// First events of their chains, from a voter before on, that strongly see
    /// voters of a quorum, each with those.
    fn next_voters(&self, voters: &[usize]) -> Vec<(usize, Vec<usize>)> {
        let mut next: Vec<(usize, Vec<usize>)> = Vec::new();
        for x in 0..self.events.len() {
            let behind = voters.iter().any(|&voter| self.self_ancestor(x, voter));
            let already = next.iter().any(|(voter, _)| self.self_ancestor(x, *voter));
            if behind && !already {
                let seen = self.strongly_seen(x, voters);
                next.extend(seen.map(|seen| (x, seen)));
            }
        }
        next
    }

    /// What the candidate is, by the votes; `None` while undecided. With the
    /// shortcut on, V1 that agree are enough.
    fn elected(&self, candidate: usize, steps: &[Vec<(usize, Vec<usize>)>]) -> Option<bool> {
        let first = self.first_voters(self.rounds[candidate]).into_iter();
        let mut votes: BTreeMap<usize, bool> = first
            .map(|voter| (voter, self.see(voter, candidate)))
            .collect();
        if let Some(said) = self.all_say(&votes) {
            return Some(said);
        }
        let mut verdict = None;
        for (voters, step) in steps.iter().zip(2..) {
            let mut next = BTreeMap::new();
            for (voter, counted) in voters {
                let (vote, decides) = self.later_vote(*voter, step, counted, &votes);
                if decides {
                    assert_ne!(verdict, Some(!vote), "two voters decide differently");
                    verdict = Some(vote);
                }
                next.insert(*voter, vote);
            }
            votes = next;
        }
        verdict
    }

    /// What the shortcut makes of these first votes.
    fn all_say(&self, votes: &BTreeMap<usize, bool>) -> Option<bool> {
        let doubt = |said: bool| {
            let voters = votes.iter().filter(|&(_, vote)| *vote == said);
            self.doubt(voters.map(|(voter, _)| *voter))
        };
        if doubt(true)? <= self.quorum() {
            Some(true)
        } else {
            (doubt(false)? < self.quorum()).then_some(false)
        }
    }

    /// Twice the weight of those who may count against these voters; `None`
    /// without the shortcut.
    fn doubt(&self, voters: impl Iterator<Item = usize>) -> Option<u32> {
        let heard: BTreeSet<NodeIndex> = voters.map(|voter| self.creator(voter)).collect();
        let silent = self.total() - self.weigh(heard.into_iter().collect::<Vec<_>>());
        self.ordering
            .unanimity
            .then(|| 2 * (self.faults() + silent))
    }

    /// All candidates of a closed layer; `None` where it is not closed.
    pub(super) fn layer_verdicts(&self, layer: u64) -> Option<Vec<(usize, bool)>> {
        let first = self.first_voters(layer);
        let mut steps: Vec<Vec<(usize, Vec<usize>)>> = Vec::new();
        let mut before = first.clone();
        loop {
            let next = self.next_voters(&before);
            // A node alone is a voter of every step at once.
            if next.is_empty() || self.weights.len() == 1 && !steps.is_empty() {
                break;
            }
            before = next.iter().map(|(voter, _)| *voter).collect();
            steps.push(next);
        }
        let no_counts = self
            .doubt(first.iter().copied())
            .is_some_and(|doubt| doubt < self.quorum());
        if steps.is_empty() && !no_counts {
            return None;
        }
        let candidates = self.candidates(layer).into_iter();
        candidates
            .map(|w| self.elected(w, &steps).map(|elected| (w, elected)))
            .collect()
    }
}
