//! The votes on the candidates of one round or layer.
//!
//! - Voters of the first step vote yes on the candidates that they see.
//! - A later voter takes the majority of the votes of the step before that it
//!   strongly sees, a tie being yes, and decides where a quorum of them agrees.
//! - In a coin step nobody decides; a voter keeps what a quorum of them says,
//!   and else tosses the coin in its event.
//!
//! Why all agree: no two nodes strongly see different twins, so a quorum that
//! one voter counted yes leaves every other voter of that step, which counts a
//! quorum too, a majority of yes; from the next step on all votes are yes.
//!
//! A candidate that turns up behind a voter of the second step is below none of
//! the votes which that voter counted: that voter decides no, and so do all.
//! Thus a vote that was never cast on a candidate is a no, and bits start at 0.

use crate::dag::{Dag, Slot};
use crate::id::NodeIndex;
use crate::node_set::NodeSet;
use crate::tally::Tally;
use crate::weights::Weights;

/// Questions in one word.
const WORD: usize = 128;

/// One voter's votes: bit i is its yes on the candidate at position i.
#[derive(Debug, Default, Clone)]
pub(super) struct Votes {
    first: u128,
    /// Behind 128 candidates, which takes forkers.
    more: Vec<u128>,
}

impl Votes {
    pub(super) fn word(&self, index: usize) -> u128 {
        match index.checked_sub(1) {
            None => self.first,
            Some(index) => self.more.get(index).copied().unwrap_or(0),
        }
    }

    fn put(&mut self, index: usize, word: u128) {
        match index.checked_sub(1) {
            None => self.first = word,
            Some(index) => {
                if self.more.len() <= index {
                    self.more.resize(index + 1, 0);
                }
                self.more[index] = word;
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    slot: Slot,
    verdict: Option<bool>,
}

/// Candidates, votes by step, and what is decided.
#[derive(Debug, Default)]
pub(super) struct Ballot {
    candidates: Vec<Candidate>,
    undecided: usize,
    /// `votes[k - 1][i]`: what the i-th voter of step k says.
    votes: Vec<Vec<Votes>>,
    /// Votes on open candidates that a coin decided.
    tosses: u64,
}

/// How much weight of first votes, that say the same, settles a candidate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Enough {
    pub(super) yes: u32,
    pub(super) no: u32,
}

/// A creator's first votes on 128 candidates.
struct Said {
    creator: NodeIndex,
    yes: u128,
    no: u128,
}

/// The votes that a later voter counts.
pub(super) struct Count<'a> {
    /// Its step, from 2.
    pub(super) step: usize,
    /// The positions of the voters before that it strongly sees, with weights.
    pub(super) seen: &'a [(usize, u32)],
    /// The voter's coin, in a coin step.
    pub(super) coin: Option<bool>,
}

impl Ballot {
    pub(super) fn candidates(&self) -> impl Iterator<Item = (Slot, Option<bool>)> + '_ {
        let candidates = self.candidates.iter();
        candidates.map(|candidate| (candidate.slot, candidate.verdict))
    }

    pub(super) fn verdict(&self, slot: Slot) -> Option<bool> {
        let mut candidates = self.candidates.iter();
        candidates
            .find(|candidate| candidate.slot == slot)
            .and_then(|candidate| candidate.verdict)
    }

    /// Whether there is a candidate and all known ones are decided.
    pub(super) fn all_decided(&self) -> bool {
        self.undecided == 0 && !self.candidates.is_empty()
    }

    /// Whether a voter of the second step is known: whoever it does not know as
    /// a candidate will never be elected.
    fn second_step(&self) -> bool {
        self.votes.get(1).is_some_and(|voters| !voters.is_empty())
    }

    /// Whether all is decided, for candidates that are still unknown too.
    pub(super) fn complete(&self) -> bool {
        self.all_decided() && self.second_step()
    }

    /// A candidate is known now. The voters so far do not descend from it.
    pub(super) fn nominate(&mut self, slot: Slot) {
        let verdict = self.second_step().then_some(false);
        self.undecided += usize::from(verdict.is_none());
        self.candidates.push(Candidate { slot, verdict });
    }

    fn decide(&mut self, position: usize, yes: bool) {
        let candidate = &mut self.candidates[position];
        if candidate.verdict.is_none() {
            candidate.verdict = Some(yes);
            self.undecided -= 1;
        }
    }

    /// The next voter of the first step.
    pub(super) fn first_vote(&mut self, dag: &Dag, voter: Slot) {
        let mut votes = Votes::default();
        for (index, group) in self.candidates.chunks(WORD).enumerate() {
            let sees = |(bit, candidate): (usize, &Candidate)| {
                u128::from(dag.see(voter, candidate.slot)) << bit
            };
            let word = group.iter().enumerate().map(sees).fold(0, |a, b| a | b);
            votes.put(index, word);
        }
        self.push(1, votes);
    }

    /// The next voter of a later step.
    pub(super) fn later_vote(&mut self, count: &Count, weights: &Weights, tally: &mut Tally) {
        let quorum = weights.quorum();
        let total: u32 = count.seen.iter().map(|&(_, weight)| weight).sum();
        let mut votes = Votes::default();
        for index in 0..self.candidates.len().div_ceil(WORD) {
            tally.clear();
            let before = &self.votes[count.step - 2];
            for &(position, weight) in count.seen {
                tally.add(before[position].word(index), weight);
            }
            let yes = tally.at_least(quorum);
            // As many as `total - quorum` yes votes leave a quorum of no.
            let no = !tally.at_least((total + 1).saturating_sub(quorum));
            let word = match count.coin {
                Some(coin) => yes | !(yes | no) & if coin { u128::MAX } else { 0 },
                None => tally.at_least(total.div_ceil(2)),
            };
            votes.put(index, word);
            if count.coin.is_none() {
                self.settle(index, yes, no);
            } else {
                self.tosses += self.open_among(index, !(yes | no));
            }
        }
        self.push(count.step, votes);
    }

    /// How many of these candidates, out of 128, are not decided.
    fn open_among(&self, index: usize, bits: u128) -> u64 {
        let group = self.candidates.iter().skip(index * WORD).take(WORD);
        let open = |(at, candidate): &(usize, &Candidate)| {
            candidate.verdict.is_none() && bits >> at & 1 == 1
        };
        group.enumerate().filter(open).count() as u64
    }

    /// Votes on open candidates that a coin decided.
    pub(super) fn tosses(&self) -> u64 {
        self.tosses
    }

    fn settle(&mut self, index: usize, yes: u128, no: u128) {
        let begin = index * WORD;
        let end = self.candidates.len().min(begin + WORD);
        for position in begin..end {
            let bit = 1 << (position - begin);
            if (yes | no) & bit != 0 {
                self.decide(position, yes & bit != 0);
            }
        }
    }

    fn push(&mut self, step: usize, votes: Votes) {
        if self.votes.len() < step {
            self.votes.resize_with(step, Vec::new);
        }
        self.votes[step - 1].push(votes);
    }

    /// Decides what the first votes show. `creators` are those of the voters, by
    /// position; one that voted twice counts for both of what it said.
    pub(super) fn agree(
        &mut self,
        creators: &[NodeIndex],
        weights: &Weights,
        enough: &Enough,
        tally: &mut Tally,
    ) {
        for index in 0..self.candidates.len().div_ceil(WORD) {
            let said = self.said(creators, index);
            let mut who = |of: fn(&Said) -> u128, least: u32| {
                tally.clear();
                for each in &said {
                    tally.add(of(each), weights.one(each.creator));
                }
                tally.at_least(least)
            };
            let yes = who(|said| said.yes, enough.yes);
            let no = who(|said| said.no, enough.no);
            self.settle(index, yes, no & !yes);
        }
    }

    /// What each creator said in the first step about 128 candidates.
    fn said(&self, creators: &[NodeIndex], index: usize) -> Vec<Said> {
        let voters = self.votes.first().map_or(&[][..], Vec::as_slice);
        let mut said: Vec<Said> = Vec::with_capacity(creators.len());
        let mut met = NodeSet::default();
        for (&creator, votes) in creators.iter().zip(voters) {
            let yes = votes.word(index);
            let before = met.contains(creator);
            met.insert(creator);
            let twin = said
                .iter_mut()
                .find(|said| before && said.creator == creator);
            match twin {
                Some(twin) => (twin.yes, twin.no) = (twin.yes | yes, twin.no | !yes),
                None => said.push(Said {
                    creator,
                    yes,
                    no: !yes,
                }),
            }
        }
        said
    }

    /// Those elected: one per creator, the one with the lowest id where twins
    /// are, ascending by id.
    pub(super) fn judges(&self, dag: &Dag) -> Vec<Slot> {
        let elected = self.candidates.iter();
        let mut judges: Vec<Slot> = elected
            .filter(|candidate| candidate.verdict == Some(true))
            .map(|candidate| candidate.slot)
            .collect();
        judges.sort_unstable_by_key(|&slot| {
            let event = &dag.vertex(slot).event;
            (event.header().creator, event.id())
        });
        judges.dedup_by_key(|slot| dag.vertex(*slot).creator());
        judges.sort_unstable_by_key(|&slot| dag.vertex(slot).event.id());
        judges
    }

    /// Forgets the votes: all is decided.
    pub(super) fn close(&mut self) {
        self.votes = Vec::new();
    }
}
