//! The one owner of consensus and storage.
//!
//! A single thread takes commands, steps the consensus core, executes ordered
//! blocks, and collects everything that follows in one batch. The keeper's
//! thread syncs it while the next one fills: one sync serves everything that
//! waits, and nothing waits for a disk but what must. Only after its batch is
//! durable may the world know of something: own events and block signatures
//! are released, receipts are visible, certified frames go to the bus (laws 1
//! and 2 of the architecture).
//!
//! What the ordered bytes mean is the business of an [`Application`].
//! `execute` is the only place where consensus (bytes, no business) and the
//! ledger (business, no network) meet.
//!
//! Deliberately absent: signature checks of peers' messages (done before, by
//! the checker), and any decision about business.

mod application;
mod clock;
mod command;
mod execute;
mod gate;
mod keeper;
mod meter;
mod payload;
mod perform;
mod places;
mod publish;
mod serve;
mod turn;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    time::{Duration, Instant},
};

use dctrl_consensus::{
    Certificate, ClusterId, Core, Digest, Input, Limits, Output, RefusalReason, Roster, Summary,
    Timestamp,
};
use dctrl_ledger::ChangeSet;
use dctrl_net::gossip::Gossip;
use dctrl_store::{Batch, Store, StoreError};
use thiserror::Error;

use self::{clock::Clock, gate::Gate};
use crate::checker;
pub(crate) use application::{Application, Execution};
pub(crate) use command::Command;
pub use command::{COMMANDS_MAX, PipelineHandle};
pub(crate) use execute::{LedgerApplication, applied, peers};
pub(crate) use keeper::Keeper;
pub(crate) use meter::Meter;
pub(crate) use publish::Publisher;

/// Commands taken before outputs are performed: bounds how long the first of
/// them waits.
const COMMANDS_PER_TURN_MAX: usize = 512;

/// Bytes of commands taken before outputs are performed.
const BYTES_PER_TURN_MAX: usize = 4 << 20;

/// Bytes that may come together while a batch is made durable; with more the
/// pipeline waits for the disk. Twice this is in memory at most.
const BYTES_FILLING_MAX: usize = 16 << 20;

/// Batches that a stop waits for: what is in flight, what has come together
/// since, and what follows from both.
const FINISHING_BATCHES: usize = 4;

/// How long a batch may wait in which nothing is awaited, and how many bytes.
const LAZY_WAIT: Duration = Duration::from_millis(50);
const LAZY_BYTES_MAX: usize = 1 << 20;

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
    /// A final block that this node stored does not decode.
    #[error("the store holds a block that this version cannot read")]
    Block,
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
    pub(crate) summary: Arc<Mutex<Summary>>,
    /// The members that the summary's rows are about.
    pub(crate) roster: Arc<Mutex<Roster>>,
    pub(crate) gate: Arc<Gate>,
}

/// The pipeline's parts, owned by its thread.
pub(crate) struct Pipeline<A: Application> {
    core: Core,
    store: Store,
    keeper: Keeper,
    gossip: Gossip,
    application: A,
    /// The certificate that sealed the epoch, until the next one begins.
    seal: Option<Certificate>,
    views: Views,
    rules: Rules,
    /// Hash of the header before the next block's.
    previous: Digest,
    clock: Clock,
    wake_at: Option<Timestamp>,
    /// Nothing is on its way to a block.
    rests: bool,
    /// Actions and bytes that entered the pool since that was last shown.
    submitted: (usize, usize),
    /// What fills while the one before is made durable.
    batch: Batch,
    filling: Pending<A::Notice>,
    /// What the keeper makes durable now.
    in_flight: Option<Pending<A::Notice>>,
}

/// What a block's header names beside the block.
pub(crate) struct Rules {
    pub(crate) cluster: ClusterId,
    pub(crate) roster: Roster,
    /// Where peers' messages are checked by the same roster.
    pub(crate) checks: checker::Rules,
}

/// What a restored node goes on from.
pub(crate) struct Restored {
    pub(crate) core: Core,
    /// Hash of the last header.
    pub(crate) previous: Digest,
    /// What was not done before the last stop.
    pub(crate) outputs: Vec<Output>,
}

/// What waits for a batch to be durable.
struct Pending<N> {
    /// Something is in the batch.
    any: bool,
    /// When that was first noticed.
    since: Option<Instant>,
    /// Bytes of records and blocks in it.
    bytes: usize,
    /// Highest consensus record in it.
    through: Option<u64>,
    /// Blocks in it, in order.
    executed: Vec<(u64, N)>,
    /// Changes of the state in it.
    changes: ChangeSet,
    /// The last certificate in it.
    certified: Option<u64>,
}

impl<N> Default for Pending<N> {
    fn default() -> Self {
        Self {
            any: false,
            since: None,
            bytes: 0,
            through: None,
            executed: Vec::new(),
            changes: ChangeSet::new(),
            certified: None,
        }
    }
}

impl<A: Application> Pipeline<A> {
    pub(crate) fn new(
        restored: Restored,
        store: Store,
        keeper: Keeper,
        gossip: Gossip,
        application: A,
        views: Views,
        rules: Rules,
    ) -> (Self, Vec<Output>) {
        let batch = store.begin();
        let pipeline = Self {
            core: restored.core,
            store,
            keeper,
            gossip,
            application,
            seal: None,
            views,
            rules,
            previous: restored.previous,
            clock: Clock::default(),
            wake_at: None,
            rests: true,
            submitted: (0, 0),
            batch,
            filling: Pending::default(),
            in_flight: None,
        };
        (pipeline, restored.outputs)
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
            let next = commands.recv_timeout(self.patience());
            // Before everything else: an event made in this turn carries them.
            self.take_actions(&mut outputs);
            match next {
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
            for _ in 1..COMMANDS_PER_TURN_MAX {
                if bytes > BYTES_PER_TURN_MAX {
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
                self.views.gate.close(Some(RefusalReason::Stopped));
                self.finish()?;
                return Ok(self.gossip);
            }
        }
    }

    /// Steps the core for one command; true when it asks to stop.
    fn take(&mut self, command: Command, outputs: &mut Vec<Output>) -> bool {
        match command {
            Command::Receive {
                from,
                message,
                place,
            } => {
                let message = *message;
                outputs.extend(self.step(Input::Receive { from, message }));
                drop(place);
            }
            Command::Window { events_max, reply } => {
                // Whoever asked may have lost patience.
                let _ = reply.try_send(self.core.window(events_max));
            }
            Command::Entrust(action) => outputs.extend(self.step(Input::Entrust(action))),
            Command::Look => {}
            Command::Stop => return true,
        }
        false
    }

    /// Puts the actions that wait at the gate into the pool.
    fn take_actions(&mut self, outputs: &mut Vec<Output>) {
        for action in self.views.gate.take() {
            self.submitted.0 += 1;
            self.submitted.1 += action.len();
            outputs.extend(self.step(Input::Submit(action)));
        }
    }

    fn step(&mut self, input: Input) -> Vec<Output> {
        self.core.step(self.clock.now(), input)
    }

    fn patience(&mut self) -> Duration {
        if !self.views.gate.rest(self.rests) {
            return Duration::ZERO;
        }
        let longest = if self.filling.any {
            LAZY_WAIT
        } else {
            IDLE_WAIT
        };
        let now = self.clock.now();
        self.wake_at.map_or(longest, |at| {
            Duration::from_nanos(at.0.saturating_sub(now.0)).min(longest)
        })
    }

    /// Performs outputs and those that follow from them, and keeps the keeper
    /// busy. Waits for the disk only when too much has come together.
    fn settle(&mut self, outputs: Vec<Output>) -> Result<(), PipelineError> {
        let mut queue = VecDeque::from(outputs);
        loop {
            while let Some(output) = queue.pop_front() {
                self.perform(output, &mut queue)?;
            }
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
            }
            break;
        }
        self.keep(false);
        self.show();
        Ok(())
    }

    /// Hands the batch to the keeper where the keeper is free and somebody
    /// waits for something in it. Events of others alone wait for the next own
    /// one: their creators have them on disk.
    fn keep(&mut self, all: bool) {
        let filling = &mut self.filling;
        if self.in_flight.is_some() || !filling.any {
            return;
        }
        let since = *filling.since.get_or_insert_with(Instant::now);
        let awaited =
            !filling.executed.is_empty() || filling.certified.is_some() || self.core.awaits_sync();
        let old = filling.bytes > LAZY_BYTES_MAX || since.elapsed() >= LAZY_WAIT;
        if all || awaited || old {
            let batch = std::mem::replace(&mut self.batch, self.store.begin());
            self.keeper.keep(batch);
            self.in_flight = Some(std::mem::take(&mut self.filling));
        }
    }

    /// Waits until everything that has been performed is durable.
    fn finish(&mut self) -> Result<(), PipelineError> {
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

    /// Shows how things stand, before the next user asks.
    fn show(&mut self) {
        let summary = self.core.summary();
        self.rests = summary.pool_transactions == 0 && summary.undecided_payload_events == 0;
        let (actions, bytes) = std::mem::take(&mut self.submitted);
        let gate = &self.views.gate;
        gate.pool_holds(summary.pool_transactions, summary.pool_bytes);
        gate.leave(actions, bytes);
        gate.close(self.core.admits(1).err());
        let mut shown = self.views.summary.lock();
        if let Ok(shown) = shown.as_deref_mut() {
            *shown = summary;
        }
    }

    /// The batch in flight is durable: lets the world know.
    fn kept(&mut self, queue: &mut VecDeque<Output>) -> Result<(), PipelineError> {
        let Some(done) = self.in_flight.take() else {
            return Ok(());
        };
        // The disk is idle now, and what follows takes a while.
        self.keep(false);
        if let Some(through) = done.through {
            queue.extend(self.step(Input::Persisted { through }));
        }
        for (height, notice) in done.executed {
            self.application.durable(height, notice);
        }
        if let Some(height) = done.certified {
            self.application.certified(height)?;
        }
        Ok(())
    }
}

/// A channel to a pipeline that does not run yet.
pub(crate) fn channel(limits: &Limits) -> (PipelineHandle, Receiver<Command>) {
    let (sender, receiver) = sync_channel(COMMANDS_MAX);
    (PipelineHandle::new(sender, limits), receiver)
}
