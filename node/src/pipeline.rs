//! The one owner of consensus and storage.
//!
//! A single thread polls the network, takes commands, steps the consensus core,
//! executes ordered blocks, and collects everything that follows in one batch.
//! A short batch it syncs itself, because each change of threads costs a good
//! part of a layer; a long one the keeper's thread syncs while the next one
//! fills. One sync serves everything that waits, and nothing waits for a disk
//! but what must. Only after its batch is
//! durable may the world know of something: own events and block signatures
//! are released, receipts are visible, certified frames go to the bus (laws 1
//! and 2 of the architecture).
//!
//! What the ordered bytes mean is the business of an [`Application`].
//! `execute` is the only place where consensus (bytes, no business) and the
//! ledger (business, no network) meet.
//!
//! Deliberately absent: any decision about business. What peers sent is checked
//! by the checker before the core sees it.

mod application;
mod clock;
mod command;
mod execute;
mod gate;
mod keeper;
mod listen;
mod meter;
mod payload;
mod pending;
mod perform;
mod places;
mod publish;
mod serve;
mod settle;
mod states;
mod take_over;
mod turn;

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, TryRecvError, sync_channel},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use dctrl_consensus::{
    Certificate, ClusterId, Core, Digest, Input, Limits, Output, Recipient, RefusalReason, Roster,
    Summary, Timestamp,
};
use dctrl_net::{
    NetError,
    gossip::Gossip,
    wake::{self, WakeEnd},
};
use dctrl_store::{Batch, InstallError, Store, StoreError};
use thiserror::Error;
use tokio::sync::Notify;

use self::{clock::Clock, gate::Gate, pending::Pending};
use crate::checker::{self, Checker};
pub(crate) use application::{Application, Execution};
pub(crate) use command::Command;
pub use command::{COMMANDS_MAX, PipelineHandle};
pub(crate) use execute::{LedgerApplication, applied, peers_of};
pub(crate) use keeper::Keeper;
pub(crate) use meter::{Meter, Meters};
pub(crate) use publish::Publisher;
pub(crate) use states::{States, Worth};

/// Commands taken before outputs are performed: bounds how long the first of
/// them waits.
const COMMANDS_PER_TURN_MAX: usize = 512;

/// Bytes of commands taken before outputs are performed.
const BYTES_PER_TURN_MAX: usize = 4 << 20;

/// Longest sleep where nothing waits.
const IDLE_WAIT: Duration = Duration::from_secs(60);

/// Why the pipeline ended although nobody asked it to. Each is fatal: the
/// process stops and is started anew.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// The disk failed or is full. Nothing after it has been acknowledged.
    #[error("the store failed, so the node stops: {0}")]
    Store(#[from] StoreError),
    /// The network's sockets are gone.
    #[error("the network failed, so the node stops: {0}")]
    Net(#[from] NetError),
    /// An output that this node stored does not decode.
    #[error("the store holds an output that this version cannot read")]
    Leaf,
    /// A final block that this node stored does not decode.
    #[error("the store holds a block that this version cannot read")]
    Block,
    /// The state that was taken over cannot become the present one. The next
    /// start begins anew.
    #[error("a state that was taken over cannot be kept: {0}")]
    TakeOver(#[from] InstallError),
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
    /// Told when the disk proves to be older than what was sent from it.
    pub(crate) set_back: Arc<Notify>,
    pub(crate) meters: Meters,
}

/// The pipeline's parts, owned by its thread.
pub(crate) struct Pipeline<A: Application> {
    core: Core,
    store: Store,
    keeper: Keeper,
    states: States,
    /// Which seals' states are kept aside; `None` for none.
    worth: Option<Worth>,
    /// A state that was taken over and checked.
    checked: Option<states::Checked>,
    gossip: Gossip,
    checker: Checker,
    /// What goes out in the next frames.
    outgoing: Vec<(Recipient, Bytes)>,
    application: A,
    /// The certificate that sealed the epoch, until the next one begins.
    seal: Option<Certificate>,
    views: Views,
    rules: Rules,
    /// Hash of the header before the next block's.
    previous: Digest,
    clock: Clock,
    wake_at: Option<Timestamp>,
    /// Commands or letters are left that nothing else wakes for.
    more: bool,
    /// When a peer's letters may be taken that its budget keeps back.
    peers_wait: Option<Duration>,
    /// Nothing is on its way to a block.
    rests: bool,
    /// Where this node's last event was, and since when.
    layer: Option<((u64, u64), Instant)>,
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
    /// Longest frame that peers take.
    pub(crate) frame_bytes_max: usize,
}

/// The threads beside the pipeline's.
pub(crate) struct Threads {
    pub(crate) keeper: Keeper,
    pub(crate) states: States,
    pub(crate) worth: Option<Worth>,
}

/// What a restored node goes on from.
pub(crate) struct Restored {
    pub(crate) core: Core,
    /// Hash of the last header.
    pub(crate) previous: Digest,
    /// What was not done before the last stop.
    pub(crate) outputs: Vec<Output>,
}

impl<A: Application> Pipeline<A> {
    pub(crate) fn new(
        restored: Restored,
        store: Store,
        threads: Threads,
        network: (Gossip, Checker),
        application: A,
        views: Views,
        rules: Rules,
    ) -> (Self, Vec<Output>) {
        let (gossip, checker) = network;
        let batch = store.begin();
        let pipeline = Self {
            core: restored.core,
            store,
            keeper: threads.keeper,
            states: threads.states,
            worth: threads.worth,
            checked: None,
            gossip,
            checker,
            outgoing: Vec::new(),
            application,
            seal: None,
            views,
            rules,
            previous: restored.previous,
            clock: Clock::default(),
            wake_at: None,
            more: false,
            peers_wait: None,
            rests: true,
            layer: None,
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
    // By value, so that it goes before the checker, whose threads wait for
    // room in it.
    pub(crate) fn run(
        mut self,
        commands: Receiver<Command>,
        restored: Vec<Output>,
    ) -> Result<Gossip, PipelineError> {
        self.states.look(self.core.summary().final_index);
        self.settle(restored)?;
        let outputs = self.step(Input::Wake);
        self.settle(outputs)?;
        loop {
            self.listen()?;
            let mut outputs = Vec::new();
            // Before everything else: an event made in this turn carries them.
            self.take_actions(&mut outputs);
            self.take_from_states(&mut outputs);
            self.take_letters(&mut outputs);
            let stop = self.take_commands(&commands, &mut outputs);
            self.take_time(&mut outputs);
            self.settle(outputs)?;
            if stop {
                self.views.gate.close(Some(RefusalReason::Stopped));
                self.finish()?;
                return Ok(self.gossip);
            }
        }
    }

    /// Steps the core for a bounded number of commands; true when one of them
    /// asks to stop.
    fn take_commands(&mut self, commands: &Receiver<Command>, outputs: &mut Vec<Output>) -> bool {
        let mut bytes = 0;
        for _ in 0..COMMANDS_PER_TURN_MAX {
            match commands.try_recv() {
                Ok(command) => {
                    bytes += command.bytes();
                    if self.take(command, outputs) {
                        return true;
                    }
                }
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Disconnected) => return true,
            }
            if bytes > BYTES_PER_TURN_MAX {
                break;
            }
        }
        self.more = true;
        false
    }

    /// Wakes the core where its time has come.
    fn take_time(&mut self, outputs: &mut Vec<Output>) {
        let now = self.clock.now();
        if self.wake_at.is_some_and(|at| at <= now) {
            self.wake_at = None;
            outputs.extend(self.step(Input::Wake));
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
                outputs.extend(self.receive(from, *message));
                drop(place);
            }
            Command::Window { events_max, reply } => {
                // Whoever asked may have lost patience.
                let _ = reply.try_send(self.core.window(events_max));
            }
            Command::Entrust(action) => outputs.extend(self.step(Input::Entrust(action))),
            Command::SpeakFrom(instance) => self.core.speak_from(instance),
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

    /// How long there is nothing to do unless something comes.
    fn patience(&mut self) -> Duration {
        if !self.views.gate.rest(self.rests) || std::mem::take(&mut self.more) {
            return Duration::ZERO;
        }
        let mut longest = match self.in_flight {
            // The keeper wakes.
            Some(_) => IDLE_WAIT,
            None => self.filling.patience(self.core.expects_event()),
        };
        if let Some(peers) = self.peers_wait {
            longest = longest.min(peers);
        }
        let now = self.clock.now();
        self.wake_at.map_or(longest, |at| {
            Duration::from_nanos(at.0.saturating_sub(now.0)).min(longest)
        })
    }

    /// Shows how things stand, before the next user asks.
    fn show(&mut self) {
        let summary = self.core.summary();
        self.note_layer(&summary);
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
}

/// A channel to a pipeline that does not run yet.
///
/// # Errors
/// Where the system gives no way to wake it.
pub(crate) fn channel(limits: &Limits) -> std::io::Result<(PipelineHandle, CommandsEnd)> {
    let (sender, receiver) = sync_channel(COMMANDS_MAX);
    let (waker, wake_end) = wake::pair()?;
    let handle = PipelineHandle::new(sender, Arc::new(waker), limits);
    Ok((handle, (receiver, wake_end)))
}

/// The pipeline's end of the channel.
pub(crate) type CommandsEnd = (Receiver<Command>, WakeEnd);
