//! From a log back to an engine.
//!
//! The records are this node's own and were synced by it, so signatures are
//! not checked again (the store guards the bytes). Everything else is: a log of
//! another federation or with a gap is refused, never guessed at.

use super::Core;
use crate::crypto::Signer;
use crate::id::Timestamp;
use crate::interface::{Config, Executed, Output, RecordProblem, RestoreError};
use crate::message::BlockSignature;
use crate::record::Entry;

pub(super) fn restore(
    config: Config,
    signer: Box<dyn Signer>,
    records: impl IntoIterator<Item = Vec<u8>>,
    executed: Executed,
    now: Timestamp,
) -> Result<(Core, Vec<Output>), RestoreError> {
    let key = signer.public_key();
    if config.roster.key(config.me) != Some(&key) {
        return Err(RestoreError::WrongKey(key));
    }
    let last_header = executed
        .last_header
        .filter(|header| header.index == executed.index);
    if executed.index > 0 && last_header.is_none() {
        return Err(RestoreError::Header(executed.index));
    }
    let mut core = Core::new(config, signer);
    core.now = now;
    if let Some(header) = &last_header {
        core.finality.resume(header.clone());
    }
    for (number, bytes) in (1..).zip(records) {
        core.replay(bytes)
            .map_err(|problem| RestoreError::Record { number, problem })?;
        core.last_record = number;
    }
    let me = core.config.me;
    core.own_synced = core.dag.chain_len(me);
    if let Some(own) = core.dag.tip(me) {
        core.emit
            .restored(core.dag.vertex(own).event.header().timestamp);
    }
    if let Some(header) = last_header {
        // The stop between execution and signature, or nothing at all.
        core.sign(header);
    }
    core.summary_at = now;
    let out = core.settle();
    Ok((core, out))
}

impl Core {
    fn replay(&mut self, bytes: Vec<u8>) -> Result<(), RecordProblem> {
        match Entry::decode(bytes, &self.config.limits)? {
            Entry::Event(event) => {
                event
                    .header()
                    .check(&self.config.roster, &self.config.cluster)?;
                if !self.dag.missing_parents(&event).is_empty() {
                    return Err(RecordProblem::Orphan);
                }
                if self.dag.find(&event.id()).is_none() {
                    let slot = self.dag.insert(event).map_err(RecordProblem::Refused)?;
                    self.inserted(slot);
                }
            }
            Entry::Signed(header, signature) => {
                let (index, hash, signer) = (header.index, header.hash(), self.config.me);
                self.finality.restore_header(header);
                self.finality.recorded(index, hash, signature);
                let vote = BlockSignature {
                    index,
                    header: hash,
                    signer,
                    signature,
                };
                self.finality.vote(&vote).map_err(RecordProblem::Refused)?;
            }
            Entry::Final(index) => self.finality.restore_final(index),
            Entry::Evidence(proof) => self.forkers.insert(proof.creator()),
        }
        Ok(())
    }
}
