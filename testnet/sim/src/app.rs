//! The application: it hashes what it is given, so that every state is
//! different and every node that was given the same arrives at the same; and
//! it changes the members as ordered transactions say.

use bytes::Bytes;
use dctrl_consensus::crypto::sha256;
use dctrl_consensus::{Block, BlockHeader, Digest, Outcome, Roster};

use crate::engine::{Seat, Setting};

/// What execution has reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct App {
    pub(crate) state: Digest,
    pub(crate) last_header: Option<BlockHeader>,
    /// Who signs the next block.
    pub(crate) roster: Roster,
    /// What the state was made of: the one before, and the block.
    made_of: [Digest; 2],
}

impl App {
    /// Before the first block.
    pub(crate) fn genesis(setting: &Setting) -> Self {
        Self {
            state: state_of([Digest::ZERO; 2], &setting.genesis),
            last_header: None,
            roster: setting.genesis.clone(),
            made_of: [Digest::ZERO; 2],
        }
    }

    /// Executes the next block.
    pub(crate) fn execute(&mut self, setting: &Setting, block: &Block) -> Outcome {
        let next = self.next_roster(setting, block);
        let made_of = [self.state, digest_of(block)];
        let state = state_of(made_of, next.as_ref().unwrap_or(&self.roster));
        let previous = self.last_header.as_ref();
        let previous = previous.map_or(Digest::ZERO, BlockHeader::hash);
        let outcome = Outcome {
            state_digest: state,
            outputs_root: Digest::ZERO,
            next_roster: next,
        };
        self.last_header = Some(block.header(&setting.cluster, &self.roster, previous, &outcome));
        self.state = state;
        self.made_of = made_of;
        if let Some(next) = &outcome.next_roster {
            self.roster = next.clone();
        }
        outcome
    }

    /// All changes of the block together make one roster. One that does
    /// nothing, or that the federation could not bear, is passed over.
    fn next_roster(&self, setting: &Setting, block: &Block) -> Option<Roster> {
        let before = setting.people.seats_of(&self.roster);
        let mut seats = before.clone();
        for transaction in &block.transactions {
            let change = Action::decode(&transaction.bytes).and_then(|(_, change)| change);
            let changed = change.and_then(|change| change.applied(&seats));
            if let Some(changed) = changed.filter(|changed| setting.bears(changed)) {
                seats = changed;
            }
        }
        let number = self.roster.number + 1;
        (seats != before).then(|| setting.people.roster(number, &seats))
    }

    /// The last executed block, 0 for none.
    pub(crate) fn index(&self) -> u64 {
        self.last_header.as_ref().map_or(0, |header| header.index)
    }

    /// As it is kept on disk.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let header = self.last_header.as_ref();
        let header = header.map(BlockHeader::encode).unwrap_or_default();
        let length = u32::try_from(header.len()).unwrap_or(u32::MAX);
        [&length.to_be_bytes()[..], &header, &self.content()].concat()
    }

    /// Reads what [`App::encode`] wrote.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (header, content) = rest.split_at_checked(length)?;
        Some(Self {
            last_header: BlockHeader::decode(header).ok(),
            ..Self::of_content(content)?
        })
    }

    /// All that the state consists of, from which its digest follows. The
    /// header is no part of it.
    pub(crate) fn content(&self) -> Vec<u8> {
        let [before, block] = &self.made_of;
        [&before.0[..], &block.0, &self.roster.encode()].concat()
    }

    /// The state of that content.
    pub(crate) fn of_content(content: &[u8]) -> Option<Self> {
        let (before, rest) = content.split_first_chunk::<32>()?;
        let (block, roster) = rest.split_first_chunk::<32>()?;
        let made_of = [Digest(*before), Digest(*block)];
        let roster = Roster::decode(roster).ok()?;
        Some(Self {
            state: state_of(made_of, &roster),
            last_header: None,
            roster,
            made_of,
        })
    }
}

fn state_of(made_of: [Digest; 2], roster: &Roster) -> Digest {
    let [before, block] = made_of;
    let parts: [&[u8]; 3] = [&before.0, &block.0, &roster.hash().0];
    sha256(b"dctrl-sim-state\0", &parts)
}

/// Everything about a block that nodes know alike, whether they ordered it or
/// fetched it.
pub(crate) fn digest_of(block: &Block) -> Digest {
    let numbers = [block.index, block.round, block.time.0].map(u64::to_be_bytes);
    sha256(
        b"dctrl-sim-block\0",
        &[&numbers.concat(), &block.payload_root.0],
    )
}

/// A change of the members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Join(Seat),
    /// By its own wish or that of the others.
    Leave(Seat),
    /// The second takes the place of the first.
    Replace(Seat, Seat),
}

impl Change {
    /// The members behind the change; `None` where it does nothing.
    fn applied(self, seats: &[Seat]) -> Option<Vec<Seat>> {
        let member = |seat: Seat| seats.contains(&seat);
        match self {
            Self::Join(new) if !member(new) => Some([seats, &[new]].concat()),
            Self::Leave(old) if member(old) => {
                Some(seats.iter().copied().filter(|seat| *seat != old).collect())
            }
            Self::Replace(old, new) if member(old) && !member(new) => {
                let change = |seat: &Seat| if *seat == old { new } else { *seat };
                Some(seats.iter().map(change).collect())
            }
            _ => None,
        }
    }

    fn encode(self) -> [u8; 3] {
        let (kind, a, b) = match self {
            Self::Join(new) => (0, new, 0),
            Self::Leave(old) => (1, old, 0),
            Self::Replace(old, new) => (2, old, new),
        };
        let byte = |seat: Seat| u8::try_from(seat).unwrap_or(u8::MAX);
        [kind, byte(a), byte(b)]
    }

    fn decode(bytes: [u8; 3]) -> Option<Self> {
        let [kind, a, b] = bytes;
        let (a, b) = (Seat::from(a), Seat::from(b));
        match kind {
            0 => Some(Self::Join(a)),
            1 => Some(Self::Leave(a)),
            2 => Some(Self::Replace(a, b)),
            _ => None,
        }
    }
}

/// One action of a user: which one, and how often it was submitted before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Action {
    pub(crate) number: u32,
    pub(crate) attempt: u32,
}

impl Action {
    const KIND: u8 = b'a';

    /// The transaction that carries it, and what it changes if it does.
    pub(crate) fn encode(self, change: Option<Change>) -> Bytes {
        let mut bytes = vec![Self::KIND];
        bytes.extend_from_slice(&self.number.to_be_bytes());
        bytes.extend_from_slice(&self.attempt.to_be_bytes());
        bytes.extend(change.into_iter().flat_map(Change::encode));
        Bytes::from(bytes)
    }

    /// The action in a transaction; `None` where a liar made it.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, Option<Change>)> {
        let rest = bytes.strip_prefix(&[Self::KIND])?;
        let (number, rest) = rest.split_first_chunk::<4>()?;
        let (attempt, change) = rest.split_first_chunk::<4>()?;
        let change = match change {
            [] => None,
            _ => Some(Change::decode(change.try_into().ok()?)?),
        };
        let action = Self {
            number: u32::from_be_bytes(*number),
            attempt: u32::from_be_bytes(*attempt),
        };
        Some((action, change))
    }
}
