//! Carry consensus messages between the nodes.
//!
//! A ROUTER listens, and one DEALER per peer sends, so each pair of nodes has
//! a connection in each direction. The listener learns the sender from the
//! CURVE key of the handshake; the dialler accepts only the holder of the
//! peer's key. One thread owns all sockets. Peers are named by the keys that
//! sign for them, because positions change with the roster, and come and go
//! while the others talk on.
//!
//! Delivery is not promised. What waits for a slow or absent peer waits in a
//! bounded queue that drops the oldest first: consensus asks for what it
//! lacks, and what is newest helps it most.

mod outbox;
mod peers;
mod pump;
mod stats;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dctrl_consensus::PublicKey;

use self::peers::Peers;
use self::pump::Pump;
use self::stats::{Counters, count};
pub use self::stats::{GossipStats, PeerStats};
use crate::error::NetError;
use crate::limits;
pub use crate::monitor::ConnectionStats;
use crate::socket::{self, Bounds};
use crate::wake::{self, Waker};
use crate::zap::{Domain, Zap};

/// What a node needs to gossip.
pub struct GossipConfig {
    /// Authenticator of the context. The peers' keys are added to its list.
    pub zap: Zap,
    /// This node.
    pub me: PublicKey,
    /// Where to listen, such as `tcp://127.0.0.1:7001`; port `*` for any.
    pub listen: String,
    /// This node's CURVE secret key, raw.
    pub curve_secret: [u8; 32],
    /// The other nodes. A row for this node itself is left out.
    pub peers: Vec<Peer>,
    /// How long a peer that [`Gossip::set_peers`] leaves out is still served,
    /// such as [`limits::LEAVING_MS`].
    pub linger: Duration,
    /// Longest message, bytes, such as [`limits::FRAME_BYTES_MAX`].
    pub frame_bytes_max: usize,
    /// Whether connections are encrypted and prove their keys. Without that
    /// anyone may claim to be anyone: for measurements on one machine only.
    pub encrypted: bool,
}

/// Another node of the roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The key that signs its events, by which it is named here.
    pub key: PublicKey,
    /// Where it listens.
    pub endpoint: String,
    /// Its CURVE public key, raw.
    pub curve_public: [u8; 32],
}

/// Who shall get a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Every peer that was not removed.
    All,
    /// One peer, also one that was removed and is still served.
    One(PublicKey),
}

/// Called on the gossip thread with the proven sender and the message. While
/// it blocks, incoming and outgoing messages wait.
pub type Deliver = Box<dyn Fn(PublicKey, Vec<u8>) + Send>;

/// Running gossip. Dropping it stops it.
pub struct Gossip {
    shared: Arc<Shared>,
    endpoint: String,
    thread: Option<JoinHandle<()>>,
}

/// What the callers of gossip and its thread share.
struct Shared {
    peers: Peers,
    encrypted: bool,
    frame_bytes_max: usize,
    counters: Counters,
    waker: Waker,
    stop: AtomicBool,
}

impl Gossip {
    /// Listens, dials all peers and starts the thread.
    ///
    /// # Errors
    /// Where the configuration contradicts itself or the port is taken.
    pub fn start(config: GossipConfig, deliver: Deliver) -> Result<Self, NetError> {
        let bounds = Bounds {
            part_bytes_max: config.frame_bytes_max,
            send_queue: limits::GOSSIP_SOCKET_QUEUE,
            receive_queue: limits::GOSSIP_SOCKET_QUEUE,
            curve: config.encrypted,
        };
        let (zap, secret) = (config.zap.clone(), config.curve_secret);
        let peers = Peers::new(zap, config.me, secret, bounds, config.linger);
        peers.set(config.peers, Instant::now())?;
        let context = config.zap.context();
        let (secret, listen) = (&config.curve_secret, &config.listen);
        let listener =
            socket::listen(context, zmq::ROUTER, Domain::Gossip, secret, bounds, listen)?;
        let endpoint = listener.endpoint.clone();
        let (waker, wake_end) = wake::pair()?;
        let shared = Arc::new(Shared {
            peers,
            encrypted: config.encrypted,
            frame_bytes_max: config.frame_bytes_max,
            counters: Counters::default(),
            waker,
            stop: AtomicBool::new(false),
        });
        let pump = Pump::new(listener, wake_end, Arc::clone(&shared));
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
    pub fn send(&self, to: To, message: Bytes) {
        self.shared.push(to, &message);
    }

    /// Makes `peers` the other nodes from now on. Those that stay as they are
    /// notice nothing; new ones are dialled and let in; those that are left
    /// out are served for the configured time, and then refused. A row for
    /// this node itself is left out. Never blocks.
    ///
    /// # Errors
    /// Where the rows contradict each other, are too many or cannot be
    /// dialled; the peers then stay as they were.
    pub fn set_peers(&self, peers: Vec<Peer>) -> Result<(), NetError> {
        self.shared.peers.set(peers, Instant::now())?;
        self.shared.waker.wake();
        Ok(())
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

impl Shared {
    fn push(&self, to: To, message: &Bytes) {
        if message.is_empty() || message.len() > self.frame_bytes_max {
            tracing::error!(
                bytes = message.len(),
                "a message of this node has no sendable size"
            );
            count(&self.counters.own_oversize);
            return;
        }
        for entry in self.peers.table().iter() {
            let meant = match to {
                To::All => entry.leaves_at.is_none(),
                To::One(key) => key == entry.link.peer.key,
            };
            if meant {
                entry.link.outbox.push(message.clone());
            }
        }
        self.waker.wake();
    }

    fn stats(&self) -> GossipStats {
        let table = self.peers.table();
        let rows = table.iter().map(|entry| {
            let (link, leaving) = (&entry.link, entry.leaves_at.is_some());
            let queued = link.outbox.len();
            link.outbox.counters.read(link.peer.key, leaving, queued)
        });
        self.counters.read(rows.collect())
    }
}
