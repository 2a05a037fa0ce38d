//! Carry consensus messages between the nodes.
//!
//! A ROUTER listens, and one DEALER per peer sends, so each pair of nodes has
//! a connection in each direction. The listener learns the sender from the
//! CURVE key of the handshake; the dialler accepts only the holder of the
//! peer's key. Peers are named by the keys that sign for them, because
//! positions change with the roster, and come and go while the others talk on.
//!
//! The owner of [`Gossip`] has the sockets and polls them: there is no thread
//! here, so that a message passes from libzmq's thread to the one that uses it
//! and back, and through no other. Other threads have an [`Outlet`], and a
//! [`Waker`] that ends the owner's sleep.
//!
//! A listener answers each connection now and then with an empty message, so
//! that the dialler notices one that leads nowhere (`hearing`).
//!
//! Delivery is not promised. What waits for a slow or absent peer waits in a
//! bounded queue that drops the oldest first: consensus asks for what it
//! lacks, and what is newest helps it most.

mod hearing;
mod outbox;
mod peers;
mod pump;
mod stats;
mod timer;

use std::sync::Arc;
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
use crate::wake::{WakeEnd, Waker};
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
    /// A connection that owes an answer for so long is dialled anew, such as
    /// [`limits::UNANSWERED_MS_MAX`].
    pub unanswered_max: Duration,
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

/// Running gossip, owned by the thread that polls it. Dropping it stops it.
pub struct Gossip {
    outlet: Outlet,
    pump: Pump,
    endpoint: String,
}

/// A way to the peers for other threads than the owner of [`Gossip`].
#[derive(Clone)]
pub struct Outlet(Arc<Shared>);

/// What the owner and the outlets share.
struct Shared {
    peers: Peers,
    encrypted: bool,
    frame_bytes_max: usize,
    unanswered_max: Duration,
    counters: Counters,
    waker: Arc<Waker>,
}

impl Gossip {
    /// Listens and dials all peers. `waker` ends each [`Gossip::turn`] that
    /// sleeps; `wake_end` is its other end.
    ///
    /// # Errors
    /// Where the configuration contradicts itself or the port is taken.
    pub fn open(
        config: GossipConfig,
        waker: Arc<Waker>,
        wake_end: WakeEnd,
    ) -> Result<Self, NetError> {
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
        let shared = Arc::new(Shared {
            peers,
            encrypted: config.encrypted,
            frame_bytes_max: config.frame_bytes_max,
            unanswered_max: config.unanswered_max,
            counters: Counters::default(),
            waker,
        });
        Ok(Self {
            pump: Pump::new(listener, wake_end, Arc::clone(&shared))?,
            outlet: Outlet(shared),
            endpoint,
        })
    }

    /// Where it listens, with the real port.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// A way to the peers for other threads.
    #[must_use]
    pub fn outlet(&self) -> Outlet {
        self.outlet.clone()
    }

    /// Queues `message` for one peer or for all; the next [`Gossip::flush`]
    /// sends it. Never blocks: where a queue is full its oldest message is
    /// dropped and counted.
    pub fn send(&self, to: To, message: &Bytes) {
        self.outlet.0.push(to, message);
    }

    /// Hands each peer as much of what waits as its connection takes now.
    pub fn flush(&mut self) {
        self.pump.flush();
    }

    /// Sleeps until there is work, somebody wakes it, or so much time has
    /// passed; hands `deliver` a bounded number of messages, each with its
    /// proven sender, and flushes. With no patience it does not sleep.
    ///
    /// # Errors
    /// Where the context of the sockets is gone.
    pub fn turn(
        &mut self,
        patience: Duration,
        deliver: &mut dyn FnMut(PublicKey, Vec<u8>),
    ) -> Result<(), NetError> {
        self.pump.turn(patience, deliver)
    }

    /// See [`Outlet::set_peers`].
    ///
    /// # Errors
    /// As there.
    pub fn set_peers(&self, peers: Vec<Peer>) -> Result<(), NetError> {
        self.outlet.set_peers(peers)
    }

    /// Counters since the start.
    #[must_use]
    pub fn stats(&self) -> GossipStats {
        self.outlet.stats()
    }

    /// Leaves the network and frees the port.
    pub fn stop(self) {}
}

impl Drop for Gossip {
    fn drop(&mut self) {
        self.pump.close();
    }
}

impl Outlet {
    /// Queues `message` for one peer or for all, and wakes the owner. Never
    /// blocks: where a queue is full its oldest message is dropped and counted.
    pub fn send(&self, to: To, message: &Bytes) {
        self.0.push(to, message);
        self.0.waker.wake();
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
        self.0.peers.set(peers, Instant::now())?;
        self.0.waker.wake();
        Ok(())
    }

    /// Counters since the start.
    #[must_use]
    pub fn stats(&self) -> GossipStats {
        self.0.stats()
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
