//! Ordered transactions, as they are handed to execution.

use bytes::Bytes;

use crate::certificate::{BlockHeader, HEADER_VERSION};
use crate::id::{ClusterId, Digest, NodeIndex, Timestamp};
use crate::interface::Outcome;
use crate::roster::Roster;

/// One ordered payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The payload as it was submitted.
    pub bytes: Bytes,
    /// Where and when it came from; `None` in a block that was fetched with
    /// its certificate, which proves the payload and the block's time only.
    pub origin: Option<Origin>,
}

/// What the graph says about a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The node whose event carried it, by the roster of the epoch.
    pub creator: NodeIndex,
    /// Consensus time, strictly increasing over all transactions.
    pub time: Timestamp,
}

/// The transactions of one event of a block: they stand at the end of its
/// record, each behind its length as u32, big-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The event's [`Record::number`](crate::Record::number).
    pub record: u64,
    /// How many transactions.
    pub transactions: usize,
}

/// The transactions of one received round. A round without any makes no block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The epoch whose graph ordered it, and whose roster signs it.
    pub epoch: u64,
    /// The block's index (height), from 1, without gaps over all epochs.
    pub index: u64,
    /// The round or layer of the epoch in which its events were received.
    pub round: u64,
    /// The time of its last transaction.
    pub time: Timestamp,
    /// At least one, in the final order.
    pub transactions: Vec<Transaction>,
    /// Where the transactions stand in the log, in their order. Empty in a
    /// block that was fetched.
    pub pieces: Vec<Piece>,
    /// The Merkle root of the transactions' bytes.
    pub payload_root: Digest,
    /// Whether the graph has reached its bound, so that this block is the last
    /// of the epoch whatever its execution says.
    pub seals: bool,
}

impl Block {
    /// The header that says what executing this block led to. `previous` is
    /// the hash of the header before, [`Digest::ZERO`] for the first block.
    #[must_use]
    pub fn header(
        &self,
        cluster: &ClusterId,
        roster: &Roster,
        previous: Digest,
        outcome: &Outcome,
    ) -> BlockHeader {
        let next_roster = match &outcome.next_roster {
            Some(next) => next.hash(),
            None if self.seals => roster.hash(),
            None => Digest::ZERO,
        };
        BlockHeader {
            version: HEADER_VERSION,
            cluster: *cluster,
            epoch: self.epoch,
            index: self.index,
            round: self.round,
            time: self.time,
            previous,
            payload_root: self.payload_root,
            state_digest: outcome.state_digest,
            outputs_root: outcome.outputs_root,
            roster: roster.hash(),
            next_roster,
        }
    }
}
