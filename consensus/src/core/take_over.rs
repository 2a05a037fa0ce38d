//! The state of a seal: served to others, and taken over where this node is too
//! far behind to fetch blocks.
//!
//! The state becomes the present one together with the record that begins the
//! epoch behind the seal, so there is no moment at which a crash leaves the one
//! without the other. The graph before is dropped. This node's transactions in
//! it go back to the pool: they may have been ordered in the blocks that were
//! skipped, and the application, which knows what it has executed, refuses
//! those. Before an own event a quorum has to confirm that there is none of
//! the new epoch that this node does not know.

use super::Core;
use crate::id::{Digest, PublicKey, Timestamp};
use crate::install::{Finish, Install, InstallProgress};
use crate::interface::{Output, Recipient, Record, RefusalReason};
use crate::message::{BlocksGone, Message};
use crate::record::Entry;
use crate::snapshot::StateAnswer;
use crate::take_over::{Ground, TakeOver};

impl Core {
    /// Runs `work` on the take-over and what it may know.
    fn with_take_over<T>(&mut self, work: impl FnOnce(&mut TakeOver, Ground<'_>) -> T) -> T {
        let fetched = self.fetching.as_ref().map(|one| one.header.index);
        let ground = Ground {
            cluster: &self.config.cluster,
            scheme: self.config.scheme,
            roster: &self.epoch.start.roster,
            after: self.finality.first_index() - 1,
            key: &self.key,
            floor: self.finality.ordered_index().max(fetched.unwrap_or(0)),
            now: self.now,
            pace: &self.config.pace,
            limits: &self.config.limits,
        };
        work(&mut self.take_over, ground)
    }

    /// Asks what is due, and says when the next is.
    pub(super) fn take_over_due(&mut self) -> Option<Timestamp> {
        let due = self.with_take_over(TakeOver::due);
        for (peer, problem) in self.take_over.take_blamed() {
            self.refuse(peer, RefusalReason::State(problem));
        }
        for (peer, question) in due.questions {
            self.send(Recipient::One(peer), &Message::StateRequest(question));
        }
        due.again_at
    }

    /// A peer has so many final blocks.
    pub(super) fn note_gap(&mut self, final_index: u64) {
        let gap = self.config.pace.snapshot_gap;
        if final_index.saturating_sub(self.finality.final_index()) > gap {
            self.take_over.look(gap, self.now);
        }
    }

    /// Who follows learns of the others only by asking.
    pub(super) fn look_as_follower(&mut self) {
        if !self.take_over.has_looked() {
            self.take_over.look(self.config.pace.snapshot_gap, self.now);
        }
    }

    /// A peer does not keep the block that it was asked for.
    pub(super) fn blocks_gone(&mut self, from: &PublicKey, gone: BlocksGone) {
        let pace = &self.config.pace;
        let enough = self.epoch.roster().fault_bound() + 1;
        if self.catch_up.gone(from, gone.index, self.now, pace) >= enough {
            self.take_over.look(0, self.now);
        }
    }

    pub(super) fn state_answered(&mut self, from: &PublicKey, answer: StateAnswer) {
        let next = self.with_take_over(|it, ground| it.answer(from, answer, ground));
        self.out.extend(next.map(Output::Install));
    }

    pub(super) fn install_progressed(&mut self, manifest: &Digest, progress: &InstallProgress) {
        let next = self.with_take_over(|it, ground| it.progress(manifest, progress, ground));
        self.out.extend(next.map(Output::Install));
    }

    /// Makes the checked state the present one, between two blocks.
    pub(super) fn finish_take_over(&mut self) {
        let Some(index) = self.take_over.ready().map(|header| header.index) else {
            return;
        };
        if self.finality.executing().is_some() {
            return;
        }
        let Some(taken) = self.take_over.take() else {
            return;
        };
        if self.finality.executed() >= index {
            return;
        }
        let header = taken.certificate.header.clone();
        let epoch = header.epoch.saturating_add(1);
        self.last_record += 1;
        let number = self.last_record;
        let entry = Entry::Epoch {
            epoch,
            header: header.clone(),
            roster: taken.roster.clone(),
            forkers: Vec::new(),
        };
        let bytes = entry.encode();
        self.out
            .push(Output::Install(Install::Finish(Box::new(Finish {
                manifest: taken.manifest,
                certificate: taken.certificate,
                steps: taken.steps,
                record: Record { number, bytes },
            }))));
        let put_back = self.own_unordered();
        self.fetching = None;
        self.catch_up.forget();
        self.finality.take_over(&header);
        self.begin(epoch, &header, taken.roster, &[]);
        self.unsent.clear();
        self.sure = self.is_alone();
        self.pool.put_back(put_back);
        self.out.push(Output::Epoch(self.epoch.start.clone()));
        self.out.push(Output::Prune {
            through: number - 1,
        });
        self.progressed();
    }
}
