//! Carry consensus messages between the nodes.
//!
//! A ROUTER listens, and one DEALER per peer sends, so each pair of nodes has
//! a connection in each direction. The listener learns the sender from the
//! CURVE key of the handshake; the dialler accepts only the holder of the
//! peer's key. One thread owns all sockets.
//!
//! Delivery is not promised. What waits for a slow or absent peer waits in a
//! bounded queue that drops the oldest first: consensus asks for what it
//! lacks, and what is newest helps it most.

mod outbox;
mod pump;
mod stats;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use dctrl_consensus::{NodeIndex, Recipient};

use self::outbox::Outbox;
use self::pump::Pump;
pub use self::stats::{GossipStats, PeerStats};
use crate::error::NetError;
use crate::limits;
pub use crate::monitor::ConnectionStats;
use crate::socket::{self, Bounds, curve_public};
use crate::wake;
use crate::zap::{Domain, Zap};

/// What a node needs to gossip.
pub struct GossipConfig {
    /// Authenticator of the context. The peers' keys are added to its list.
    pub zap: Zap,
    /// This node.
    pub me: NodeIndex,
    /// Where to listen, such as `tcp://127.0.0.1:7001`; port `*` for any.
    pub listen: String,
    /// This node's CURVE secret key, raw.
    pub curve_secret: [u8; 32],
    /// The other nodes. A row for this node itself is left out.
    pub peers: Vec<Peer>,
    /// Longest message, bytes, such as [`limits::FRAME_BYTES_MAX`].
    pub frame_bytes_max: usize,
}

/// Another node of the roster.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its position in the roster.
    pub index: NodeIndex,
    /// Where it listens.
    pub endpoint: String,
    /// Its CURVE public key, raw.
    pub curve_public: [u8; 32],
}

/// Called on the gossip thread with the proven sender and the message. While
/// it blocks, incoming and outgoing messages wait.
pub type Deliver = Box<dyn Fn(NodeIndex, Vec<u8>) + Send>;

/// Running gossip. Dropping it stops it.
pub struct Gossip {
    shared: Arc<Outbox>,
    endpoint: String,
    thread: Option<JoinHandle<()>>,
}

impl Gossip {
    /// Listens, dials all peers and starts the thread.
    ///
    /// # Errors
    /// Where the configuration contradicts itself or the port is taken.
    pub fn start(config: GossipConfig, deliver: Deliver) -> Result<Self, NetError> {
        let me = config.me;
        let peers: Vec<Peer> = config
            .peers
            .into_iter()
            .filter(|peer| peer.index != me)
            .collect();
        check(&peers, &curve_public(&config.curve_secret))?;
        let bounds = Bounds {
            part_bytes_max: config.frame_bytes_max,
            send_queue: limits::GOSSIP_SOCKET_QUEUE,
            receive_queue: limits::GOSSIP_SOCKET_QUEUE,
        };
        let context = config.zap.context();
        let mut dealers = Vec::with_capacity(peers.len());
        for peer in &peers {
            config
                .zap
                .allowed()
                .allow(Domain::Gossip, peer.curve_public)?;
            let (secret, server) = (&config.curve_secret, &peer.curve_public);
            dealers.push(socket::dial(
                context,
                secret,
                server,
                bounds,
                &peer.endpoint,
            )?);
        }
        let (secret, listen) = (&config.curve_secret, &config.listen);
        let listener =
            socket::listen(context, zmq::ROUTER, Domain::Gossip, secret, bounds, listen)?;
        let endpoint = listener.endpoint.clone();
        let (waker, wake_end) = wake::pair()?;
        let shared = Arc::new(Outbox::new(&peers, config.frame_bytes_max, waker));
        let pump = Pump::new(
            &peers,
            config.zap,
            listener,
            dealers,
            wake_end,
            Arc::clone(&shared),
        );
        let thread = thread::Builder::new()
            .name("gossip".into())
            .spawn(move || pump.run(&*deliver))?;
        Ok(Self {
            shared,
            endpoint,
            thread: Some(thread),
        })
    }

    /// Where it listens, with the real port.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Queues `message` for one peer or for all. Never blocks: where a queue
    /// is full its oldest message is dropped and counted.
    pub fn send(&self, to: Recipient, message: Bytes) {
        self.shared.push(to, &message);
    }

    /// Counters since the start.
    #[must_use]
    pub fn stats(&self) -> GossipStats {
        self.shared.stats()
    }

    /// Stops the thread and frees the port.
    pub fn stop(mut self) {
        self.halt();
    }

    fn halt(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.waker.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the gossip thread had panicked");
        }
    }
}

impl Drop for Gossip {
    fn drop(&mut self) {
        self.halt();
    }
}

fn check(peers: &[Peer], own_key: &[u8; 32]) -> Result<(), NetError> {
    if peers.len() > limits::PEERS_MAX {
        return Err(NetError::TooMany {
            what: "gossip peers",
            max: limits::PEERS_MAX,
        });
    }
    let mut indexes = BTreeSet::new();
    let mut keys = BTreeSet::from([own_key]);
    for peer in peers {
        if !indexes.insert(peer.index) || !keys.insert(&peer.curve_public) {
            return Err(NetError::DuplicatePeer(peer.index));
        }
    }
    Ok(())
}
