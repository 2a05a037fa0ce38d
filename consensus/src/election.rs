//! Rounds, witnesses and their fame, by virtual voting.
//!
//! - An event's round is r, the highest of its parents' (0 without parents),
//!   or r+1 where it strongly sees round-r witnesses of a quorum of creators.
//! - A witness is a creator's first event in a round.
//! - A witness of round r+1 votes for a round-r witness iff it sees it. One of
//!   round r+k takes the majority of the votes of the round-(r+k-1) witnesses
//!   it strongly sees, a tie being yes, and decides where a quorum agrees. In
//!   every `coin_frequency`th step nobody decides, and a voter without a
//!   quorum tosses the coin in its event.
//! - A round is done when all its witnesses are decided and a witness two
//!   rounds later is known: then any witness still unknown has a majority of
//!   no votes before every voter, and can never be famous.
//!
//! One rule is sharper than the paper's: where a fork has blinded a witness so
//! that it no longer strongly sees a quorum itself, it counts the votes that
//! the ancestor which brought it into its round strongly sees. So each voter
//! counts a quorum, which the proof of agreement needs.

use crate::dag::{Dag, Slot};
use crate::node_set::NodeSet;
use crate::ordering::Ordering;

/// Where an event stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    round: u64,
    witness: bool,
    /// The event itself or an ancestor of the same round that strongly sees a
    /// quorum of the round before.
    basis: Slot,
}

#[derive(Debug)]
struct Witness {
    slot: Slot,
    famous: Option<bool>,
    /// Which witnesses of the round before this one counts, by position.
    counts: Vec<usize>,
    /// `votes[k - 1][i]`: what witness i of the k-th round after says. Emptied
    /// when decided.
    votes: Vec<Vec<bool>>,
}

/// The elections of all rounds.
#[derive(Debug)]
pub(crate) struct Election {
    coin_frequency: usize,
    places: Vec<Place>,
    rounds: Vec<Vec<Witness>>,
    /// All rounds below are done.
    first_open: usize,
}

impl Election {
    pub(crate) fn new(ordering: &Ordering) -> Self {
        let coin_frequency = ordering.coin_frequency as usize;
        assert!(coin_frequency > 2, "deciding needs two steps between coins");
        Self {
            coin_frequency,
            places: Vec::new(),
            rounds: Vec::new(),
            first_open: 0,
        }
    }

    /// The first round that is not done.
    pub(crate) fn first_open(&self) -> u64 {
        self.first_open as u64
    }

    #[cfg(test)]
    pub(crate) fn round_of(&self, slot: Slot) -> u64 {
        self.places[slot as usize].round
    }

    #[cfg(test)]
    pub(crate) fn is_witness(&self, slot: Slot) -> bool {
        self.places[slot as usize].witness
    }

    /// Places the event inserted last, and counts its votes if it is a witness.
    pub(crate) fn insert(&mut self, dag: &Dag, slot: Slot) {
        assert!(
            self.places.len() == slot as usize,
            "events are placed in order of insertion"
        );
        let place = self.place(dag, slot);
        self.places.push(place);
        if place.witness {
            self.add_witness(dag, slot, place);
        }
    }

    /// The next round to be done, with its judges: the famous witnesses, one
    /// per creator, ascending by id. Call until it says `None`.
    pub(crate) fn next_done(&mut self, dag: &Dag) -> Option<(u64, Vec<Slot>)> {
        let round = self.first_open;
        let two_later = self
            .rounds
            .get(round + 2)
            .is_some_and(|witnesses| !witnesses.is_empty());
        if !two_later
            || self.rounds[round]
                .iter()
                .any(|witness| witness.famous.is_none())
        {
            return None;
        }
        self.first_open += 1;
        for witness in &mut self.rounds[round] {
            witness.counts = Vec::new();
        }
        let famous = self.rounds[round]
            .iter()
            .filter(|witness| witness.famous == Some(true));
        let mut judges: Vec<Slot> = famous.map(|witness| witness.slot).collect();
        judges.sort_unstable_by_key(|&slot| dag.vertex(slot).event.id());
        let mut creators = NodeSet::default();
        judges.retain(|&slot| {
            let creator = dag.vertex(slot).creator();
            let first = !creators.contains(creator);
            creators.insert(creator);
            first
        });
        Some((round as u64, judges))
    }

    fn place(&self, dag: &Dag, slot: Slot) -> Place {
        let vertex = dag.vertex(slot);
        let parents = || vertex.self_parent.iter().chain(vertex.other_parents.iter());
        let of = |parent: &Slot| self.places[*parent as usize];
        let Some(highest) = parents().map(|parent| of(parent).round).max() else {
            return Place {
                round: 0,
                witness: true,
                basis: slot,
            };
        };
        let (round, basis) = if self
            .strongly_seen_quorum(dag, slot, index(highest))
            .is_some()
        {
            (highest + 1, slot)
        } else {
            let inherited = parents().map(of).find(|parent| parent.round == highest);
            (highest, inherited.map_or(slot, |parent| parent.basis))
        };
        let witness = vertex
            .self_parent
            .is_none_or(|parent| of(&parent).round < round);
        Place {
            round,
            witness,
            basis,
        }
    }

    /// The witnesses of `round` that the event strongly sees, by position,
    /// where they are of a quorum of creators.
    fn strongly_seen_quorum(&self, dag: &Dag, slot: Slot, round: usize) -> Option<Vec<usize>> {
        let witnesses = self.rounds.get(round)?;
        let mut creators = NodeSet::default();
        let mut seen = Vec::new();
        for (position, witness) in witnesses.iter().enumerate() {
            if dag.strongly_see(slot, witness.slot) {
                creators.insert(dag.vertex(witness.slot).creator());
                seen.push(position);
            }
        }
        (dag.weights().set(creators) >= dag.weights().quorum()).then_some(seen)
    }

    fn add_witness(&mut self, dag: &Dag, slot: Slot, place: Place) {
        let round = index(place.round);
        let counts = match round.checked_sub(1) {
            None => Vec::new(),
            Some(before) => self
                .strongly_seen_quorum(dag, slot, before)
                .or_else(|| self.strongly_seen_quorum(dag, place.basis, before))
                .unwrap_or_default(),
        };
        if self.rounds.len() <= round {
            self.rounds.resize_with(round + 1, Vec::new);
        }
        // A witness that comes after its round was done is never famous.
        let famous = (round < self.first_open).then_some(false);
        self.rounds[round].push(Witness {
            slot,
            famous,
            counts,
            votes: Vec::new(),
        });
        let position = self.rounds[round].len() - 1;
        for earlier in self.first_open..round {
            for candidate in 0..self.rounds[earlier].len() {
                self.vote(dag, (earlier, candidate), (round, position));
            }
        }
        for later in round + 1..self.rounds.len() {
            for voter in 0..self.rounds[later].len() {
                self.vote(dag, (round, position), (later, voter));
            }
        }
    }

    /// Lets one witness vote about another of an earlier round; each is named
    /// by round and position.
    fn vote(&mut self, dag: &Dag, candidate: (usize, usize), voter: (usize, usize)) {
        let about = &self.rounds[candidate.0][candidate.1];
        if about.famous.is_some() {
            return;
        }
        let by = &self.rounds[voter.0][voter.1];
        let step = voter.0 - candidate.0;
        let (vote, decided) = if step == 1 {
            (dag.see(by.slot, about.slot), false)
        } else {
            let before = &about.votes[step - 2];
            let weight = |position: &usize| {
                let voter = &self.rounds[voter.0 - 1][*position];
                dag.weights().one(dag.vertex(voter.slot).creator())
            };
            let total: u32 = by.counts.iter().map(weight).sum();
            let yes: u32 = by
                .counts
                .iter()
                .filter(|&&position| before[position])
                .map(weight)
                .sum();
            let no = total - yes;
            let majority = yes >= no;
            let quorum = yes.max(no) >= dag.weights().quorum();
            if !step.is_multiple_of(self.coin_frequency) {
                (majority, quorum)
            } else if quorum {
                (majority, false)
            } else {
                (dag.vertex(by.slot).event.header().coin & 1 == 1, false)
            }
        };
        let about = &mut self.rounds[candidate.0][candidate.1];
        if decided {
            about.famous = Some(vote);
            about.votes = Vec::new();
            return;
        }
        if about.votes.len() < step {
            about.votes.resize_with(step, Vec::new);
        }
        assert!(
            about.votes[step - 1].len() == voter.1,
            "votes are cast in order"
        );
        about.votes[step - 1].push(vote);
    }
}

/// Rounds are counted in memory, so they fit an index.
fn index(round: u64) -> usize {
    usize::try_from(round).unwrap_or(usize::MAX)
}
