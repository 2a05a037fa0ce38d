//! A set of events of which each chain holds at most one, and who strongly
//! sees them: the witnesses of a round, or the voters of one voting step.
//!
//! Each event keeps one word per set: of whose members it is a descendant, one
//! bit per creator, or'ed together from its parents' words. Whoever sees an
//! event of creator z, sees with its eyes; so the members that x strongly sees
//! are found by counting the words of the highest event of each creator that x
//! sees, all members at once: O(n) for a whole set.
//!
//! A bit names a creator, not an event. That is enough as long as x knows no
//! fork of that creator: then x's ancestors hold at most one of its members.
//! Where x knows a fork, each twin is looked at by the definition. A twin may
//! still be strongly seen, through events that do not know of the fork.

use crate::dag::{Dag, Slot};
use crate::id::NodeIndex;
use crate::node_set::NodeSet;
use crate::tally::Tally;
use crate::weights::Weights;

#[derive(Debug, Clone, Copy)]
struct Member {
    slot: Slot,
    creator: NodeIndex,
}

/// The set, and each event's word about it.
#[derive(Debug)]
pub(super) struct Firsts {
    /// The first event that has a word; all words before are 0.
    base: Slot,
    words: Vec<u128>,
    members: Vec<Member>,
    /// Per creator, one more than the position of its first member.
    first_of: Vec<u32>,
    creators: NodeSet,
    /// Creators with several members.
    split: NodeSet,
}

/// What [`Firsts::strongly_seen`] works with, kept to save memory traffic.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// The highest event of each creator that the event sees.
    tops: Vec<(NodeIndex, Slot)>,
    tops_of: Option<Slot>,
    tally: Tally,
    /// The positions of the strongly seen members; ascending by creator.
    pub(super) seen: Vec<usize>,
}

impl Firsts {
    /// An empty set. `base` is the event about to be noted: no event before it
    /// descends from a member.
    pub(super) fn new(members: usize, base: Slot) -> Self {
        Self {
            base,
            words: Vec::new(),
            members: Vec::new(),
            first_of: vec![0; members],
            creators: NodeSet::default(),
            split: NodeSet::default(),
        }
    }

    /// Notes the event inserted last. Events that cannot descend from a member
    /// may be left out.
    pub(super) fn note(&mut self, dag: &Dag, slot: Slot) {
        let parents = dag.vertex(slot).parents();
        let word = parents.fold(0, |word, parent| word | self.word(parent));
        if word != 0 {
            self.set(slot, word);
        }
    }

    /// Makes the event inserted last a member, and gives its position.
    pub(super) fn admit(&mut self, dag: &Dag, slot: Slot) -> usize {
        let creator = dag.vertex(slot).creator();
        let position = self.members.len();
        self.members.push(Member { slot, creator });
        if self.creators.contains(creator) {
            self.split.insert(creator);
        } else {
            self.creators.insert(creator);
            let entry = u32::try_from(position + 1).unwrap_or(u32::MAX);
            self.first_of[creator.position()] = entry;
        }
        self.set(slot, self.word(slot) | 1 << creator.0);
        position
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn creator(&self, position: usize) -> NodeIndex {
        self.members[position].creator
    }

    fn word(&self, slot: Slot) -> u128 {
        let offset = slot.checked_sub(self.base);
        offset
            .and_then(|offset| self.words.get(offset as usize))
            .copied()
            .unwrap_or(0)
    }

    fn set(&mut self, slot: Slot, word: u128) {
        let offset = (slot - self.base) as usize;
        self.words.resize(offset + 1, 0);
        self.words[offset] = word;
    }

    /// Whether the event strongly sees members of a quorum of creators; their
    /// positions are in `scratch.seen` then. The event must have been noted.
    pub(super) fn strongly_seen(
        &self,
        dag: &Dag,
        weights: &Weights,
        slot: Slot,
        scratch: &mut Scratch,
    ) -> bool {
        let known = NodeSet::from_bits(self.word(slot));
        // Who is not even below the event is not strongly seen.
        if weights.set(known) < weights.quorum() {
            return false;
        }
        scratch.find_tops(dag, slot);
        scratch.tally.clear();
        for &(creator, top) in &scratch.tops {
            scratch.tally.add(self.word(top), weights.one(creator));
        }
        let forked = dag.vertex(slot).forked;
        let counted = NodeSet::from_bits(scratch.tally.at_least(weights.quorum()));
        let mut creators = NodeSet::default();
        scratch.seen.clear();
        for creator in known.iter() {
            if forked.contains(creator) {
                let twins = self.all_of(creator).filter(|&position| {
                    let twin = self.members[position].slot;
                    dag.ancestor(slot, twin) && dag.strongly_see(slot, twin, weights)
                });
                let before = scratch.seen.len();
                scratch.seen.extend(twins);
                if scratch.seen.len() > before {
                    creators.insert(creator);
                }
            } else if counted.contains(creator) {
                creators.insert(creator);
                scratch.seen.extend(self.below(dag, creator, slot));
            }
        }
        weights.set(creators) >= weights.quorum()
    }

    /// The member of the creator below the event, which knows no fork of it.
    fn below(&self, dag: &Dag, creator: NodeIndex, slot: Slot) -> Option<usize> {
        if self.split.contains(creator) {
            self.all_of(creator)
                .find(|&position| dag.ancestor(slot, self.members[position].slot))
        } else {
            (self.first_of[creator.position()] as usize).checked_sub(1)
        }
    }

    fn all_of(&self, creator: NodeIndex) -> impl Iterator<Item = usize> + '_ {
        let members = self.members.iter().enumerate();
        members
            .filter(move |(_, member)| member.creator == creator)
            .map(|(position, _)| position)
    }
}

impl Scratch {
    fn find_tops(&mut self, dag: &Dag, slot: Slot) {
        if self.tops_of == Some(slot) {
            return;
        }
        self.tops.clear();
        for creator in dag.creators() {
            if let Some(top) = dag.top(slot, creator) {
                self.tops.push((creator, top));
            }
        }
        self.tops_of = Some(slot);
    }
}
