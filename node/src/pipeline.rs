//! The one owner of consensus and storage.
//!
//! A single thread takes commands, steps the consensus core, applies ordered
//! blocks to the ledger, and writes everything that follows in one synced
//! batch. Only after that batch is durable may the world know: own events and
//! block signatures are released, receipts are visible, certified frames go to
//! the bus (laws 1 and 2 of the architecture).
//!
//! This is the only place where consensus (bytes, no business) and the ledger
//! (business, no network) meet.
//!
//! Deliberately absent: signature checks of peers' messages (done before, by
//! the checker), and any decision about business.

mod command;
mod execute;
mod places;
mod publish;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use dctrl_api::Progress;
use dctrl_consensus::{
    Certificate, ClusterId, Core, Digest, Input, Limits, Output, Recipient, Roster, Summary,
    Timestamp,
};
use dctrl_net::gossip::{Gossip, To};
use dctrl_proto::v1::Receipt;
use dctrl_store::{Batch, Store, StoreError};
use thiserror::Error;
use tokio::sync::watch;

use crate::machines::Machines;

pub use command::{COMMANDS_MAX, PipelineHandle};
pub(crate) use command::{Closed, Command};
pub(crate) use publish::Publisher;

/// Commands taken before outputs are written: bounds how long the first of
/// them waits for the shared sync.
const COMMANDS_PER_BATCH_MAX: usize = 512;

/// Bytes of commands taken before outputs are written: what they bring is one
/// batch, and a batch of the store is bounded.
const BYTES_PER_BATCH_MAX: usize = 16 << 20;

/// Longest sleep without a command or a timer.
const IDLE_WAIT: Duration = Duration::from_secs(60);

/// Why the pipeline ended although nobody asked it to. Each is fatal: the
/// process stops and is started anew.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// The disk failed or is full. Nothing after it has been acknowledged.
    #[error("the store failed, so the node stops: {0}")]
    Store(#[from] StoreError),
    /// An output that this node stored does not decode.
    #[error("the store holds an output that this version cannot read")]
    Leaf,
    /// f+1 nodes signed another block than this one computed.
    #[error(
        "this node's block {index} differs from the one that at least one honest node signed; \
         it stops before it can mislead anyone. Compare versions, then rebuild it from its peers"
    )]
    Diverged {
        /// Height of the first block that differs.
        index: u64,
    },
}

/// What the pipeline shows of itself.
pub(crate) struct Views {
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) summary: Arc<Mutex<Summary>>,
    pub(crate) next_deadline: Box<dyn Fn(Option<u64>) + Send>,
    pub(crate) machines: Machines,
    pub(crate) closed: Closed,
}

/// The pipeline's parts, owned by its thread.
pub(crate) struct Pipeline {
    core: Core,
    store: Store,
    gossip: Gossip,
    publisher: Publisher,
    views: Views,
    rules: Rules,
    /// Hash of the header before the next block's.
    previous: Digest,
    clock: Clock,
    wake_at: Option<Timestamp>,
    batch: Batch,
    pending: Pending,
}

/// What a block's header names beside the block.
pub(crate) struct Rules {
    pub(crate) cluster: ClusterId,
    pub(crate) roster: Roster,
}

/// What waits for the present batch to be durable.
#[derive(Default)]
struct Pending {
    /// Something is in the batch.
    any: bool,
    /// Highest consensus record in it.
    through: Option<u64>,
    /// Height of the block in it.
    applied: Option<Applied>,
    /// Certificates in it.
    certified: Vec<u64>,
}

struct Applied {
    height: u64,
    next_deadline_ms: Option<u64>,
    receipts: Vec<Receipt>,
}

impl Pipeline {
    pub(crate) fn new(
        core: Core,
        store: Store,
        gossip: Gossip,
        publisher: Publisher,
        views: Views,
        rules: Rules,
        previous: Digest,
    ) -> Self {
        let batch = store.begin();
        Self {
            core,
            store,
            gossip,
            publisher,
            views,
            rules,
            previous,
            clock: Clock::default(),
            wake_at: None,
            batch,
            pending: Pending::default(),
        }
    }

    /// Works until told to stop.
    ///
    /// # Errors
    /// What made it end otherwise; nothing half done is visible.
    pub(crate) fn run(
        mut self,
        commands: &Receiver<Command>,
        restored: Vec<Output>,
    ) -> Result<Gossip, PipelineError> {
        self.settle(restored)?;
        let outputs = self.step(Input::Wake);
        self.settle(outputs)?;
        loop {
            let mut outputs = Vec::new();
            let mut stop = false;
            let mut bytes = 0;
            match commands.recv_timeout(self.patience()) {
                Ok(command) => {
                    bytes += command.bytes();
                    stop |= self.take(command, &mut outputs);
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.wake_at = None;
                    outputs.extend(self.step(Input::Wake));
                }
                Err(RecvTimeoutError::Disconnected) => stop = true,
            }
            for _ in 1..COMMANDS_PER_BATCH_MAX {
                if bytes > BYTES_PER_BATCH_MAX {
                    break;
                }
                let Ok(command) = commands.try_recv() else {
                    break;
                };
                bytes += command.bytes();
                stop |= self.take(command, &mut outputs);
            }
            self.settle(outputs)?;
            if stop {
                return Ok(self.gossip);
            }
        }
    }

    /// Steps the core for one command; true when it asks to stop.
    fn take(&mut self, command: Command, outputs: &mut Vec<Output>) -> bool {
        match command {
            Command::Submit(bytes) => outputs.extend(self.step(Input::Submit(bytes))),
            Command::Receive {
                from,
                message,
                place,
            } => {
                let message = *message;
                outputs.extend(self.step(Input::Receive { from, message }));
                drop(place);
            }
            Command::Stop => return true,
        }
        false
    }

    fn step(&mut self, input: Input) -> Vec<Output> {
        self.core.step(self.clock.now(), input)
    }

    fn patience(&mut self) -> Duration {
        let now = self.clock.now();
        self.wake_at.map_or(IDLE_WAIT, |at| {
            Duration::from_nanos(at.0.saturating_sub(now.0)).min(IDLE_WAIT)
        })
    }

    /// Performs outputs, and those that follow from them, until none is left
    /// and everything is durable.
    fn settle(&mut self, outputs: Vec<Output>) -> Result<(), PipelineError> {
        let mut queue = VecDeque::from(outputs);
        loop {
            while let Some(output) = queue.pop_front() {
                self.perform(output, &mut queue)?;
            }
            if !self.pending.any {
                break;
            }
            self.commit(&mut queue)?;
        }
        *self
            .views
            .summary
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = self.core.summary();
        // Told before the next user asks, so that none is promised what
        // consensus would drop.
        let closed = self.core.admits(Limits::default().transaction_bytes_max);
        *self
            .views
            .closed
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = closed.err();
        Ok(())
    }

    fn perform(
        &mut self,
        output: Output,
        queue: &mut VecDeque<Output>,
    ) -> Result<(), PipelineError> {
        match output {
            Output::Persist(record) => {
                self.batch.record(record.number, &record.bytes);
                self.pending.any = true;
                self.pending.through = self.pending.through.max(Some(record.number));
            }
            Output::Send { to, message } => {
                if let Some(to) = address(to, &self.rules.roster) {
                    self.gossip.send(to, message);
                }
            }
            Output::Execute(block) => {
                // The block before must be readable first.
                if self.pending.applied.is_some() {
                    self.commit(queue)?;
                }
                self.execute(&block, queue)?;
            }
            Output::Final(certificate) => self.keep_certificate(&certificate),
            Output::WakeAt(at) => self.wake_at = Some(at),
            Output::Evidence(proof) => {
                tracing::error!(?proof, "a node signed two histories; the proof is kept");
            }
            Output::Refused { from, reason } => {
                tracing::debug!(?from, %reason, "refused by the consensus core");
            }
            Output::Amnesia { seq } => {
                tracing::error!(
                    seq,
                    "peers hold an event of this node that its disk does not: the disk is older \
                     than what was sent, so the node makes no more events; it still follows"
                );
            }
            Output::Diverged { index, .. } => return Err(PipelineError::Diverged { index }),
        }
        Ok(())
    }

    fn keep_certificate(&mut self, certificate: &Certificate) {
        let height = certificate.header.index;
        self.batch.certificate(height, &certificate.encode());
        self.pending.any = true;
        self.pending.certified.push(height);
    }

    /// Makes the batch durable, then lets the world know.
    fn commit(&mut self, queue: &mut VecDeque<Output>) -> Result<(), PipelineError> {
        let batch = std::mem::replace(&mut self.batch, self.store.begin());
        let done = std::mem::take(&mut self.pending);
        self.store.commit(batch)?;
        if let Some(applied) = done.applied {
            self.views
                .progress
                .send_modify(|progress| progress.applied_height = applied.height);
            (self.views.next_deadline)(applied.next_deadline_ms);
            self.views
                .machines
                .after_block(&applied.receipts, &self.store.snapshot());
        }
        if let Some(through) = done.through {
            queue.extend(self.step(Input::Persisted { through }));
        }
        if !done.certified.is_empty() {
            let final_height = self.publisher.publish_final(&self.store)?;
            self.views
                .progress
                .send_modify(|progress| progress.final_height = final_height);
        }
        Ok(())
    }
}

/// The node's clock: wall time that never runs backwards within a process.
#[derive(Debug, Default)]
struct Clock {
    last: u64,
}

impl Clock {
    fn now(&mut self) -> Timestamp {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| {
                u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
            });
        self.last = self.last.max(wall);
        Timestamp(self.last)
    }
}

/// A channel to a pipeline that does not run yet.
pub(crate) fn channel() -> (PipelineHandle, Receiver<Command>) {
    let (sender, receiver) = sync_channel(COMMANDS_MAX);
    (PipelineHandle::new(sender), receiver)
}

/// A recipient as gossip names it.
fn address(to: Recipient, roster: &Roster) -> Option<To> {
    match to {
        Recipient::All => Some(To::All),
        Recipient::One(node) => roster.key(node).copied().map(To::One),
    }
}
