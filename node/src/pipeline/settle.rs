//! What follows from a step: outputs performed, batches made durable, and what
//! waited for that.

use std::collections::VecDeque;

use dctrl_consensus::{Input, Output};

use super::{Application, Pipeline, PipelineError};

/// Bytes that may come together while a batch is made durable; with more the
/// pipeline waits for the disk. Twice this is in memory at most.
const BYTES_FILLING_MAX: usize = 16 << 20;

/// Bytes of a batch that the pipeline's own thread writes.
const BYTES_HERE_MAX: usize = 128 << 10;

/// Batches that a stop waits for: what is in flight, what has come together
/// since, and what follows from both.
const FINISHING_BATCHES: usize = 4;

impl<A: Application> Pipeline<A> {
    /// Performs outputs and those that follow from them, and makes durable what
    /// is awaited: here where that is short, or else by the keeper, beside the
    /// next turns. Waits for the keeper only when too much has come together.
    pub(super) fn settle(&mut self, outputs: Vec<Output>) -> Result<(), PipelineError> {
        let mut queue = VecDeque::from(outputs);
        loop {
            while let Some(output) = queue.pop_front() {
                self.perform(output, &mut queue)?;
            }
            self.release();
            if self.in_flight.is_some() {
                let kept = if self.filling.bytes > BYTES_FILLING_MAX {
                    Some(self.keeper.wait())
                } else {
                    self.keeper.ended()
                };
                if let Some(kept) = kept {
                    kept?;
                    self.kept(&mut queue)?;
                    continue;
                }
            } else if self.is_due()
                && self.filling.bytes <= BYTES_HERE_MAX
                && !self.filling.checkpoint
            {
                self.keep_here(&mut queue)?;
                continue;
            }
            break;
        }
        self.keep(false);
        self.show();
        Ok(())
    }

    /// Whether somebody waits for something in the batch, or it is old.
    fn is_due(&mut self) -> bool {
        let event_waits = self.core.event_awaits_sync();
        let event_comes = self.core.expects_event();
        self.filling.is_due(event_waits, event_comes)
    }

    /// Hands the batch to the keeper where the keeper is free and the batch is
    /// due.
    pub(super) fn keep(&mut self, all: bool) {
        if self.in_flight.is_none() && self.filling.any && (all || self.is_due()) {
            let batch = std::mem::replace(&mut self.batch, self.store.begin());
            self.keeper.keep(batch, self.filling.checkpoint);
            self.in_flight = Some(std::mem::take(&mut self.filling));
        }
    }

    /// Makes the batch durable on this thread: a change of threads and back
    /// costs more than a short write.
    fn keep_here(&mut self, queue: &mut VecDeque<Output>) -> Result<(), PipelineError> {
        let batch = std::mem::replace(&mut self.batch, self.store.begin());
        self.in_flight = Some(std::mem::take(&mut self.filling));
        self.keeper.keep_here(batch)?;
        self.kept(queue)
    }

    /// Waits until everything that has been performed is durable.
    pub(super) fn finish(&mut self) -> Result<(), PipelineError> {
        for _ in 0..FINISHING_BATCHES {
            self.keep(true);
            if self.in_flight.is_some() {
                self.keeper.wait()?;
                let mut queue = VecDeque::new();
                self.kept(&mut queue)?;
                self.settle(queue.into())?;
            }
        }
        Ok(())
    }

    /// The batch in flight is durable: lets the world know.
    pub(super) fn kept(&mut self, queue: &mut VecDeque<Output>) -> Result<(), PipelineError> {
        let Some(done) = self.in_flight.take() else {
            return Ok(());
        };
        if self.filling.bytes > BYTES_HERE_MAX {
            // The disk is idle now, and what follows takes a while.
            self.keep(false);
        }
        dctrl_crash::point("node.acknowledge.before");
        if let Some(through) = done.through {
            queue.extend(self.step(Input::Persisted { through }));
        }
        for (height, notice) in done.executed {
            self.application.durable(height, notice);
        }
        if let Some(height) = done.certified {
            self.application.certified(height)?;
        }
        dctrl_crash::point("node.acknowledge.after");
        if done.checkpoint {
            self.states.look(self.core.summary().final_index);
        }
        Ok(())
    }
}
