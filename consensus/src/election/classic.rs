//! The classic profile: the published hashgraph.
//!
//! - An event's round is r, the highest of its parents' (0 without parents),
//!   or r+1 where it strongly sees round-r witnesses of a quorum of creators.
//! - A witness is its chain's first event in a round, if its creator counts in
//!   that round.
//! - The candidates of round r are its witnesses; the voters of step k are the
//!   witnesses of round r+k. Each counts the votes of the witnesses of the round
//!   before that it strongly sees. How they vote stands in `ballot`.
//! - A round is done when all its witnesses are decided and a witness two
//!   rounds later is known.
//!
//! One rule is sharper than the paper's: where a fork has blinded a witness so
//! that it no longer strongly sees a quorum itself, it counts the votes that
//! the ancestor which brought it into its round strongly sees. So each voter
//! counts a quorum, which the proof of agreement needs.
//!
//! The words of done rounds are dropped. An event that comes so late that its
//! parents are in such a round is placed by the definition, O(n) per witness.

use std::collections::VecDeque;

use super::ballot::{Ballot, Count};
use super::firsts::{Firsts, Scratch};
use crate::dag::{Dag, Slot};
use crate::node_set::NodeSet;
use crate::ordering::Ordering;
use crate::tally::Tally;
use crate::weights::Weights;

/// Where an event stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    round: u32,
    witness: bool,
    /// The event itself or an ancestor of the same round that strongly sees a
    /// quorum of the round before.
    basis: Slot,
}

/// The rounds of all events, and the elections of the open rounds.
#[derive(Debug)]
pub(super) struct Classic {
    coin_frequency: usize,
    sets: Vec<(u64, Weights)>,
    places: Vec<Place>,
    /// The witnesses of all rounds.
    witnesses: Vec<Vec<Slot>>,
    /// The round of `open[0]`: all below are handed out.
    first_open: usize,
    open: VecDeque<Round>,
    scratch: Scratch,
    tally: Tally,
}

#[derive(Debug)]
struct Round {
    witnesses: Firsts,
    /// Per witness: whose votes of the round before it counts, with weights.
    /// Empty where that round was done already.
    counts: Vec<Vec<(usize, u32)>>,
    ballot: Ballot,
}

impl Classic {
    pub(super) fn new(ordering: &Ordering, sets: Vec<(u64, Weights)>) -> Self {
        Self {
            coin_frequency: ordering.coin_frequency as usize,
            sets,
            places: Vec::new(),
            witnesses: Vec::new(),
            first_open: 0,
            open: VecDeque::new(),
            scratch: Scratch::default(),
            tally: Tally::default(),
        }
    }

    pub(super) fn first_open(&self) -> u64 {
        self.first_open as u64
    }

    pub(super) fn round_of(&self, slot: Slot) -> u64 {
        u64::from(self.places[slot as usize].round)
    }

    pub(super) fn is_witness(&self, slot: Slot) -> bool {
        self.places[slot as usize].witness
    }

    pub(super) fn weights<'a>(&'a self, dag: &'a Dag, round: u64) -> &'a Weights {
        weights_in(&self.sets, dag, round)
    }

    /// The verdict on a witness. One that came when its round was done is not
    /// famous.
    pub(super) fn verdict(&self, round: u64, slot: Slot) -> Option<bool> {
        match usize::try_from(round).ok()?.checked_sub(self.first_open) {
            Some(index) => self.open.get(index)?.ballot.verdict(slot),
            None => Some(false),
        }
    }

    /// Places the event inserted last, and counts its votes if it is a witness.
    pub(super) fn insert(&mut self, dag: &Dag, slot: Slot) {
        let place = self.place(dag, slot);
        self.places.push(place);
        if !place.witness {
            return;
        }
        let round = place.round as usize;
        if self.witnesses.len() <= round {
            self.witnesses.resize_with(round + 1, Vec::new);
        }
        self.witnesses[round].push(slot);
        if round >= self.first_open {
            self.add_witness(dag, slot, place);
        }
    }

    fn place(&mut self, dag: &Dag, slot: Slot) -> Place {
        let vertex = dag.vertex(slot);
        let of = |slot: Slot| self.places[slot as usize];
        let highest = vertex.parents().map(|parent| of(parent).round).max();
        let before = vertex.self_parent.map(|parent| of(parent).round);
        let (round, basis) = match highest {
            None => (0, slot),
            Some(highest) => {
                let mut at_highest = vertex.parents().filter(|&p| of(p).round == highest);
                let basis = at_highest.next().map_or(slot, |parent| of(parent).basis);
                self.note(dag, slot, highest as usize);
                if self.sees_round(dag, slot, highest as usize) {
                    (highest + 1, slot)
                } else {
                    (highest, basis)
                }
            }
        };
        let counts = self.weights(dag, u64::from(round)).one(vertex.creator()) > 0;
        let witness = counts && before.is_none_or(|before| before < round);
        Place {
            round,
            witness,
            basis,
        }
    }

    /// The event descends from no witness above this round.
    fn note(&mut self, dag: &Dag, slot: Slot, highest: usize) {
        let end = (highest + 1).saturating_sub(self.first_open);
        for round in self.open.iter_mut().take(end) {
            round.witnesses.note(dag, slot);
        }
    }

    /// Whether the event strongly sees witnesses of a quorum of creators.
    fn sees_round(&mut self, dag: &Dag, slot: Slot, round: usize) -> bool {
        let weights = weights_in(&self.sets, dag, round as u64);
        let index = round.checked_sub(self.first_open);
        if let Some(open) = index.and_then(|index| self.open.get(index)) {
            return open
                .witnesses
                .strongly_seen(dag, weights, slot, &mut self.scratch);
        }
        let mut creators = NodeSet::default();
        for &witness in self.witnesses.get(round).map_or(&[][..], Vec::as_slice) {
            let creator = dag.vertex(witness).creator();
            if !creators.contains(creator) && dag.strongly_see(slot, witness, weights) {
                creators.insert(creator);
            }
        }
        weights.set(creators) >= weights.quorum()
    }

    fn add_witness(&mut self, dag: &Dag, slot: Slot, place: Place) {
        let index = place.round as usize - self.first_open;
        while self.open.len() <= index {
            self.open.push_back(Round {
                witnesses: Firsts::new(dag.members(), slot),
                counts: Vec::new(),
                ballot: Ballot::default(),
            });
        }
        let counts = match index.checked_sub(1) {
            None => Vec::new(),
            Some(before) => self.counts(dag, slot, place.basis, before),
        };
        let open = &mut self.open[index];
        open.witnesses.admit(dag, slot);
        open.ballot.nominate(slot);
        let coin = dag.vertex(slot).event.header().coin & 1 == 1;
        for earlier in 0..index {
            let step = index - earlier;
            let ballot = &mut self.open[earlier].ballot;
            if step == 1 {
                ballot.first_vote(dag, slot);
                continue;
            }
            let before = (place.round - 1).into();
            let count = Count {
                step,
                seen: &counts,
                coin: step.is_multiple_of(self.coin_frequency).then_some(coin),
            };
            let weights = weights_in(&self.sets, dag, before);
            ballot.later_vote(&count, weights, &mut self.tally);
        }
        self.open[index].counts.push(counts);
    }

    /// Which witnesses of the open round at this index the event counts.
    fn counts(&mut self, dag: &Dag, slot: Slot, basis: Slot, index: usize) -> Vec<(usize, u32)> {
        let weights = weights_in(&self.sets, dag, (self.first_open + index) as u64);
        let voters = &self.open[index].witnesses;
        let seen = voters.strongly_seen(dag, weights, slot, &mut self.scratch)
            || voters.strongly_seen(dag, weights, basis, &mut self.scratch);
        let counted = if seen { &self.scratch.seen[..] } else { &[] };
        counted
            .iter()
            .map(|&position| (position, weights.one(voters.creator(position))))
            .collect()
    }

    /// The next round to be done, with its judges.
    pub(super) fn next_done(&mut self, dag: &Dag) -> Option<(u64, Ballot, Vec<Slot>)> {
        if !self.open.front()?.ballot.complete() {
            return None;
        }
        let round = self.open.pop_front()?;
        self.first_open += 1;
        let judges = round.ballot.judges(dag);
        Some((self.first_open as u64 - 1, round.ballot, judges))
    }
}

/// The weights that hold in a round.
fn weights_in<'a>(sets: &'a [(u64, Weights)], dag: &'a Dag, round: u64) -> &'a Weights {
    let later = sets.partition_point(|(from, _)| *from <= round);
    let set = later.checked_sub(1).and_then(|last| sets.get(last));
    set.map_or(dag.weights(), |(_, weights)| weights)
}
