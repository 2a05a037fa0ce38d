//! Start everything in order, wait, stop everything, intake first.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dctrl_access::{Identity, KeyFileError};
use dctrl_api::{Api, ApiConfig, Gateway, NodeFacts, Progress, ServeError, TlsFiles};
use dctrl_consensus::{Ed25519Signer, PublicKey, Roster, Summary};
use dctrl_ledger::query;
use dctrl_net::{
    NetError,
    bus::{Bus, BusConfig},
    zap::{AllowList, Zap},
};
use dctrl_store::{Options, Store};
use thiserror::Error;
use tokio::sync::{oneshot, watch};

use crate::{
    admission::Admission,
    boot::{self, BootError},
    config::Config,
    disk::{Disk, DiskError},
    door::Door,
    effects::{self, Effects, EffectsError},
    engine::{Engine, EngineError, Idle, Keeping, Network},
    fill::{Fill, fill},
    live::LiveViews,
    machines::Machines,
    membership::{Membership, MembershipError},
    pipeline::{self, LedgerApplication, PipelineHandle, Publisher, Worth},
    renewal::Renewal,
    scrub,
    signatures::ActionSignatures,
    space::Warden,
    stopping::{self, Roll},
};

/// How soon the bus says a new final height, so that a subscriber that lost the
/// last frames notices.
const TIP_HINT_EVERY: Duration = Duration::from_secs(1);

/// How often it repeats one that stays: a hint wakes every subscriber.
const TIP_HINT_EVERY_MAX: Duration = Duration::from_secs(4);

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
    /// The files that tell the disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file system does not say how full it is.
    #[error("the disk cannot be looked after: {0}")]
    Space(#[source] std::io::Error),
    /// Consensus, gossip or storage.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A ZeroMQ endpoint.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The gRPC endpoint.
    #[error(transparent)]
    Api(#[from] ServeError),
    /// A notifier.
    #[error(transparent)]
    Effects(#[from] EffectsError),
    /// These were asked to stop and did not in their time. All that was
    /// acknowledged is on disk.
    #[error(
        "did not stop in time: {}; all that was acknowledged is on disk", .0.join(", ")
    )]
    Unstopped(Vec<String>),
    /// A measurement that cannot be prepared.
    #[error("cannot fill the node: {0}")]
    Fill(String),
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

/// As [`run`], and hands in what a measurement wants to find in the node.
///
/// # Errors
/// As [`run`], and where the actions are refused.
pub async fn run_filled(
    config: Config,
    order: Fill,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError> {
    let rooms = blocking(move || Node::open(config)?.start()).await?;
    let started = rooms.serve().await?;
    tracing::info!("ready");
    let (store, admission) = (
        started.rooms.gateway.store.clone(),
        started.rooms.admission.clone(),
    );
    let progress = started.rooms.gateway.progress.clone();
    match blocking(move || fill(&order, &store, &admission, progress)).await {
        Ok(height) => println!("filled, final at height {height}"),
        Err(error) => {
            started.stop().await?;
            return Err(error);
        }
    }
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
    let membership = Membership::load(&config.genesis, &identity, config.gossip.join)?;
    dctrl_ledger::genesis(&membership.genesis).map_err(BootError::Genesis)?;
    config.price.sources().map_err(EffectsError::from)?;
    Ok(())
}

/// Takes the operator's word that this disk holds all that the node's key has
/// signed and that no copy of it speaks: it is made the one that the roster in
/// its own state names, which is returned.
///
/// # Errors
/// Where files cannot be read or written, as while the node runs.
pub fn vouch(config: Config) -> Result<u64, RunError> {
    let disk = Disk::new(&config.data, &config.key);
    let node = Node::open(config)?;
    let roster = query::roster(&node.store.snapshot());
    let key = node.identity.public_key();
    let row = roster
        .nodes
        .iter()
        .find(|row| row.node.as_ref().is_some_and(|node| node.key == key));
    let instance = row.map_or(0, |row| row.instance);
    disk.write(instance)?;
    Ok(instance)
}

/// A node whose files are open.
struct Node {
    /// Which disk it speaks from.
    instance: u64,
    config: Config,
    identity: Arc<Identity>,
    membership: Membership,
    warden: Warden,
    store: Store,
    damage: scrub::Findings,
}

/// A node at work, except that it does not answer people yet.
struct Rooms {
    gateway: Gateway,
    admission: Admission,
    api: ApiConfig,
    effects: Effects,
    bus: Arc<Bus>,
    engine: Engine,
    renewal: Renewal,
    warden: Warden,
    damage: scrub::Findings,
}

/// A node at work.
struct Started {
    rooms: Rooms,
    stop_api: oneshot::Sender<()>,
    api: Api,
    hints: tokio::task::JoinHandle<()>,
    renewal: tokio::task::JoinHandle<()>,
    warden: tokio::task::JoinHandle<()>,
    scrub: tokio::task::JoinHandle<()>,
}

impl Node {
    fn open(config: Config) -> Result<Self, RunError> {
        let identity = Arc::new(Identity::load(&config.key)?);
        let membership = Membership::load(&config.genesis, &identity, config.gossip.join)?;
        let instance = Disk::new(&config.data, &config.key).recognise()?;
        let reserve = config.store.reserve_mib << 20;
        // Before the store, so that it finds the room of the ballast.
        let warden = Warden::start(&config.data, reserve).map_err(RunError::Space)?;
        let store = Store::open(&config.data, &Options::default()).map_err(BootError::from)?;
        boot::prepare_store(&store, &membership)?;
        Ok(Self {
            instance,
            config,
            identity,
            membership,
            warden,
            store,
            damage: scrub::Findings::default(),
        })
    }

    fn start(self) -> Result<Rooms, RunError> {
        let mut config = boot::core_config(&self.membership, &self.identity, self.instance);
        config.pace.snapshot_gap = self.config.store.snapshot_gap;
        let signer = Box::new(Ed25519Signer::from_seed(&self.identity.seed()));
        let engine = Idle::restore(self.store.clone(), config, signer)?;
        engine.handle().refuse_where_full(self.warden.space());
        let (progress_sender, progress) = watch::channel(self.progress()?);
        let (summary, roster) = (engine.summary(), engine.roster());
        let signatures = ActionSignatures::default();
        let admission = Admission::new(self.store.clone(), engine.handle(), signatures.clone());

        let context = zmq::Context::new();
        let zap = Zap::start(&context, AllowList::new())?;
        // Who may come in is known before anyone can knock.
        let machines = Machines::new(
            zap.allowed().clone(),
            &self.membership,
            &self.store.snapshot(),
        )?;
        let number = roster.lock().unwrap_or_else(PoisonError::into_inner).number;
        let network = self.network(&zap, number)?;
        let door = Door::new(self.store.clone(), admission.clone(), progress.clone());
        let bus = Arc::new(self.start_bus(&zap, door)?);
        let effects = effects::start(
            &self.config,
            &self.membership,
            &self.identity,
            &context,
            self.store.clone(),
        )?;
        let ledger = LedgerApplication {
            store: self.store.clone(),
            signatures,
            publisher: Publisher::new(bus.clone(), progress.borrow().final_height),
            progress: progress_sender,
            next_deadline: effects.deadline_setter(),
            machines,
            admission: admission.clone(),
            detours: self.config.net.dial.clone(),
        };
        (ledger.next_deadline)(query::next_deadline_ms(&self.store.snapshot()));
        let handle = engine.handle();
        let renewal = Renewal {
            store: self.store.clone(),
            pipeline: handle.clone(),
            identity: self.identity.clone(),
            cluster: self.membership.cluster,
            disk: Disk::new(&self.config.data, &self.config.key),
            instance: self.instance,
        };
        let meters = pipeline::Meters::default();
        let engine = engine.start(network, ledger, meters, self.keeping()?)?;

        Ok(Rooms {
            admission: admission.clone(),
            gateway: self.gateway(admission, progress, summary, roster, &effects, handle),
            api: self.api_config(),
            effects,
            bus,
            engine,
            renewal,
            warden: self.warden,
            damage: self.damage,
        })
    }

    fn keeping(&self) -> Result<Keeping, BootError> {
        let every_ms = self.config.store.state_every_s.saturating_mul(1000);
        Ok(Keeping {
            blocks: self.config.store.keep_blocks,
            worth: Some(Worth::since(&self.store, every_ms)?),
        })
    }

    fn progress(&self) -> Result<Progress, BootError> {
        let snapshot = self.store.snapshot();
        Ok(Progress {
            applied_height: snapshot.height()?,
            final_height: snapshot.final_height()?,
        })
    }

    fn network(&self, zap: &Zap, roster: u64) -> Result<Network, RunError> {
        // Those of the epoch that this node is in: the state may be that behind
        // a change of membership which is not final here.
        let detours = &self.config.net.dial;
        let peers = pipeline::peers_of(&self.store.snapshot(), roster, detours);
        Ok(Network {
            zap: zap.clone(),
            me: PublicKey(self.identity.public_key()),
            listen: self.config.gossip.listen.clone(),
            curve_secret: self.identity.curve_secret(),
            peers,
            encrypted: true,
            check_threads: self.config.check.threads,
        })
    }

    /// What people call this node; the key's first digits before the
    /// federation has given it a name.
    fn name(&self) -> String {
        let key = self.identity.public_key();
        let nodes = query::roster(&self.store.snapshot()).nodes;
        let mut rows = nodes.into_iter().filter_map(|node| node.node);
        rows.find(|node| node.key == key)
            .map_or_else(|| hex::encode(&key[..4]), |node| node.name)
    }

    fn start_bus(&self, zap: &Zap, door: Door) -> Result<Bus, RunError> {
        let config = BusConfig {
            zap: zap.clone(),
            listen: self.config.bus.listen.clone(),
            door_listen: self.config.bus.door.clone(),
            curve_secret: self.identity.curve_secret(),
        };
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
        roster: Arc<Mutex<Roster>>,
        effects: &Effects,
        pipeline: PipelineHandle,
    ) -> Gateway {
        let views = LiveViews {
            summary,
            roster,
            me: PublicKey(self.identity.public_key()),
            alerts: effects.alerts(),
            chain: effects.chain(),
            space: self.warden.space(),
            damage: self.damage.clone(),
        };
        Gateway {
            store: self.store.clone(),
            facts: Arc::new(NodeFacts {
                name: self.name(),
                index: self.membership.me.map_or(u16::MAX, |me| me.0),
                cluster: self.membership.cluster,
                genesis: self.membership.genesis.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            }),
            waiting: {
                let admission = admission.clone();
                Arc::new(move |id| admission.holds(id))
            },
            submit: Arc::new(move |action| admission.submit(action)),
            expire: effects.deadline_wish(),
            progress,
            live: Arc::new(move || views.read()),
            window: Arc::new(move |events_max| pipeline.window(events_max)),
        }
    }
}

async fn repeat_tip_hint(bus: Arc<Bus>, mut progress: watch::Receiver<Progress>) {
    let mut pause = TIP_HINT_EVERY;
    loop {
        let told = progress.borrow_and_update().final_height;
        bus.tip_hint(told);
        let moved = async {
            progress
                .wait_for(|now| now.final_height != told)
                .await
                .is_ok()
        };
        match tokio::time::timeout(pause, moved).await {
            Err(_) => pause = (2 * pause).min(TIP_HINT_EVERY_MAX),
            Ok(true) => {
                pause = TIP_HINT_EVERY;
                tokio::time::sleep(TIP_HINT_EVERY).await;
            }
            // The pipeline has ended.
            Ok(false) => return,
        }
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
            hints: tokio::spawn(repeat_tip_hint(self.bus.clone(), progress.clone())),
            renewal: tokio::spawn(self.renewal.clone().run(progress)),
            warden: tokio::spawn(self.warden.clone().run()),
            scrub: tokio::spawn(scrub::run(self.gateway.store.clone(), self.damage.clone())),
            rooms: self,
            stop_api,
            api,
        })
    }
}

impl Started {
    /// Waits for `stop`, or for the pipeline to end by itself; then stops
    /// everything, intake first.
    async fn wait(mut self, stop: impl Future<Output = ()>) -> Result<(), RunError> {
        tokio::select! {
            () = stop => tracing::info!("stopping"),
            () = self.rooms.engine.ended() => {
                tracing::error!("the pipeline has ended; stopping");
            }
        }
        self.stop().await
    }

    /// The phases of [`stopping`].
    async fn stop(self) -> Result<(), RunError> {
        let mut roll = Roll::default();
        let Rooms {
            gateway,
            admission,
            effects,
            bus,
            engine,
            ..
        } = self.rooms;
        admission.close();
        if !stopping::finish(&admission, gateway.progress.clone()).await {
            tracing::warn!("not all that was taken is final; its senders may ask any node");
        }
        // The receiver is gone only when the API has ended.
        let _ = self.stop_api.send(());
        let api = roll.hear("api", stopping::API, self.api.join()).await;
        self.hints.abort();
        self.renewal.abort();
        self.warden.abort();
        self.scrub.abort();
        effects.stop(&mut roll).await;
        let stop = move || engine.stop();
        let engine = roll.ask("pipeline", stopping::ACTOR, stop).await;
        roll.ask("bus", stopping::ACTOR, move || drop(bus)).await;
        engine.transpose()?;
        api.transpose()?;
        match roll.late() {
            late if late.is_empty() => Ok(()),
            late => Err(RunError::Unstopped(late)),
        }
    }
}
