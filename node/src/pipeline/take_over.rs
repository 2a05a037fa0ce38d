//! The moments at which the pipeline and the states of seals meet: a state is
//! kept aside behind a seal, and one that was taken over becomes the present.

use std::collections::VecDeque;

use dctrl_consensus::{BlockHeader, Finish, Input, Output, Recipient};
use dctrl_store::{InstallError, Seal};

use super::{Application, Pipeline, PipelineError, states::Progress};

impl<A: Application> Pipeline<A> {
    /// The block is final and sealed its epoch: the state behind it is kept
    /// aside when its batch is durable, if it is worth that.
    pub(super) fn sealed(&mut self, header: &BlockHeader) {
        self.filling.checkpoint |= self.worth.as_mut().is_some_and(|it| it.keeps(header));
    }

    /// Nothing is executed into a batch behind which the state is kept aside.
    pub(super) fn pass_checkpoint(
        &mut self,
        queue: &mut VecDeque<Output>,
    ) -> Result<(), PipelineError> {
        if self.filling.checkpoint {
            if self.in_flight.is_some() {
                self.keeper.wait()?;
                self.kept(queue)?;
            }
            self.keep(true);
        }
        Ok(())
    }

    /// Sends what was read for peers, and hands on how a take-over goes.
    pub(super) fn take_from_states(&mut self, outputs: &mut Vec<Output>) {
        while let Some((to, answer)) = self.states.answer() {
            self.send(Recipient::One(to), answer);
        }
        while let Some(told) = self.states.progress() {
            let Progress {
                manifest,
                progress,
                checked,
            } = told;
            if checked.is_some() {
                self.checked = checked;
            }
            outputs.extend(self.step(Input::Install { manifest, progress }));
        }
    }

    /// The checked state becomes the present one, behind everything that was
    /// put out before.
    pub(super) fn take_over(
        &mut self,
        finish: &Finish,
        queue: &mut VecDeque<Output>,
    ) -> Result<(), PipelineError> {
        loop {
            self.keep(true);
            if self.in_flight.is_none() {
                break;
            }
            self.keeper.wait()?;
            self.kept(queue)?;
        }
        let checked = self
            .checked
            .take()
            .ok_or(PipelineError::TakeOver(InstallError::Missing(0)))?;
        let header = &finish.certificate.header;
        let steps = finish.steps.iter();
        let steps: Vec<_> = steps.map(|it| (it.next.number, it.encode())).collect();
        checked.0.finish(Seal {
            header: &header.encode(),
            certificate: &finish.certificate.encode(),
            roster_steps: &steps,
            record: Some((finish.record.number, &finish.record.bytes)),
        })?;
        tracing::info!(height = header.index, "took over the state of a seal");
        self.batch = self.store.begin();
        self.previous = header.hash();
        self.seal = None;
        let snapshot = self.store.snapshot();
        self.application.taken_over(header.index, &snapshot);
        if let Some(peers) = self.application.peers(&snapshot)
            && let Err(error) = self.gossip.set_peers(peers)
        {
            tracing::error!(%error, "the nodes of the new state cannot be reached");
        }
        Ok(())
    }
}
