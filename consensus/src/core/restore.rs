//! From a log back to an engine.
//!
//! The records are this node's own and were synced by it, so signatures are
//! not checked again (the store guards the bytes). Everything else is: a log of
//! another federation or with a gap is refused, never guessed at.

use super::Core;
use crate::crypto::Signer;
use crate::event::{Event, EventProblem};
use crate::id::Timestamp;
use crate::interface::{Config, Executed, Output, Record, RecordProblem, RestoreError};
use crate::message::BlockSignature;
use crate::record::Entry;

pub(super) fn restore(
    config: Config,
    signer: Box<dyn Signer>,
    records: impl IntoIterator<Item = Record>,
    executed: Executed,
    now: Timestamp,
) -> Result<(Core, Vec<Output>), RestoreError> {
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
    for Record { number, bytes } in records {
        let entry = Entry::decode(bytes, &core.config.limits)
            .map_err(|problem| RestoreError::Record { number, problem })?;
        // What was pruned is no gap: the log may begin with any epoch.
        let begins = core.last_record == 0 && matches!(entry, Entry::Epoch { .. });
        if !begins && number != core.last_record + 1 {
            return Err(RestoreError::Gap {
                last: core.last_record,
                found: number,
            });
        }
        core.replay(entry, number)
            .map_err(|problem| RestoreError::Record { number, problem })?;
        core.last_record = number;
    }
    // Whom it was alone with in an earlier epoch says nothing about this one.
    core.sure = core.is_alone();
    core.epoch.own_synced = core.epoch.own_len();
    let own = core.epoch.me().and_then(|me| core.epoch.dag.tip(me));
    if let Some(own) = own {
        let timestamp = core.epoch.dag.vertex(own).event.header().timestamp;
        core.epoch.emit.restored(timestamp);
    }
    if let Some(header) = last_header.filter(|header| header.index > core.finality.final_index()) {
        // The stop between execution and signature, or nothing at all.
        core.sign(header);
    }
    core.out.insert(0, Output::Epoch(core.epoch.start.clone()));
    core.summary_at = now;
    let out = core.settle();
    Ok((core, out))
}

impl Core {
    fn replay(&mut self, entry: Entry, number: u64) -> Result<(), RecordProblem> {
        match entry {
            Entry::Event(event) => self.replay_event(event, number)?,
            Entry::Signed(header, signature) => {
                let Some(signer) = self.epoch.me() else {
                    return Ok(());
                };
                let (index, hash) = (header.index, header.hash());
                let vote = BlockSignature {
                    epoch: header.epoch,
                    index,
                    header: hash,
                    signer,
                    signature,
                };
                self.finality.restore_header(header);
                self.finality.recorded(index, hash, signature);
                self.finality.vote(&vote).map_err(RecordProblem::Refused)?;
            }
            Entry::Fetched(digests) => self.epoch.cover(digests),
            Entry::Final(index) => self.finality.restore_final(index),
            Entry::Evidence(proof) => {
                self.epoch.forkers.insert(proof.creator());
                self.epoch.proofs.insert(proof.creator(), proof);
            }
            Entry::Seal(index, roster) => self.seal(index, Some(roster)),
            Entry::Epoch {
                epoch,
                header,
                roster,
                forkers,
            } => {
                self.finality.restore_final(header.index);
                self.begin(epoch, &header, roster, &forkers);
            }
        }
        Ok(())
    }

    fn replay_event(&mut self, event: Event, number: u64) -> Result<(), RecordProblem> {
        let header = event.header();
        header.check(self.epoch.roster())?;
        let start = &self.epoch.start;
        if header.epoch != start.epoch || header.anchor != start.anchor {
            return Err(EventProblem::OtherEpoch.into());
        }
        if !self.epoch.dag.missing_parents(&event).is_empty() {
            return Err(RecordProblem::Orphan);
        }
        if self.epoch.dag.find(&event.id()).is_none() {
            let inserted = self.epoch.dag.insert(event);
            let slot = inserted.map_err(RecordProblem::Refused)?;
            self.epoch.dag.set_record(slot, number);
            self.inserted(slot);
        }
        Ok(())
    }
}
