//! Blocks that are final elsewhere: asked for, checked, executed.
//!
//! They are asked for by a node whose epoch is over elsewhere, and by one that
//! stays behind the final blocks of others in the same epoch: what they could
//! decide by events of a forker it may never be able to decide itself.

use super::epoch::fetched_digest;
use super::{Core, Stop};
use crate::catch_up::{BlockProblem, FinalBlock, Standing};
use crate::certificate::Certificate;
use crate::id::{PublicKey, Timestamp};
use crate::interface::{Output, Recipient, RefusalReason};
use crate::message::{BlockRequest, Blocks, Message};

impl Core {
    /// Asks for blocks where that is due, and says when it is due again.
    pub(super) fn fetch_due(&mut self) -> Option<Timestamp> {
        // Whoever diverged would find that out again with every answer.
        if self.stop == Some(Stop::Diverged) {
            return None;
        }
        let follows = self.epoch.me().is_none();
        if follows {
            self.look_as_follower();
        }
        // The state that comes is that of a later block.
        if self.take_over.installs() {
            return None;
        }
        let next = self
            .fetching
            .as_ref()
            .map_or(self.finality.final_index() + 1, |certificate| {
                certificate.header.index + 1
            });
        let standing = Standing {
            roster: self.epoch.roster(),
            epoch: self.epoch.start.epoch,
            next,
            follows,
        };
        let ask = self
            .catch_up
            .ask(standing, next, self.now, &self.config.pace);
        if let Some(ask) = ask {
            let request = BlockRequest {
                index: ask.index,
                offset: ask.offset,
            };
            self.send(Recipient::One(ask.peer), &Message::BlockRequest(request));
        }
        self.catch_up.due(follows, self.now)
    }

    /// A peer wants blocks. The driver has them.
    pub(super) fn serve_blocks(&mut self, to: PublicKey, request: BlockRequest) {
        if request.index <= self.finality.final_index() {
            self.out.push(Output::ServeBlocks {
                to,
                index: request.index,
                offset: request.offset,
            });
        }
    }

    pub(super) fn fetched(&mut self, from: &PublicKey, part: &Blocks) {
        if self.catch_up.take(from, part, self.now) {
            self.use_fetched();
        }
    }

    /// Uses the blocks that are whole, until one must be executed first.
    pub(super) fn use_fetched(&mut self) {
        let idle = |core: &Self| core.fetching.is_none() && core.finality.executing().is_none();
        while idle(self) && !self.take_over.installs() {
            let index = self.catch_up.index();
            match self.catch_up.next_block(&self.config.limits) {
                None => return,
                Some(block) => {
                    let used = block.and_then(|block| self.use_block(index, block));
                    if let Err(problem) = used {
                        let next = self.finality.final_index() + 1;
                        self.catch_up.distrust(next, self.now, &self.config.pace);
                        self.refuse(self.key, RefusalReason::Block(problem));
                        return;
                    }
                }
            }
        }
    }

    fn use_block(&mut self, index: u64, block: FinalBlock) -> Result<(), BlockProblem> {
        let header = &block.certificate.header;
        if header.index != index {
            return Err(BlockProblem::OtherBlock);
        }
        if index <= self.finality.final_index() {
            return Ok(());
        }
        if header.epoch != self.epoch.start.epoch {
            return Err(BlockProblem::OtherBlock);
        }
        block
            .certificate
            .verify_by(
                self.config.scheme,
                self.epoch.roster(),
                &self.config.cluster,
            )
            .map_err(|_| BlockProblem::Certificate)?;
        if index <= self.finality.executed() {
            self.conclude(block.certificate);
            return Ok(());
        }
        if index != self.finality.executed() + 1 {
            return Err(BlockProblem::OtherBlock);
        }
        let certificate = block.certificate.clone();
        let block = block.into_block()?;
        let digests = block.transactions.iter();
        let digests = digests.map(|transaction| fetched_digest(&transaction.bytes));
        if self.epoch.dag.len() > 0 {
            self.epoch.fetching = digests.collect();
        }
        if block.seals {
            self.epoch.sealed_by = Some(index);
        }
        self.finality.put_first(block);
        self.fetching = Some(certificate);
        Ok(())
    }

    /// A certificate of an executed block is here before this node's own votes
    /// made one: the block is final if it is the one that was executed here. Of
    /// a header that a restart forgot this shows later, since every header names
    /// the one before, and the last executed one is always known.
    pub(super) fn conclude(&mut self, certificate: Certificate) {
        let index = certificate.header.index;
        let theirs = certificate.header.hash();
        match self.finality.header_hash(index) {
            Some(ours) if ours != theirs => self.diverge(index, ours, theirs),
            // Blocks become final in order; an earlier one comes first.
            _ if index == self.finality.final_index() + 1 => {
                self.finality.restore_final(index);
                self.finalized(certificate);
            }
            _ => {}
        }
    }
}
