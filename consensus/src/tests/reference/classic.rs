//! Rounds, witnesses and fame.

use std::collections::BTreeMap;

use super::Reference;

impl Reference {
    fn witnesses(&self, round: u64) -> Vec<usize> {
        (0..self.rounds.len())
            .filter(|&e| self.rounds[e] == round && self.candidate[e])
            .collect()
    }

    pub(super) fn place_in_rounds(&mut self) {
        for x in 0..self.events.len() {
            let rounds = self.parents[x].iter().map(|&parent| self.rounds[parent]);
            let (round, basis) = match rounds.max() {
                None => (0, x),
                Some(r) if self.strongly_seen(x, &self.witnesses(r)).is_some() => (r + 1, x),
                Some(r) => {
                    let mut parents = self.parents[x].iter();
                    let first = parents.find(|&&parent| self.rounds[parent] == r);
                    (r, self.basis[*first.unwrap()])
                }
            };
            let before = self.self_parent(x).map(|before| self.rounds[before]);
            self.rounds.push(round);
            self.basis.push(basis);
            let counts = self.weight_of(x) > 0;
            self.candidate
                .push(counts && before.is_none_or(|before| before < round));
        }
    }

    /// Whether the witness is famous; `None` while undecided.
    fn famous(&self, candidate: usize) -> Option<bool> {
        let round = self.rounds[candidate];
        let last = self.rounds.iter().max().copied().unwrap_or(0);
        let voters = self.witnesses(round + 1).into_iter();
        let mut votes: BTreeMap<usize, bool> = voters
            .map(|voter| (voter, self.see(voter, candidate)))
            .collect();
        let mut verdict = None;
        for step in 2..=last.saturating_sub(round) {
            let before = self.witnesses(round + step - 1);
            let mut next = BTreeMap::new();
            for voter in self.witnesses(round + step) {
                let counted = self
                    .strongly_seen(voter, &before)
                    .or_else(|| self.strongly_seen(self.basis[voter], &before))
                    .unwrap();
                let (vote, decides) = self.later_vote(voter, step, &counted, &votes);
                if decides {
                    assert_ne!(verdict, Some(!vote), "two voters decide differently");
                    verdict = Some(vote);
                }
                next.insert(voter, vote);
            }
            if verdict.is_some() {
                break;
            }
            votes = next;
        }
        verdict
    }

    /// The fame of all witnesses of a done round; `None` where it is not done.
    pub(super) fn round_verdicts(&self, round: u64) -> Option<Vec<(usize, bool)>> {
        if self.witnesses(round + 2).is_empty() {
            return None;
        }
        let witnesses = self.witnesses(round).into_iter();
        witnesses
            .map(|w| self.famous(w).map(|famous| (w, famous)))
            .collect()
    }
}
