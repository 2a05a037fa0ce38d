//! What each block and each epoch turns: the application's state, and who the
//! peers are.

use std::{collections::VecDeque, sync::PoisonError};

use dctrl_consensus::{Block, EpochStart, Input, Outcome, Output, RosterStep, merkle};
use dctrl_ledger::{ChangeSet, Changed};

use super::{Application, Pipeline, payload};

impl<A: Application> Pipeline<A> {
    /// Executes `block` and puts what follows into the batch: state, outputs,
    /// block and header.
    pub(super) fn execute(&mut self, block: &Block, queue: &mut VecDeque<Output>) {
        let none = ChangeSet::new();
        // The batch before may still be on its way to the disk, and this one
        // is: only here is the state seen like this.
        let older = self.in_flight.as_ref().map_or(&none, |it| &it.changes);
        let snapshot = self.store.snapshot();
        let older = Changed::new(&snapshot, older);
        let state = Changed::new(&older, &self.filling.changes);
        let done = self.application.execute(block, &state);
        drop(snapshot);
        let outputs_root = merkle::root(&done.outputs);
        let outcome = Outcome {
            state_digest: done.state_digest,
            outputs_root,
            next_roster: done.next_roster,
        };
        let header = block.header(
            &self.rules.cluster,
            &self.rules.roster,
            self.previous,
            &outcome,
        );
        self.previous = header.hash();
        if block.pieces.is_empty() {
            let payload = payload::encode(&block.transactions);
            self.filling.bytes += payload.len();
            self.batch.block(block.index, payload, &header.encode());
        } else {
            let parts = payload::parts(block);
            self.batch
                .block_of_records(block.index, parts, &header.encode());
        }
        self.batch
            .state(&done.changes)
            .outputs(block.index, &done.outputs)
            .executed(block.index);
        self.filling.any = true;
        self.filling.changes.extend(done.changes);
        self.filling.executed.push((block.index, done.notice));
        tracing::debug!(
            height = block.index,
            actions = block.transactions.len(),
            state = %done.state_digest,
            "executed a block"
        );
        // The header and this node's signature enter the same batch.
        let follows = self.step(Input::Executed {
            index: block.index,
            outcome,
        });
        queue.extend(follows);
    }

    /// Another epoch: peers' messages are checked by its roster, and where that
    /// is another one, the nodes behind it are the peers from now on.
    pub(super) fn begin(&mut self, epoch: EpochStart) {
        *self
            .views
            .roster
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = epoch.roster.clone();
        let changed = epoch.roster.number != self.rules.roster.number;
        self.rules.roster = epoch.roster.clone();
        self.rules.checks.begin(epoch);
        let seal = self.seal.take();
        if !changed {
            return;
        }
        if let Some(certificate) = seal {
            // For light clients, in the batch that holds the certificate.
            let next = self.rules.roster.clone();
            let step = RosterStep { certificate, next };
            self.batch.roster_step(step.next.number, &step.encode());
            self.filling.any = true;
        }
        let none = ChangeSet::new();
        let older = self.in_flight.as_ref().map_or(&none, |it| &it.changes);
        let snapshot = self.store.snapshot();
        let older = Changed::new(&snapshot, older);
        let state = Changed::new(&older, &self.filling.changes);
        if let Some(peers) = self.application.peers(&state)
            && let Err(error) = self.gossip.set_peers(peers)
        {
            tracing::error!(%error, "the new nodes cannot be reached");
        }
    }
}
