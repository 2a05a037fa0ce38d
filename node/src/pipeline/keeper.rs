//! Makes batches durable: short ones at once, long ones on a thread, so that
//! the pipeline does not wait for them. While one is synced the next one fills.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use dctrl_store::{Batch, Store, StoreError};

use super::{Meter, PipelineHandle};

/// Whether a batch is durable, or why it is not.
type Kept = Result<(), StoreError>;

/// The pipeline's end of the thread. Dropping it ends the thread.
pub(crate) struct Keeper {
    store: Store,
    took: Arc<Meter>,
    /// `None` only while it is dropped.
    batches: Option<SyncSender<(Batch, bool)>>,
    kept: Receiver<Kept>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// `wake` is told after each batch, so that the pipeline looks; `took`
    /// notes how long each took.
    pub(crate) fn start(
        store: Store,
        wake: PipelineHandle,
        took: Arc<Meter>,
    ) -> std::io::Result<Self> {
        // One batch is in flight at most, so neither channel ever blocks.
        let (batches, to_keep) = sync_channel::<(Batch, bool)>(1);
        let (tell, kept) = sync_channel(1);
        let (own_store, own_took) = (store.clone(), Arc::clone(&took));
        let thread = thread::Builder::new()
            .name("keeper".to_owned())
            .spawn(move || {
                while let Ok((batch, checkpoint)) = to_keep.recv() {
                    let begun = Instant::now();
                    let result = store.commit(batch);
                    took.note(begun.elapsed());
                    if checkpoint
                        && result.is_ok()
                        && let Err(error) = store.checkpoint()
                    {
                        tracing::error!(%error, "the state of a seal cannot be kept aside");
                    }
                    if tell.send(result).is_err() {
                        break;
                    }
                    wake.wake();
                }
            })?;
        Ok(Self {
            store: own_store,
            took: own_took,
            batches: Some(batches),
            kept,
            thread: Some(thread),
        })
    }

    /// Begins to make `batch` durable, and to keep the state behind it aside
    /// for peers. Call only when none is in flight.
    pub(super) fn keep(&self, batch: Batch, checkpoint: bool) {
        if let Some(batches) = &self.batches {
            // A thread that has gone is noticed when its answer is missing.
            let _ = batches.send((batch, checkpoint));
        }
    }

    /// Makes `batch` durable before it returns. Call only when none is in
    /// flight.
    pub(super) fn keep_here(&self, batch: Batch) -> Kept {
        let begun = Instant::now();
        let kept = self.store.commit(batch);
        self.took.note(begun.elapsed());
        kept
    }

    /// How the batch in flight ended, if it has.
    pub(super) fn ended(&self) -> Option<Kept> {
        match self.kept.try_recv() {
            Ok(kept) => Some(kept),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(StoreError::Failed)),
        }
    }

    /// Waits until the batch in flight has ended.
    pub(super) fn wait(&self) -> Kept {
        self.kept.recv().unwrap_or(Err(StoreError::Failed))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the keeper's thread panicked");
        }
    }
}
