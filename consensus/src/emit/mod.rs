//! When this node makes an event.
//!
//! The graph is divided into layers that last one message delay each (an event
//! is of layer m+1 once its ancestors hold layer-m events of a quorum). A node
//! makes about one event per layer, and only while transactions are on their
//! way:
//! - *advance*: a quorum has reached this node's layer; wait a little for the
//!   live rest, then go on. An event that names all others of the layer before
//!   is a yes for each of them, and lets nobody wait for a second vote;
//! - *jump*: a quorum has reached a higher layer; go beyond it at once;
//! - *wake*: nothing was on its way and the pool is no longer empty;
//! - *insist*: a block was executed here that no quorum has signed. Some node
//!   may not be able to decide it by what it has: events of a forker are named
//!   by nobody, and reach whom the forker likes. So nobody rests on a decision
//!   that is not final, but goes on, slowly, until it is.
//!
//! Without a quorum none of these fires more than once per layer, so nothing
//! grows. A silent node is waited for twice and then no more, until it has
//! been in time for four layers.

mod front;

pub(crate) use front::Front;

use crate::id::{NodeIndex, Timestamp};
use crate::limits::Pace;

/// Layers a node may miss before nobody waits for it.
const MISSES_MAX: u32 = 2;
/// Layers a node must be in time before it is waited for again.
const TIMELY_MIN: u32 = 4;

/// Why this node might make an event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Busy {
    /// Whether some transaction is waiting here.
    pub(crate) pool: bool,
    /// Whether one is in the graph, not ordered, and will be.
    pub(crate) unordered: bool,
    /// Whether one of them is not in a final block of others either.
    pub(crate) pending: bool,
    /// Whether a block that was executed here has no certificate.
    pub(crate) uncertified: bool,
}

/// What the decision depends on, besides the pace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    /// The layer of this node's last event.
    pub(crate) own_layer: Option<u64>,
    /// The layer that an event made now would have.
    pub(crate) next_layer: u64,
    /// Why there might be one.
    pub(crate) busy: Busy,
    /// Whether all live peers have reached this node's layer.
    pub(crate) live_all_here: bool,
}

/// What to do about an own event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Make one now.
    Create,
    /// Look again at this time, or when something arrives.
    WaitUntil(Timestamp),
    /// Nothing, until something arrives.
    Rest,
}

#[derive(Debug, Clone, Copy)]
struct Peer {
    live: bool,
    missed: u32,
    timely: u32,
}

/// The pace of this node's events.
#[derive(Debug)]
pub(crate) struct Emit {
    pace: Pace,
    created_at: Option<Timestamp>,
    /// When the last live peer reached this node's layer.
    last_arrival: Timestamp,
    /// A moving average of how long the last live peer takes, nanoseconds.
    spread: u64,
    /// A moving average of how far it is off that, nanoseconds.
    deviation: u64,
    peers: Vec<Peer>,
}

impl Emit {
    pub(crate) fn new(pace: Pace, members: usize) -> Self {
        Self {
            pace,
            created_at: None,
            last_arrival: Timestamp(0),
            spread: pace.hold_max / 4,
            deviation: pace.hold_max / 8,
            peers: vec![
                Peer {
                    live: true,
                    missed: 0,
                    timely: 0
                };
                members
            ],
        }
    }

    pub(crate) fn is_live(&self, peer: NodeIndex) -> bool {
        self.peers[peer.position()].live
    }

    pub(crate) fn decide(&self, view: &View, now: Timestamp) -> Decision {
        let why = view.busy;
        let busy = why.pool || why.unordered;
        if !busy && !why.uncertified {
            return Decision::Rest;
        }
        let (Some(own), Some(created_at)) = (view.own_layer, self.created_at) else {
            return Decision::Create;
        };
        let woken = why.pool && !why.pending;
        let earliest = created_at.after(self.pace.min_event_interval);
        let due = if !busy && view.next_layer > own {
            created_at.after(self.pace.busy_summary_interval)
        } else if view.next_layer == own + 1 && !view.live_all_here && !woken {
            created_at.after(self.hold()).max(earliest)
        } else if view.next_layer > own || woken {
            earliest
        } else {
            return Decision::Rest;
        };
        if now >= due {
            Decision::Create
        } else {
            Decision::WaitUntil(due)
        }
    }

    /// A foreign event of at least this node's layer came in.
    pub(crate) fn arrived(&mut self, creator: NodeIndex, now: Timestamp) {
        if self.is_live(creator) {
            self.last_arrival = now;
        }
    }

    /// An own event is made. `advanced` says for each peer whether it had
    /// reached the layer that this node leaves; `None` where it leaves none.
    pub(crate) fn created(&mut self, now: Timestamp, advanced: Option<&[bool]>) {
        if let (Some(in_time), Some(created_at)) = (advanced, self.created_at) {
            let mut all = true;
            for (peer, &in_time) in self.peers.iter_mut().zip(in_time) {
                all &= in_time || !peer.live;
                peer.note(in_time);
            }
            let sample = if all {
                self.last_arrival.since(created_at)
            } else {
                self.hold() * 2
            };
            let sample = sample.min(self.pace.hold_max);
            let off = sample.abs_diff(self.spread);
            self.deviation = (self.deviation * 7 + off) / 8;
            self.spread = (self.spread * 7 + sample) / 8;
        }
        self.created_at = Some(now);
    }

    /// The same peers in a new epoch, where this node has made nothing yet.
    pub(crate) fn renewed(self) -> Self {
        Self {
            created_at: None,
            ..self
        }
    }

    /// A restored node goes on from its last event's time.
    pub(crate) fn restored(&mut self, last_event: Timestamp) {
        self.created_at = Some(last_event);
    }

    /// How long live peers are waited for after an own event: so long that one
    /// who is there as usual is hardly ever missed. That costs nothing while
    /// all are, and a few such waits when one falls silent.
    fn hold(&self) -> u64 {
        let usual = self.spread + self.spread / 8 + 4 * self.deviation;
        usual.clamp(self.pace.hold_min, self.pace.hold_max)
    }
}

impl Peer {
    fn note(&mut self, in_time: bool) {
        if in_time {
            self.missed = 0;
            self.timely = self.timely.saturating_add(1);
            self.live |= self.timely >= TIMELY_MIN;
        } else {
            self.timely = 0;
            self.missed = self.missed.saturating_add(1);
            self.live &= self.missed < MISSES_MAX;
        }
    }
}
