//! From executed blocks to certificates.
//!
//! Each node signs the header of a block it executed; a quorum of signatures
//! is a certificate. Signatures of others are kept for a window above the last
//! final block. Own signatures are kept for the blocks of the epoch, because a
//! peer that catches up needs them; those of earlier epochs are fetched with
//! their certificates.

use std::collections::{BTreeMap, VecDeque};

use crate::block::Block;
use crate::certificate::{BlockHeader, Certificate};
use crate::id::{Digest, NodeIndex, Signature};
use crate::interface::RefusalReason;
use crate::message::BlockSignature;
use crate::roster::Roster;

/// Two different headers for one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Divergence {
    pub(crate) index: u64,
    pub(crate) ours: Digest,
    pub(crate) theirs: Digest,
}

/// Signed and certified blocks.
#[derive(Debug)]
pub(crate) struct Finality {
    /// `None` where this node signs nothing.
    me: Option<NodeIndex>,
    quorum: usize,
    fault_bound: usize,
    window: u64,
    /// The first block of the epoch.
    first_index: u64,
    /// Ordered blocks that were not put out yet.
    ordered: VecDeque<Block>,
    /// The block that was put out and is not executed, without transactions.
    executing: Option<Block>,
    executed: u64,
    /// The hash of the header of the last executed block.
    previous: Digest,
    /// Headers of executed blocks that have no certificate.
    headers: BTreeMap<u64, (Digest, BlockHeader)>,
    own: BTreeMap<u64, (Digest, Signature)>,
    /// What members signed, by index and signer; the first signature counts.
    votes: BTreeMap<u64, BTreeMap<NodeIndex, (Digest, Signature)>>,
    final_index: u64,
}

impl Finality {
    pub(crate) fn new(me: Option<NodeIndex>, roster: &Roster, window: u64) -> Self {
        Self {
            me,
            quorum: roster.quorum(),
            fault_bound: roster.fault_bound(),
            window,
            first_index: 1,
            ordered: VecDeque::new(),
            executing: None,
            executed: 0,
            previous: Digest::ZERO,
            headers: BTreeMap::new(),
            own: BTreeMap::new(),
            votes: BTreeMap::new(),
            final_index: 0,
        }
    }

    /// The last block of the epoch before is final; this roster signs the next.
    /// Votes of peers that are there already count where the roster is the same.
    pub(crate) fn begin(&mut self, me: Option<NodeIndex>, roster: &Roster, same: bool) {
        self.me = me;
        self.quorum = roster.quorum();
        self.fault_bound = roster.fault_bound();
        self.first_index = self.final_index + 1;
        self.ordered.clear();
        self.own.clear();
        if !same {
            self.votes.clear();
        }
    }

    /// The first block of the epoch.
    pub(crate) fn first_index(&self) -> u64 {
        self.first_index
    }

    /// Blocks that were ordered and are not put out come to nothing.
    pub(crate) fn drop_ordered(&mut self) -> Vec<Block> {
        self.ordered.drain(..).collect()
    }

    /// This block is the next to be put out, also where the graph ordered it.
    pub(crate) fn put_first(&mut self, block: Block) {
        self.ordered.retain(|ordered| ordered.index > block.index);
        self.ordered.push_front(block);
    }

    /// The hash of the header that execution led to, as it is known itself or
    /// named by the header behind it; `None` where the block is not executed, or
    /// final. After a restart neither is known of blocks that this node executed
    /// and did not sign, but for the last two.
    pub(crate) fn header_hash(&self, index: u64) -> Option<Digest> {
        let own = self.headers.get(&index).map(|(hash, _)| *hash);
        let behind = self.headers.get(&(index + 1));
        own.or(behind.map(|(_, header)| header.previous))
    }

    pub(crate) fn executed(&self) -> u64 {
        self.executed
    }

    /// The last block that was ordered here, or is executed.
    pub(crate) fn ordered_index(&self) -> u64 {
        let last = self.ordered.back().map(|block| block.index);
        let executing = self.executing.as_ref().map(|block| block.index);
        last.or(executing).unwrap_or(self.executed)
    }

    /// Whether a block was executed here that no quorum has signed yet.
    pub(crate) fn is_uncertified(&self) -> bool {
        self.executed > self.final_index
    }

    pub(crate) fn final_index(&self) -> u64 {
        self.final_index
    }

    pub(crate) fn previous(&self) -> Digest {
        self.previous
    }

    /// The last block that this node has signed.
    pub(crate) fn signed(&self) -> u64 {
        self.own.last_key_value().map_or(0, |(index, _)| *index)
    }

    pub(crate) fn own_signature(&self, index: u64) -> Option<(Digest, Signature)> {
        self.own.get(&index).copied()
    }

    /// Own signatures above this index, at most `count`.
    pub(crate) fn own_above(
        &self,
        epoch: u64,
        index: u64,
        through: u64,
        count: usize,
    ) -> Vec<BlockSignature> {
        let Some(me) = self.me.filter(|_| index < through) else {
            return Vec::new();
        };
        let own = self.own.range(index + 1..=through).take(count);
        own.map(|(&index, &(header, signature))| BlockSignature {
            epoch,
            index,
            header,
            signer: me,
            signature,
        })
        .collect()
    }

    pub(crate) fn ordered(&mut self, block: Block) {
        self.ordered.push_back(block);
    }

    /// The next block to put out: one at a time, so that the signature over
    /// the one before is in the log first. A crash never leaves a gap in them.
    pub(crate) fn next_to_execute(&mut self) -> Option<Block> {
        if self.executing.is_some() {
            return None;
        }
        // What was fetched in the meantime is executed already.
        let block = loop {
            let block = self.ordered.pop_front()?;
            if block.index > self.executed {
                break block;
            }
        };
        self.executing = Some(Block {
            transactions: Vec::new(),
            pieces: Vec::new(),
            ..block
        });
        Some(block)
    }

    /// The block that is being executed.
    pub(crate) fn executing(&self) -> Option<&Block> {
        self.executing.as_ref()
    }

    /// The next block was executed and led to this header.
    pub(crate) fn execute(&mut self, header: BlockHeader) {
        self.executing = None;
        self.executed = header.index;
        self.previous = header.hash();
        if header.index > self.final_index {
            self.headers.insert(header.index, (self.previous, header));
        }
    }

    /// Blocks up to here were executed before the restart.
    pub(crate) fn resume(&mut self, header: BlockHeader) {
        self.executed = header.index;
        self.previous = header.hash();
        if header.index > self.final_index {
            self.headers.insert(header.index, (self.previous, header));
        }
    }

    /// The state behind this block was taken over: nothing before it is known
    /// here, and nothing before it is wanted.
    pub(crate) fn take_over(&mut self, header: &BlockHeader) {
        self.ordered.clear();
        self.headers.clear();
        self.votes.clear();
        self.executed = header.index;
        self.previous = header.hash();
        self.final_index = header.index;
    }

    /// An own signature is in the log.
    pub(crate) fn recorded(&mut self, index: u64, header: Digest, signature: Signature) {
        self.own.insert(index, (header, signature));
    }

    /// A header that this node signed before a restart.
    pub(crate) fn restore_header(&mut self, header: BlockHeader) {
        self.headers.insert(header.index, (header.hash(), header));
    }

    /// Blocks up to here have certificates that were put out.
    pub(crate) fn restore_final(&mut self, index: u64) {
        self.final_index = self.final_index.max(index);
        self.headers = self.headers.split_off(&(self.final_index + 1));
        self.votes = self.votes.split_off(&(self.final_index + 1));
    }

    /// Counts a member's signature, which was checked.
    pub(crate) fn vote(&mut self, vote: &BlockSignature) -> Result<(), RefusalReason> {
        let top = self
            .executed
            .max(self.final_index)
            .saturating_add(self.window);
        if vote.index <= self.final_index || vote.index > top {
            return Ok(());
        }
        let votes = self.votes.entry(vote.index).or_default();
        let first = votes
            .entry(vote.signer)
            .or_insert((vote.header, vote.signature));
        if first.0 == vote.header {
            Ok(())
        } else {
            Err(RefusalReason::SignedTwice)
        }
    }

    /// The certificate of the next block, once a quorum has signed our header.
    pub(crate) fn next_final(&mut self) -> Option<Certificate> {
        let index = self.final_index + 1;
        let (hash, header) = self.headers.get(&index)?;
        let votes = self.votes.get(&index)?;
        let ours = votes.iter().filter(|(_, (voted, _))| voted == hash);
        let signatures: Vec<_> = ours
            .map(|(&signer, &(_, signature))| (signer, signature))
            .collect();
        if signatures.len() < self.quorum {
            return None;
        }
        let certificate = Certificate {
            header: header.clone(),
            signatures,
        };
        self.restore_final(index);
        Some(certificate)
    }

    /// Whether so many signed another header for this block that one of them
    /// is honest.
    pub(crate) fn divergence(&self, index: u64) -> Option<Divergence> {
        let (ours, _) = self.headers.get(&index)?;
        let votes = self.votes.get(&index)?;
        let mut others: BTreeMap<Digest, usize> = BTreeMap::new();
        for (signer, (voted, _)) in votes {
            if voted != ours && Some(*signer) != self.me {
                *others.entry(*voted).or_default() += 1;
            }
        }
        let (&theirs, _) = others
            .iter()
            .find(|(_, count)| **count > self.fault_bound)?;
        Some(Divergence {
            index,
            ours: *ours,
            theirs,
        })
    }
}
