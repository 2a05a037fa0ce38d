//! Ordered transactions, as they are handed to execution.

use bytes::Bytes;

use crate::certificate::{BlockHeader, HEADER_VERSION};
use crate::id::{ClusterId, Digest, NodeIndex, Timestamp};
use crate::roster::Roster;

/// One ordered payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The payload as it was submitted.
    pub bytes: Bytes,
    /// The node whose event carried it.
    pub creator: NodeIndex,
    /// Consensus time, strictly increasing over all transactions.
    pub time: Timestamp,
}

/// The transactions of one received round. A round without any makes no block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The block's index (height), from 1, without gaps.
    pub index: u64,
    /// The hashgraph round in which its events were received.
    pub round: u64,
    /// The time of its last transaction.
    pub time: Timestamp,
    /// At least one, in the final order.
    pub transactions: Vec<Transaction>,
    /// The Merkle root of the transactions' bytes.
    pub payload_root: Digest,
}

impl Block {
    /// The header that says what executing this block led to. `previous` is
    /// the hash of the header before, [`Digest::ZERO`] for the first block;
    /// `next_roster` is the hash of the roster of the next epoch where this
    /// block seals, else [`Digest::ZERO`].
    #[must_use]
    pub fn header(
        &self,
        cluster: &ClusterId,
        roster: &Roster,
        previous: Digest,
        state_digest: Digest,
        outputs_root: Digest,
        next_roster: Digest,
    ) -> BlockHeader {
        BlockHeader {
            version: HEADER_VERSION,
            cluster: *cluster,
            epoch: roster.number,
            index: self.index,
            round: self.round,
            time: self.time,
            previous,
            payload_root: self.payload_root,
            state_digest,
            outputs_root,
            roster: roster.hash(),
            next_roster,
        }
    }
}
