//! Who is who: a person keeps its seat and its key for the whole run, and has
//! an index in every roster that names it.

use std::collections::BTreeMap;

use dctrl_consensus::crypto::{Ed25519Signer, Signer};
use dctrl_consensus::{EpochStart, NodeIndex, PublicKey, Roster, RosterMember};

/// The place at the table that a process takes, as a member or not.
pub(crate) type Seat = usize;

/// The keys of all seats.
#[derive(Debug, Clone)]
pub(crate) struct People(Vec<PublicKey>);

impl People {
    pub(crate) fn new(seats: usize) -> Self {
        let key = |seat| Ed25519Signer::from_seed(&key_seed(seat)).public_key();
        Self((0..seats).map(key).collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn key(&self, seat: Seat) -> PublicKey {
        self.0[seat]
    }

    pub(crate) fn seat(&self, key: &PublicKey) -> Option<Seat> {
        self.0.iter().position(|one| one == key)
    }

    /// The seats of a roster's members, in the order of their indices.
    pub(crate) fn seats_of(&self, roster: &Roster) -> Vec<Seat> {
        let seats = roster.members.iter();
        seats.filter_map(|member| self.seat(&member.key)).collect()
    }

    /// A roster of these seats.
    pub(crate) fn roster(&self, number: u64, seats: &[Seat]) -> Roster {
        let member = |seat: &Seat| RosterMember::new(index(*seat).to_string(), self.key(*seat));
        let Ok(roster) = Roster::new(number, seats.iter().map(member).collect()) else {
            unreachable!("keys made from distinct seeds are acceptable and distinct")
        };
        roster
    }
}

/// The secret of a seat's key.
pub(crate) fn key_seed(seat: Seat) -> [u8; 32] {
    [u8::try_from(seat + 1).unwrap_or(0); 32]
}

/// The index of a seat in the first roster.
pub(crate) fn index(seat: Seat) -> NodeIndex {
    NodeIndex(u16::try_from(seat).unwrap_or(u16::MAX))
}

/// The epochs of one run, as honest nodes arrived at them.
#[derive(Debug, Clone)]
pub(crate) struct Rosters {
    people: People,
    epochs: BTreeMap<u64, EpochStart>,
}

impl Rosters {
    /// With the first epoch.
    pub(crate) fn new(people: People, first: EpochStart) -> Self {
        let epochs = BTreeMap::from([(first.epoch, first)]);
        Self { people, epochs }
    }

    /// A node begins this epoch; false where another one began it otherwise.
    pub(crate) fn begins(&mut self, start: &EpochStart) -> bool {
        let start = EpochStart {
            me: None,
            ..start.clone()
        };
        let known = self.epochs.entry(start.epoch).or_insert(start.clone());
        *known == start
    }

    /// The latest epoch that some honest node has begun.
    pub(crate) fn newest(&self) -> &EpochStart {
        let newest = self.epochs.last_key_value();
        newest
            .map(|(_, start)| start)
            .expect("the first epoch stays")
    }

    pub(crate) fn roster(&self, epoch: u64) -> Option<&Roster> {
        self.epochs.get(&epoch).map(|start| &start.roster)
    }

    /// Who has this index in an epoch.
    pub(crate) fn seat(&self, epoch: u64, node: NodeIndex) -> Option<Seat> {
        self.people.seat(self.roster(epoch)?.key(node)?)
    }

    /// The index that the seat has in an epoch, if it has one.
    pub(crate) fn index(&self, epoch: u64, seat: Seat) -> Option<NodeIndex> {
        self.roster(epoch)?.index_of(&self.people.key(seat))
    }
}
