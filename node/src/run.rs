//! Start everything in order, wait, stop everything, intake first.

use std::{
    future::Future,
    sync::{Arc, Mutex, mpsc::Receiver},
    thread::{self, JoinHandle},
    time::Duration,
};

use dctrl_access::{Identity, KeyFileError};
use dctrl_api::{Api, ApiConfig, Gateway, NodeFacts, Progress, ServeError, TlsFiles};
use dctrl_consensus::{Limits, Output, PublicKey, Summary};
use dctrl_ledger::query;
use dctrl_net::{
    NetError,
    bus::{Bus, BusConfig},
    gossip::{Gossip, GossipConfig, Peer},
    limits::LEAVING_MS,
    zap::{AllowList, Zap},
};
use dctrl_store::{Options, Store};
use thiserror::Error;
use tokio::sync::{oneshot, watch};

use crate::{
    admission::Admission,
    boot::{self, BootError},
    checker::{self, Checker},
    config::Config,
    door::Door,
    effects::{self, Effects, EffectsError},
    inbox::{self, Inbox},
    live::LiveViews,
    machines::Machines,
    membership::{self, Membership, MembershipError},
    pipeline::{self, Command, Pipeline, PipelineError, PipelineHandle, Publisher, Rules, Views},
};

/// How often the bus repeats the last final height, so that a subscriber that
/// lost the last frames notices.
const TIP_HINT_EVERY: Duration = Duration::from_secs(1);

/// Why the node did not start, or ended by itself.
#[derive(Debug, Error)]
pub enum RunError {
    /// The key file.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The genesis file.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// The data folder.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// A ZeroMQ endpoint.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The gRPC endpoint.
    #[error(transparent)]
    Api(#[from] ServeError),
    /// A notifier.
    #[error(transparent)]
    Effects(#[from] EffectsError),
    /// The system gave no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// The pipeline stopped the node.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A thread panicked, which is a bug.
    #[error("a thread ended without a reason, see the log: {0}")]
    Panicked(String),
}

/// Runs a node until `stop` ends.
///
/// # Errors
/// What kept it from starting, or ended it early.
pub async fn run(
    config: Config,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError> {
    // Opening files and starting threads waits for disks and peers.
    let rooms = blocking(move || Node::open(config)?.start()).await?;
    let started = rooms.serve().await?;
    tracing::info!("ready");
    started.wait(stop).await
}

/// Runs what blocks on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RunError> + Send + 'static,
) -> Result<T, RunError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(RunError::Panicked(error.to_string())))
}

/// Checks everything that can be checked without starting.
///
/// # Errors
/// The first that is wrong.
pub fn check(config: &Config) -> Result<(), RunError> {
    let identity = Identity::load(&config.key)?;
    let membership = Membership::load(&config.genesis, &identity)?;
    dctrl_ledger::genesis(&membership.genesis).map_err(BootError::Genesis)?;
    Ok(())
}

/// A node whose files are open.
struct Node {
    config: Config,
    identity: Arc<Identity>,
    membership: Membership,
    store: Store,
}

/// A node at work, except that it does not answer people yet.
struct Rooms {
    gateway: Gateway,
    api: ApiConfig,
    effects: Effects,
    bus: Arc<Bus>,
    pipeline: PipelineHandle,
    pipeline_thread: PipelineThread,
    pipeline_ended: oneshot::Receiver<()>,
    checker: Checker,
}

/// A node at work.
struct Started {
    rooms: Rooms,
    stop_api: oneshot::Sender<()>,
    api: Api,
    hints: tokio::task::JoinHandle<()>,
}

impl Node {
    fn open(config: Config) -> Result<Self, RunError> {
        let identity = Arc::new(Identity::load(&config.key)?);
        let membership = Membership::load(&config.genesis, &identity)?;
        let store = Store::open(&config.data, &Options::default()).map_err(BootError::from)?;
        boot::prepare_store(&store, &membership)?;
        Ok(Self {
            config,
            identity,
            membership,
            store,
        })
    }

    fn start(self) -> Result<Rooms, RunError> {
        let (core, previous, restored) =
            boot::restore_core(&self.store, &self.membership, &self.identity)?;
        let (progress_sender, progress) = watch::channel(self.progress()?);
        let summary = Arc::new(Mutex::new(core.summary()));
        let (handle, commands) = pipeline::channel();
        let admission = Admission::new(self.store.clone(), handle.clone());

        let context = zmq::Context::new();
        let zap = Zap::start(&context, AllowList::new())?;
        // Who may come in is known before anyone can knock.
        let machines = Machines::new(
            zap.allowed().clone(),
            &self.membership,
            &self.store.snapshot(),
        )?;
        let (inbox, received) = inbox::new(self.membership.roster.len());
        let gossip = self.start_gossip(&zap, inbox)?;
        let bus = Arc::new(self.start_bus(&zap, admission.clone())?);
        let threads = self.config.check.threads;
        let to_pipeline = handle.clone();
        let checker = checker::start(&received, &self.check_rules(), threads, {
            move |from, message, bytes| to_pipeline.receive(from, message, bytes)
        })?;
        let effects = effects::start(&self.config, &self.membership, &self.identity, &context)?;
        let views = Views {
            progress: progress_sender,
            summary: summary.clone(),
            next_deadline: effects.deadline_setter(),
            machines,
            closed: handle.closed(),
        };
        (views.next_deadline)(query::next_deadline_ms(&self.store.snapshot()));
        let publisher = Publisher::new(bus.clone(), progress.borrow().final_height);
        let rules = Rules {
            cluster: self.membership.cluster_id(),
            roster: self.membership.roster.clone(),
        };
        let store = self.store.clone();
        let pipeline = Pipeline::new(core, store, gossip, publisher, views, rules, previous);
        let (pipeline_thread, pipeline_ended) = spawn_pipeline(pipeline, commands, restored)?;

        Ok(Rooms {
            gateway: self.gateway(admission, progress, summary, &effects),
            api: self.api_config(),
            effects,
            bus,
            pipeline: handle,
            pipeline_thread,
            pipeline_ended,
            checker,
        })
    }

    fn progress(&self) -> Result<Progress, BootError> {
        let snapshot = self.store.snapshot();
        Ok(Progress {
            applied_height: snapshot.height()?,
            final_height: snapshot.final_height()?,
        })
    }

    fn check_rules(&self) -> checker::Rules {
        let membership = &self.membership;
        let roster = membership.roster.clone();
        checker::Rules::new(membership.cluster_id(), roster, Limits::default())
    }

    fn start_gossip(&self, zap: &Zap, inbox: Inbox) -> Result<Gossip, RunError> {
        let nodes = self.membership.genesis.nodes.iter();
        let peers = nodes
            .enumerate()
            .map(|(index, node)| {
                Ok(Peer {
                    key: self.membership.roster.members[index].key,
                    endpoint: node.gossip_endpoint.clone(),
                    curve_public: membership::curve_key(node)?,
                })
            })
            .collect::<Result<Vec<_>, MembershipError>>()?;
        let config = GossipConfig {
            zap: zap.clone(),
            me: PublicKey(self.identity.public_key()),
            listen: self.config.gossip.listen.clone(),
            curve_secret: self.identity.curve_secret(),
            peers,
            linger: Duration::from_millis(LEAVING_MS),
            frame_bytes_max: Limits::default().message_bytes_max,
        };
        let roster = self.membership.roster.clone();
        let deliver = Box::new(move |from: PublicKey, bytes| {
            if let Some(index) = roster.index_of(&from) {
                inbox.put(index, bytes);
            }
        });
        Ok(Gossip::start(config, deliver)?)
    }

    fn start_bus(&self, zap: &Zap, admission: Admission) -> Result<Bus, RunError> {
        let config = BusConfig {
            zap: zap.clone(),
            listen: self.config.bus.listen.clone(),
            door_listen: self.config.bus.door.clone(),
            curve_secret: self.identity.curve_secret(),
        };
        let door = Door::new(self.store.clone(), admission);
        let answer = Box::new(move |_caller, request| door.answer(request));
        Ok(Bus::start(config, answer)?)
    }

    fn api_config(&self) -> ApiConfig {
        let api = &self.config.api;
        let tls = api.tls_certificate.clone().zip(api.tls_key.clone());
        ApiConfig {
            listen: api.listen,
            tls: tls.map(|(certificate, key)| TlsFiles { certificate, key }),
        }
    }

    fn gateway(
        &self,
        admission: Admission,
        progress: watch::Receiver<Progress>,
        summary: Arc<Mutex<Summary>>,
        effects: &Effects,
    ) -> Gateway {
        let views = LiveViews {
            summary,
            genesis: self.membership.genesis.clone(),
            me: usize::from(self.membership.me.0),
            alerts: effects.alerts(),
        };
        Gateway {
            store: self.store.clone(),
            facts: Arc::new(NodeFacts {
                name: self.membership.this_node().name.clone(),
                index: self.membership.me.0,
                cluster: self.membership.cluster,
                genesis: self.membership.genesis.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            }),
            submit: Arc::new(move |action| admission.submit(&action)),
            progress,
            live: Arc::new(move || views.read()),
        }
    }
}

type PipelineThread = JoinHandle<Result<Gossip, PipelineError>>;

/// The pipeline on a thread of its own, and a notice of its end.
fn spawn_pipeline(
    pipeline: Pipeline,
    commands: Receiver<Command>,
    restored: Vec<Output>,
) -> std::io::Result<(PipelineThread, oneshot::Receiver<()>)> {
    let (ended_sender, ended) = oneshot::channel::<()>();
    let thread = thread::Builder::new()
        .name("pipeline".to_owned())
        .spawn(move || {
            // Dropped when the thread ends, for whatever reason.
            let _ended = ended_sender;
            pipeline.run(&commands, restored)
        })?;
    Ok((thread, ended))
}

async fn repeat_tip_hint(bus: Arc<Bus>, progress: watch::Receiver<Progress>) {
    let mut every = tokio::time::interval(TIP_HINT_EVERY);
    loop {
        every.tick().await;
        bus.tip_hint(progress.borrow().final_height);
    }
}

impl Rooms {
    /// Opens the API, the last room.
    async fn serve(self) -> Result<Started, RunError> {
        let (stop_api, stopped) = oneshot::channel();
        let stopped = async {
            // A dropped sender asks for the same.
            let _ = stopped.await;
        };
        let api = dctrl_api::serve(self.api.clone(), self.gateway.clone(), stopped).await?;
        let progress = self.gateway.progress.clone();
        Ok(Started {
            hints: tokio::spawn(repeat_tip_hint(self.bus.clone(), progress)),
            rooms: self,
            stop_api,
            api,
        })
    }

    /// Stops the effects, then the pipeline, which finishes what is queued,
    /// and the network last.
    fn stop(self) -> Result<(), RunError> {
        self.effects.stop();
        self.pipeline.stop();
        let ended = self.pipeline_thread.join();
        drop(self.bus);
        let ended = match ended {
            Ok(Ok(gossip)) => {
                gossip.stop();
                Ok(())
            }
            Ok(Err(error)) => Err(RunError::from(error)),
            Err(_) => Err(RunError::Panicked("pipeline".into())),
        };
        if self.checker.join().is_err() {
            tracing::error!("a thread of the checker panicked");
        }
        ended
    }
}

impl Started {
    /// Waits for `stop`, or for the pipeline to end by itself; then stops
    /// everything, intake first.
    async fn wait(mut self, stop: impl Future<Output = ()>) -> Result<(), RunError> {
        tokio::select! {
            () = stop => tracing::info!("stopping"),
            _ = &mut self.rooms.pipeline_ended => {
                tracing::error!("the pipeline has ended; stopping");
            }
        }
        // The receiver is gone only when the API has ended.
        let _ = self.stop_api.send(());
        let api = self.api.join().await;
        self.hints.abort();
        blocking(move || self.rooms.stop()).await?;
        Ok(api?)
    }
}
