//! Counters of the bus and the door.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::monitor::{ConnectionCounters, ConnectionStats};

/// What the bus and the door did since they started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusStats {
    /// The bus.
    pub publish: PublishStats,
    /// The door.
    pub door: DoorStats,
}

/// What the bus did since it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishStats {
    /// Frames handed to the socket.
    pub published: u64,
    /// Frames dropped because the queue was full.
    pub dropped: u64,
    /// Frames refused: too long, or a topic that is empty, too long or not a topic.
    pub unsendable: u64,
    /// Cached frames repeated for new subscribers.
    pub repeated: u64,
    /// State-like frames that the full cache did not take.
    pub uncached: u64,
    /// Subscriptions received.
    pub subscriptions: u64,
    /// Messages of subscribers that are no subscription.
    pub malformed: u64,
    /// Times all subscribers were disconnected because a key was revoked.
    pub reopened: u64,
    /// Connections that libzmq closed.
    pub connections: ConnectionStats,
}

/// What the door did since it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoorStats {
    /// Requests that were handed to the node.
    pub accepted: u64,
    /// Messages that were no request.
    pub malformed: u64,
    /// Requests refused because too many wait.
    pub busy: u64,
    /// Requests refused because the caller's key is not allowed any more.
    pub unauthorised: u64,
    /// Replies replaced by a refusal because they were too long.
    pub oversize_replies: u64,
    /// Replies to callers that are gone or do not read.
    pub lost_replies: u64,
    /// Requests that ended in a panic of the node's own code.
    pub failed: u64,
    /// Connections that libzmq closed.
    pub connections: ConnectionStats,
}

#[derive(Default)]
pub(super) struct PublishCounters {
    pub(super) published: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) unsendable: AtomicU64,
    pub(super) repeated: AtomicU64,
    pub(super) uncached: AtomicU64,
    pub(super) subscriptions: AtomicU64,
    pub(super) malformed: AtomicU64,
    pub(super) reopened: AtomicU64,
    pub(super) connections: ConnectionCounters,
}

#[derive(Default)]
pub(super) struct DoorCounters {
    pub(super) accepted: AtomicU64,
    pub(super) malformed: AtomicU64,
    pub(super) busy: AtomicU64,
    pub(super) unauthorised: AtomicU64,
    pub(super) oversize_replies: AtomicU64,
    pub(super) lost_replies: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) connections: ConnectionCounters,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn of(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl PublishCounters {
    pub(super) fn read(&self) -> PublishStats {
        PublishStats {
            published: of(&self.published),
            dropped: of(&self.dropped),
            unsendable: of(&self.unsendable),
            repeated: of(&self.repeated),
            uncached: of(&self.uncached),
            subscriptions: of(&self.subscriptions),
            malformed: of(&self.malformed),
            reopened: of(&self.reopened),
            connections: self.connections.read(),
        }
    }
}

impl DoorCounters {
    pub(super) fn read(&self) -> DoorStats {
        DoorStats {
            accepted: of(&self.accepted),
            malformed: of(&self.malformed),
            busy: of(&self.busy),
            unauthorised: of(&self.unauthorised),
            oversize_replies: of(&self.oversize_replies),
            lost_replies: of(&self.lost_replies),
            failed: of(&self.failed),
            connections: self.connections.read(),
        }
    }
}
