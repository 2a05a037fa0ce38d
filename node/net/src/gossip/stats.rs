//! Counters of gossip.

use std::sync::atomic::{AtomicU64, Ordering};

use dctrl_consensus::PublicKey;

use crate::monitor::{ConnectionCounters, ConnectionStats};

/// What gossip did since it started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GossipStats {
    /// One row per peer, in the order in which they were named; those that
    /// leave come last.
    pub peers: Vec<PeerStats>,
    /// Messages of connections that no longer belong to a peer.
    pub unknown_sender: u64,
    /// Messages that were not exactly one payload part.
    pub malformed: u64,
    /// Messages without a byte.
    pub empty: u64,
    /// Messages over the size limit that libzmq let through.
    pub oversize: u64,
    /// Own messages over the size limit, not sent.
    pub own_oversize: u64,
    /// Connections to the listener that libzmq closed.
    pub connections: ConnectionStats,
}

/// Traffic with one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerStats {
    /// Who it is.
    pub key: PublicKey,
    /// It was removed, and is still served for a while.
    pub leaving: bool,
    /// Messages that wait for it.
    pub queued: usize,
    /// Messages handed to an authenticated connection.
    pub sent: u64,
    /// Messages dropped because its queue was full.
    pub dropped: u64,
    /// Messages received from it and delivered.
    pub received: u64,
    /// Connections that were dialled anew because nothing was answered.
    pub lost: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) unknown_sender: AtomicU64,
    pub(super) malformed: AtomicU64,
    pub(super) empty: AtomicU64,
    pub(super) oversize: AtomicU64,
    pub(super) own_oversize: AtomicU64,
    pub(super) connections: ConnectionCounters,
}

#[derive(Default)]
pub(super) struct PeerCounters {
    pub(super) sent: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) lost: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    pub(super) fn read(&self, peers: Vec<PeerStats>) -> GossipStats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        GossipStats {
            peers,
            unknown_sender: of(&self.unknown_sender),
            malformed: of(&self.malformed),
            empty: of(&self.empty),
            oversize: of(&self.oversize),
            own_oversize: of(&self.own_oversize),
            connections: self.connections.read(),
        }
    }
}

impl PeerCounters {
    pub(super) fn read(&self, key: PublicKey, leaving: bool, queued: usize) -> PeerStats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PeerStats {
            key,
            leaving,
            queued,
            sent: of(&self.sent),
            dropped: of(&self.dropped),
            received: of(&self.received),
            lost: of(&self.lost),
        }
    }
}
