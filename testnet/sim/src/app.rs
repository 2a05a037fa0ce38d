//! The application: it hashes what it is given, so that every state is
//! different and every node that was given the same arrives at the same.

use bytes::Bytes;
use dctrl_consensus::crypto::sha256;
use dctrl_consensus::{Block, BlockHeader, Digest};

use crate::engine::Setting;

/// What execution has reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct App {
    pub(crate) state: Digest,
    pub(crate) last_header: Option<BlockHeader>,
}

impl App {
    /// Executes the next block.
    pub(crate) fn execute(&mut self, setting: &Setting, block: &Block) {
        let state = sha256(b"dctrl-sim-state\0", &[&self.state.0, &digest_of(block).0]);
        let previous = self.last_header.as_ref();
        let previous = previous.map_or(Digest::ZERO, BlockHeader::hash);
        self.last_header = Some(setting.header(block, previous, state));
        self.state = state;
    }

    /// The last executed block, 0 for none.
    pub(crate) fn index(&self) -> u64 {
        self.last_header.as_ref().map_or(0, |header| header.index)
    }
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

/// One action of a user: which one, and how often it was submitted before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Action {
    pub(crate) number: u32,
    pub(crate) attempt: u32,
}

impl Action {
    const KIND: u8 = b'a';

    /// The transaction that carries it.
    pub(crate) fn encode(self) -> Bytes {
        let mut bytes = vec![Self::KIND];
        bytes.extend_from_slice(&self.number.to_be_bytes());
        bytes.extend_from_slice(&self.attempt.to_be_bytes());
        Bytes::from(bytes)
    }

    /// The action in a transaction; `None` where a liar made it.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let rest: &[u8; 8] = bytes.strip_prefix(&[Self::KIND])?.try_into().ok()?;
        let [a, b, c, d, e, f, g, h] = *rest;
        Some(Self {
            number: u32::from_be_bytes([a, b, c, d]),
            attempt: u32::from_be_bytes([e, f, g, h]),
        })
    }
}
