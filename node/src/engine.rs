//! The engine: consensus core, gossip, signature checks and storage, started
//! and stopped together, for whatever application gives the order a meaning.
//!
//! Deliberately absent: the ledger, people's doors, effects.

use std::{
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::Duration,
};

use dctrl_consensus::{Config as CoreConfig, PublicKey, Roster, Signer, Summary};
use dctrl_net::{
    NetError,
    gossip::{Gossip, GossipConfig, Peer},
    limits::{LEAVING_MS, UNANSWERED_MS_MAX},
    zap::Zap,
};
use dctrl_store::Store;
use thiserror::Error;
use tokio::sync::oneshot;

use crate::{
    boot::{self, BootError},
    checker::{self, Checker},
    inbox::Inbox,
    pipeline::{
        self, Application, CommandsEnd, Keeper, Meters, Pipeline, PipelineError, PipelineHandle,
        Restored, Rules, States, Threads, Views, Worth,
    },
};

/// Why the engine did not start, or ended by itself.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The data folder.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// A ZeroMQ endpoint.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The system gave no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// The pipeline stopped.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A thread panicked, which is a bug.
    #[error("a thread ended without a reason, see the log: {0}")]
    Panicked(&'static str),
}

/// Where the other nodes are.
pub(crate) struct Network {
    pub(crate) zap: Zap,
    /// This node.
    pub(crate) me: PublicKey,
    /// Where this node listens.
    pub(crate) listen: String,
    pub(crate) curve_secret: [u8; 32],
    pub(crate) peers: Vec<Peer>,
    /// Off only for measurements.
    pub(crate) encrypted: bool,
    /// Threads that check signatures; 0 for as many as there are cores.
    pub(crate) check_threads: usize,
}

/// What is kept of the past, for this node's readers and for peers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keeping {
    /// The last blocks; 0 for all.
    pub(crate) blocks: u64,
    /// States behind seals; `None` for none.
    pub(crate) worth: Option<Worth>,
}

impl Keeping {
    /// All blocks, and no states.
    pub(crate) fn everything() -> Self {
        Self {
            blocks: 0,
            worth: None,
        }
    }
}

/// An engine whose history has been read, and that does not move yet.
pub(crate) struct Idle {
    store: Store,
    config: CoreConfig,
    restored: Restored,
    handle: PipelineHandle,
    commands: CommandsEnd,
    summary: Arc<Mutex<Summary>>,
    roster: Arc<Mutex<Roster>>,
}

impl Idle {
    /// Replays the log in `store`.
    ///
    /// # Errors
    /// A log or header that does not fit.
    pub(crate) fn restore(
        store: Store,
        config: CoreConfig,
        signer: Box<dyn Signer>,
    ) -> Result<Self, BootError> {
        let restored = boot::restore_core(&store, config.clone(), signer)?;
        let (handle, commands) = pipeline::channel(&config.limits)?;
        let summary = Arc::new(Mutex::new(restored.core.summary()));
        let roster = Arc::new(Mutex::new(restored.core.epoch().roster.clone()));
        Ok(Self {
            store,
            config,
            restored,
            handle,
            commands,
            summary,
            roster,
        })
    }

    /// The way in for what is to be ordered.
    pub(crate) fn handle(&self) -> PipelineHandle {
        self.handle.clone()
    }

    /// What the core says about itself.
    pub(crate) fn summary(&self) -> Arc<Mutex<Summary>> {
        Arc::clone(&self.summary)
    }

    /// The members that the summary's rows are about.
    pub(crate) fn roster(&self) -> Arc<Mutex<Roster>> {
        Arc::clone(&self.roster)
    }

    /// Connects to the peers and begins to work; `meters` note how long that
    /// takes.
    ///
    /// # Errors
    /// A port that is taken, or a system without threads.
    pub(crate) fn start(
        self,
        network: Network,
        application: impl Application,
        meters: Meters,
        keeping: Keeping,
    ) -> Result<Engine, EngineError> {
        let (commands, wake_end) = self.commands;
        let frame_bytes_max = self.config.limits.message_bytes_max;
        let gossip = GossipConfig {
            zap: network.zap,
            me: network.me,
            listen: network.listen,
            curve_secret: network.curve_secret,
            peers: network.peers,
            linger: Duration::from_millis(LEAVING_MS),
            unanswered_max: Duration::from_millis(UNANSWERED_MS_MAX),
            frame_bytes_max,
            encrypted: network.encrypted,
        };
        let gossip = Gossip::open(gossip, self.handle.waker(), wake_end)?;
        let epoch = self.restored.core.epoch().clone();
        let rules = checker::Rules::new(epoch.clone(), self.config.limits);
        let (to_pipeline, waker) = (self.handle.clone(), self.handle.clone());
        let checker = Checker::start(
            Inbox::new(),
            rules.clone(),
            Arc::clone(&meters.verify),
            network.check_threads,
            move |from, message, bytes| to_pipeline.receive(from, message, bytes),
            move || waker.wake(),
        )?;
        let sync = Arc::clone(&meters.sync);
        let keeper = Keeper::start(self.store.clone(), self.handle.clone(), sync)?;
        let threads = Threads {
            keeper,
            states: States::start(&self.store, &self.handle, keeping.blocks)?,
            worth: keeping.worth,
        };
        let views = Views {
            summary: self.summary.clone(),
            roster: Arc::clone(&self.roster),
            gate: self.handle.gate(),
            set_back: self.handle.set_back(),
            meters,
        };
        let rules = Rules {
            cluster: self.config.cluster,
            roster: epoch.roster,
            checks: rules,
            frame_bytes_max,
        };
        let (pipeline, outputs) = Pipeline::new(
            self.restored,
            self.store,
            threads,
            (gossip, checker),
            application,
            views,
            rules,
        );
        let (ended_sender, ended) = oneshot::channel::<()>();
        let thread = thread::Builder::new()
            .name("pipeline".to_owned())
            .spawn(move || {
                // Dropped when the thread ends, for whatever reason.
                let _ended = ended_sender;
                pipeline.run(commands, outputs)
            })?;
        Ok(Engine {
            handle: self.handle,
            thread,
            ended,
        })
    }
}

/// An engine at work.
pub(crate) struct Engine {
    handle: PipelineHandle,
    thread: JoinHandle<Result<Gossip, PipelineError>>,
    ended: oneshot::Receiver<()>,
}

impl Engine {
    /// Waits until it ends by itself.
    pub(crate) async fn ended(&mut self) {
        // A dropped sender says the same.
        let _ = (&mut self.ended).await;
    }

    /// Finishes what is queued, and leaves the network last.
    ///
    /// # Errors
    /// Why it had ended by itself.
    pub(crate) fn stop(self) -> Result<(), EngineError> {
        self.handle.stop();
        match self.thread.join() {
            Ok(Ok(gossip)) => {
                gossip.stop();
                Ok(())
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(EngineError::Panicked("pipeline")),
        }
    }
}
