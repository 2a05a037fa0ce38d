//! Who takes part: the members of the federation and the sizes of its quorums.
//!
//! Every member has weight one. A roster never changes: membership changes by
//! the next roster, and only where a block seals the epoch. Many epochs may
//! follow each other under one roster.

use bytes::Bytes;

use crate::codec::{DecodeError, Reader, Writer};
use crate::crypto::{acceptable_key, sha256};
use crate::id::{Digest, NodeIndex, PublicKey};

/// Members at most: sets of nodes are kept as 128-bit masks.
pub const ROSTER_MEMBERS_MAX: usize = 128;
/// Bytes in a member's name at most.
pub const MEMBER_NAME_BYTES_MAX: usize = 64;

/// One node of the federation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterMember {
    /// The node's name, unique in the roster, for people.
    pub name: String,
    /// The key that signs its events and blocks, unique in the roster.
    pub key: PublicKey,
    /// From which of the node's disks this key speaks: 0 for its first one,
    /// else the number drawn for it. Whoever holds the key with another disk,
    /// such as a restored backup or a copy, does not know what was signed, and
    /// is no member.
    pub instance: u64,
}

impl RosterMember {
    /// A member that speaks from its first disk.
    pub fn new(name: impl Into<String>, key: PublicKey) -> Self {
        Self {
            name: name.into(),
            key,
            instance: 0,
        }
    }
}

/// The members between two changes of membership, in an order all agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    /// How many changes of membership came before; that of the genesis is 0.
    pub number: u64,
    /// The members; a member's position is its [`NodeIndex`].
    pub members: Vec<RosterMember>,
}

/// Why members do not make a roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// There is no member, or there are too many.
    #[error("{0} members; a roster has 1 to {ROSTER_MEMBERS_MAX}")]
    Size(usize),
    /// The name is empty or too long.
    #[error("member {0}: a name has 1 to {MEMBER_NAME_BYTES_MAX} bytes")]
    Name(usize),
    /// Another member has this name or key.
    #[error("member {0}: another member has the same name or key")]
    Twice(usize),
    /// The key is no curve point, not canonically encoded, or of small order.
    #[error("member {0}: this is not an acceptable Ed25519 public key")]
    Key(usize),
}

impl Roster {
    /// A roster of these members.
    ///
    /// # Errors
    /// Where the size, a name or a key is not acceptable.
    pub fn new(number: u64, members: Vec<RosterMember>) -> Result<Self, RosterError> {
        if members.is_empty() || members.len() > ROSTER_MEMBERS_MAX {
            return Err(RosterError::Size(members.len()));
        }
        for (position, member) in members.iter().enumerate() {
            if member.name.is_empty() || member.name.len() > MEMBER_NAME_BYTES_MAX {
                return Err(RosterError::Name(position));
            }
            if members[..position]
                .iter()
                .any(|m| m.name == member.name || m.key == member.key)
            {
                return Err(RosterError::Twice(position));
            }
            if !acceptable_key(&member.key) {
                return Err(RosterError::Key(position));
            }
        }
        Ok(Self { number, members })
    }

    /// The number of members, n.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no member, which [`Roster::new`] never returns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// How many members may lie or be silent, f = floor((n - 1) / 3).
    #[must_use]
    pub fn fault_bound(&self) -> usize {
        self.len().saturating_sub(1) / 3
    }

    /// How many members decide, floor(2n / 3) + 1; 2f + 1 where n = 3f + 1.
    #[must_use]
    pub fn quorum(&self) -> usize {
        quorum(self.len())
    }

    /// The member with this key.
    #[must_use]
    pub fn index_of(&self, key: &PublicKey) -> Option<NodeIndex> {
        let position = self.members.iter().position(|member| member.key == *key)?;
        u16::try_from(position).ok().map(NodeIndex)
    }

    /// The place of the node with this key that speaks from this disk.
    #[must_use]
    pub fn seat_of(&self, key: &PublicKey, instance: u64) -> Option<NodeIndex> {
        self.index_of(key)
            .filter(|seat| self.members[seat.position()].instance == instance)
    }

    /// The key of a member; `None` outside the roster.
    #[must_use]
    pub fn key(&self, node: NodeIndex) -> Option<&PublicKey> {
        self.members.get(node.position()).map(|member| &member.key)
    }

    /// All indices in order.
    pub fn indices(&self) -> impl Iterator<Item = NodeIndex> + use<> {
        (0..self.len())
            .filter_map(|position| u16::try_from(position).ok())
            .map(NodeIndex)
    }

    /// The digest that block headers carry.
    #[must_use]
    pub fn hash(&self) -> Digest {
        sha256(b"dctrl/roster/2\0", &[&self.encode()])
    }

    /// The one encoding: number, count, then name, key and instance of each
    /// member.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        self.write(&mut out);
        out.finish()
    }

    /// Reads an encoded roster and checks its members.
    ///
    /// # Errors
    /// Where the bytes are not one encoded roster that [`Roster::new`] takes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(Bytes::copy_from_slice(bytes));
        let roster = Self::read(&mut input)?;
        input.end()?;
        Ok(roster)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.u64(self.number);
        out.count(self.members.len());
        for member in &self.members {
            out.blob(member.name.as_bytes());
            out.raw(&member.key.0);
            out.u64(member.instance);
        }
    }

    pub(crate) fn read(input: &mut Reader) -> Result<Self, DecodeError> {
        let number = input.u64()?;
        let count = input.count("roster members", ROSTER_MEMBERS_MAX)?;
        let mut members = Vec::with_capacity(count);
        for _ in 0..count {
            let name = input.blob("member name bytes", MEMBER_NAME_BYTES_MAX)?;
            let name = String::from_utf8(name.to_vec())
                .map_err(|_| DecodeError::NotCanonical("a member's name"))?;
            let key = PublicKey(input.digest()?.0);
            let instance = input.u64()?;
            members.push(RosterMember {
                name,
                key,
                instance,
            });
        }
        Self::new(number, members).map_err(|_| DecodeError::NotCanonical("the roster"))
    }
}

/// floor(2n / 3) + 1.
pub(crate) fn quorum(members: usize) -> usize {
    2 * members / 3 + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Ed25519Signer, Signer};

    fn member(seed: u8) -> RosterMember {
        let key = Ed25519Signer::from_seed(&[seed; 32]).public_key();
        RosterMember::new(format!("node-{seed}"), key)
    }

    #[test]
    fn two_quorums_share_more_members_than_may_lie() {
        for n in 1..=ROSTER_MEMBERS_MAX {
            let f = (n - 1) / 3;
            assert!(
                2 * quorum(n) - n > f,
                "two quorums of {n} meet in an honest member"
            );
            assert!(quorum(n) <= n - f, "the honest members of {n} are a quorum");
        }
    }

    #[test]
    fn a_roster_with_a_bad_member_names_it() {
        let mut members: Vec<_> = (1..=4).map(member).collect();
        assert!(Roster::new(0, members.clone()).is_ok());
        members[3] = member(1);
        assert_eq!(Roster::new(0, members.clone()), Err(RosterError::Twice(3)));
        members[3] = RosterMember::new("x", PublicKey([0; 32]));
        assert_eq!(Roster::new(0, members.clone()), Err(RosterError::Key(3)));
        members[3].name = String::new();
        assert_eq!(Roster::new(0, members), Err(RosterError::Name(3)));
        assert_eq!(Roster::new(0, Vec::new()), Err(RosterError::Size(0)));
    }

    #[test]
    fn the_roster_hash_covers_number_order_names_and_instances() {
        let members: Vec<_> = (1..=4).map(member).collect();
        let roster = Roster::new(0, members.clone()).unwrap();
        let mut reversed = members.clone();
        reversed.reverse();
        let mut renamed = members.clone();
        renamed[0].name.push('x');
        let mut renewed = members.clone();
        renewed[0].instance = 1;
        for other in [
            Roster::new(1, members).unwrap(),
            Roster::new(0, reversed).unwrap(),
            Roster::new(0, renamed).unwrap(),
            Roster::new(0, renewed).unwrap(),
        ] {
            assert_ne!(other.hash(), roster.hash());
        }
    }

    #[test]
    fn a_key_on_another_disk_has_no_seat() {
        let mut members: Vec<_> = (1..=4).map(member).collect();
        members[2].instance = 7;
        let key = members[2].key;
        let roster = Roster::new(0, members).unwrap();
        assert_eq!(roster.seat_of(&key, 7), Some(NodeIndex(2)));
        assert_eq!(roster.seat_of(&key, 0), None);
        assert_eq!(Roster::decode(&roster.encode()), Ok(roster));
    }
}
