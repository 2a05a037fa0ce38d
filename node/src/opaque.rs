//! The engine without a ledger: it orders bytes that mean nothing to it.
//!
//! This is how consensus is measured: the same core, gossip, signature checks
//! and storage as in a node, driven through one TCP socket by a load process
//! that this program trusts. State is a running hash over the ordered payload,
//! so that nodes that executed the same blocks show the same digest.
//!
//! Deliberately absent: keys that protect anything (they are derived from a
//! seed that everyone may know), people's doors, effects.

mod application;
mod ingress;
mod keys;
mod meters;
mod report;

use std::{future::Future, net::SocketAddr, path::PathBuf};

use dctrl_consensus::{
    Config as CoreConfig, Limits, NodeIndex, Ordering, Pace, RosterError, Scheme,
};
use dctrl_net::{
    NetError,
    gossip::Peer,
    zap::{AllowList, Zap},
};
use dctrl_store::{Options, Store};
use thiserror::Error;

use self::{
    application::Opaque,
    ingress::{Door, Ingress},
    meters::{Meters, TimedSigner},
};
use crate::{
    admission::Admission,
    boot::BootError,
    engine::{EngineError, Idle, Keeping, Network},
    membership::{self, MembershipError},
    signatures::ActionSignatures,
};

/// Ports of one node: gossip, and one behind it the load's.
const PORTS_PER_NODE: u16 = 10;

/// Bytes of old blocks that are kept: as good as none, so that the journal
/// soon writes over what it has written.
const HISTORY_BYTES: u64 = 64 << 20;

/// One node of a federation that orders opaque bytes.
#[derive(Debug, Clone)]
pub struct OpaqueConfig {
    /// This node's place.
    pub index: u16,
    /// How many nodes there are.
    pub nodes: u16,
    /// Node i listens for gossip at `base_port + 10 i`, and for the load at
    /// the port behind it, all on loopback.
    pub base_port: u16,
    /// The data folder.
    pub data: PathBuf,
    /// From which all keys are derived.
    pub seed: u64,
    /// Whether a write is on disk before it counts.
    pub sync: bool,
    /// Whether gossip is encrypted.
    pub encrypted: bool,
    /// The ordering rules.
    pub ordering: Ordering,
    /// The genesis of a ledger that executes signed actions; without it the
    /// bytes mean nothing.
    pub genesis: Option<PathBuf>,
    /// Where in a transaction the eight bytes are that the load gets back.
    pub label_at: usize,
}

/// Why such a node did not start, or ended.
#[derive(Debug, Error)]
pub enum OpaqueError {
    /// The data folder.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// A ZeroMQ endpoint.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The genesis file.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// The nodes make no roster.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// The load's socket, or a thread.
    #[error("the load's socket: {0}")]
    Load(#[from] std::io::Error),
}

/// Runs the node until `stop` ends.
///
/// # Errors
/// What kept it from starting, or ended it early.
pub async fn run(
    config: OpaqueConfig,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), OpaqueError> {
    let (mut engine, ingress) = start(&config)?;
    tracing::info!("ready");
    tokio::select! {
        () = stop => tracing::info!("stopping"),
        () = engine.ended() => tracing::error!("the engine has ended; stopping"),
    }
    ingress.stop();
    Ok(engine.stop()?)
}

fn start(config: &OpaqueConfig) -> Result<(crate::engine::Engine, Ingress), OpaqueError> {
    let options = Options {
        sync: config.sync,
        history_bytes: HISTORY_BYTES,
        ..Options::default()
    };
    let store = Store::open(&config.data, &options).map_err(BootError::from)?;
    let genesis = config
        .genesis
        .as_deref()
        .map(membership::read)
        .transpose()?;
    application::prepare(&store, genesis.as_ref())?;
    let me = NodeIndex(config.index);
    let core = CoreConfig {
        cluster: keys::cluster(config.seed),
        roster: keys::roster(config.seed, config.nodes)?,
        instance: 0,
        coin_seed: keys::coin_seed(config.seed, config.index),
        limits: Limits::default(),
        pace: Pace::default(),
        ordering: config.ordering,
        scheme: Scheme::Ed25519,
    };
    let meters = Meters::default();
    let signer = TimedSigner {
        signer: keys::signer(config.seed, config.index),
        meter: meters.sign.clone(),
    };
    let engine = Idle::restore(store.clone(), core, Box::new(signer))?;
    let listen = SocketAddr::from(([127, 0, 0, 1], port(config, config.index) + 1));
    let signatures = ActionSignatures::default();
    let ledger = genesis.map(|_| signatures.clone());
    let door = match &ledger {
        Some(_) => Door::Ledger(Admission::new(store.clone(), engine.handle(), signatures)),
        None => Door::Opaque(engine.handle()),
    };
    let (ingress, reports) = Ingress::start(listen, door, meters.clone())?;
    let application = Opaque::new(&store, me, ledger, config.label_at, reports);
    let application = application.map_err(BootError::from)?;
    let zap = Zap::start(&zmq::Context::new(), AllowList::new())?;
    let network = network(config, me, zap);
    let engine = engine.start(network, application, meters.engine, Keeping::everything())?;
    Ok((engine, ingress))
}

fn network(config: &OpaqueConfig, me: NodeIndex, zap: Zap) -> Network {
    let endpoint = |node: u16| format!("tcp://127.0.0.1:{}", port(config, node));
    let peer = |node: u16| Peer {
        key: keys::public(config.seed, node),
        endpoint: endpoint(node),
        curve_public: keys::curve_public(config.seed, node),
    };
    Network {
        zap,
        me: keys::public(config.seed, me.0),
        listen: endpoint(me.0),
        curve_secret: keys::curve_secret(config.seed, me.0),
        peers: (0..config.nodes).map(peer).collect(),
        encrypted: config.encrypted,
        // Four nodes share the cores; one thread checks larger batches.
        check_threads: 1,
    }
}

fn port(config: &OpaqueConfig, node: u16) -> u16 {
    config.base_port + PORTS_PER_NODE * node
}
