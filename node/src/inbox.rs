//! What peers sent and nobody has checked yet.
//!
//! Each peer has a share of its own, bounded in messages and bytes, and the
//! shares are emptied in turn. Each peer also has a budget of work: one that
//! spends it waits, and nobody else does. So a peer that sends without end, or
//! sends what is costly or bad, fills its own share and delays itself.
//!
//! A peer's messages stay in order: what was taken of one peer is out until
//! [`Intake::done`], and nothing more of it is handed out before.
//!
//! Deliberately absent: any look into the messages.

mod budget;
mod complaint;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use dctrl_consensus::{PublicKey, ROSTER_MEMBERS_MAX};

use budget::Budget;
pub(crate) use budget::Cost;
pub(crate) use complaint::Complaint;
use complaint::Complaints;

/// Peers with a share at most: the members of two rosters, since those who
/// leave are heard for a while. The transport lets nobody else in.
const PEERS_MAX: usize = 2 * ROSTER_MEMBERS_MAX;

/// Messages of one peer that may wait.
const PEER_MESSAGES_MAX: usize = 512;

/// Bytes of one peer's messages that may wait: several of the longest ones.
const PEER_BYTES_MAX: usize = 8 << 20;

/// Messages of one peer taken at once: many enough for a batch to be cheap, few
/// enough that the next peer waits a fraction of a millisecond.
const TAKEN_MESSAGES_MAX: usize = 16;

/// Bytes of one peer's messages taken at once, but for a single longer one.
const TAKEN_BYTES_MAX: usize = 128 << 10;

/// Where the network puts what it received. Dropping it ends the intake.
pub(crate) struct Inbox(Arc<Shared>);

/// The end from which messages are taken, by as many threads as there are.
#[derive(Clone)]
pub(crate) struct Intake(Arc<Shared>);

/// Messages of one peer, in the order in which they came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Letters {
    pub(crate) from: PublicKey,
    pub(crate) messages: Vec<Vec<u8>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    start: Instant,
}

#[derive(Default)]
struct State {
    /// By the peer's key, from its first message on.
    shares: BTreeMap<PublicKey, Share>,
    /// Who had the first turn.
    turn: Option<PublicKey>,
    closed: bool,
}

struct Share {
    messages: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Some of it is being checked.
    out: bool,
    budget: Budget,
    complaints: Complaints,
}

/// What there is to take.
enum Taken {
    Some(Vec<Letters>),
    /// Nothing before this time, unless something changes.
    NothingUntil(Option<Duration>),
}

/// An empty inbox and its other end.
pub(crate) fn new() -> (Inbox, Intake) {
    let shared = Arc::new(Shared {
        state: Mutex::default(),
        changed: Condvar::new(),
        start: Instant::now(),
    });
    (Inbox(Arc::clone(&shared)), Intake(shared))
}

impl Inbox {
    /// Never blocks the network's thread: what does not fit is dropped, and
    /// the peers' repair brings it again.
    pub(crate) fn put(&self, from: PublicKey, bytes: Vec<u8>) {
        let now = self.0.start.elapsed();
        let wakes = self.0.lock().put(from, bytes, now);
        if wakes {
            self.0.changed.notify_one();
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Intake {
    /// The oldest messages of every peer that nobody checks now and whose
    /// budget allows it; waits where there are none. `None` when the inbox is
    /// closed and empty.
    pub(crate) fn take(&self) -> Option<Vec<Letters>> {
        let mut state = self.0.lock();
        loop {
            let now = self.0.start.elapsed();
            match state.take(now) {
                Taken::Some(letters) => return Some(letters),
                Taken::NothingUntil(_) if state.is_over() => return None,
                Taken::NothingUntil(Some(at)) => {
                    let patience = at.saturating_sub(now);
                    let woken = self.0.changed.wait_timeout(state, patience);
                    state = woken.unwrap_or_else(PoisonError::into_inner).0;
                }
                Taken::NothingUntil(None) => {
                    let woken = self.0.changed.wait(state);
                    state = woken.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// What was taken of this peer has been checked and handed on, and that
    /// cost so much beyond the reading.
    pub(crate) fn done(&self, from: PublicKey, cost: Cost) {
        let now = self.0.start.elapsed();
        let mut state = self.0.lock();
        let more = state.done(from, cost, now);
        let closed = state.closed;
        drop(state);
        if closed {
            // Whoever waited for the last ones has to look again.
            self.0.changed.notify_all();
        } else if more {
            self.0.changed.notify_one();
        }
    }

    /// Notes what there is to say against a peer.
    pub(crate) fn complain(&self, from: PublicKey, complaint: &Complaint) {
        let now = self.0.start.elapsed();
        self.0.lock().complain(from, complaint, now);
    }

    /// Ends the inbox: nobody takes what was checked any more.
    pub(crate) fn close(&self) {
        self.0.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

impl State {
    /// True when there is more to take than before.
    fn put(&mut self, from: PublicKey, bytes: Vec<u8>, now: Duration) -> bool {
        if self.closed || !self.has_room_for(&from) {
            return false;
        }
        let share = self.shares.entry(from).or_default();
        if share.messages.len() >= PEER_MESSAGES_MAX || share.bytes + bytes.len() > PEER_BYTES_MAX {
            share.complaints.say(from, &Complaint::ShareFull, now);
            return false;
        }
        share.bytes += bytes.len();
        share.messages.push_back(bytes);
        !share.out
    }

    fn take(&mut self, now: Duration) -> Taken {
        let mut taken = Vec::new();
        let mut next: Option<Duration> = None;
        for from in self.in_turn() {
            let Some(share) = self.shares.get_mut(&from) else {
                continue;
            };
            if share.out || share.messages.is_empty() {
                continue;
            }
            // When everything ends, what waits is still handed on.
            if !self.closed && !share.budget.allows(now) {
                share.complaints.say(from, &Complaint::BudgetSpent, now);
                let at = share.budget.spent_until();
                next = Some(next.map_or(at, |next| next.min(at)));
                continue;
            }
            taken.push(Letters {
                from,
                messages: share.take(now),
            });
        }
        if taken.is_empty() {
            return Taken::NothingUntil(next);
        }
        self.turn = taken.first().map(|letters| letters.from);
        Taken::Some(taken)
    }

    /// All peers, beginning behind the one that was first before.
    fn in_turn(&self) -> Vec<PublicKey> {
        let Some(turn) = self.turn else {
            return self.shares.keys().copied().collect();
        };
        let behind = (Bound::Excluded(turn), Bound::Unbounded);
        let behind = self.shares.range(behind).chain(self.shares.range(..=turn));
        behind.map(|(from, _)| *from).collect()
    }

    /// Whether the peer has a share or may get one. Where there are too many,
    /// a share that nothing is in makes room.
    fn has_room_for(&mut self, from: &PublicKey) -> bool {
        if self.shares.contains_key(from) || self.shares.len() < PEERS_MAX {
            return true;
        }
        let unused = self.shares.iter().find(|(_, share)| share.is_unused());
        let unused = unused.map(|(peer, _)| *peer);
        unused.is_some_and(|peer| self.shares.remove(&peer).is_some())
    }

    /// True when there is more to take of this peer.
    fn done(&mut self, from: PublicKey, cost: Cost, now: Duration) -> bool {
        let Some(share) = self.shares.get_mut(&from) else {
            return false;
        };
        share.out = false;
        share.budget.spend(cost, now);
        !share.messages.is_empty()
    }

    fn complain(&mut self, from: PublicKey, complaint: &Complaint, now: Duration) {
        if let Some(share) = self.shares.get_mut(&from) {
            share.complaints.say(from, complaint, now);
        }
    }

    /// Whether nothing will ever be taken again.
    fn is_over(&self) -> bool {
        self.closed && self.shares.values().all(|share| share.messages.is_empty())
    }
}

impl Default for Share {
    fn default() -> Self {
        Self {
            messages: VecDeque::new(),
            bytes: 0,
            out: false,
            budget: Budget::full(Duration::ZERO),
            complaints: Complaints::default(),
        }
    }
}

impl Share {
    fn is_unused(&self) -> bool {
        self.messages.is_empty() && !self.out
    }

    /// The oldest messages, while the budget allows the reading of the next.
    fn take(&mut self, now: Duration) -> Vec<Vec<u8>> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some(message) = self.messages.front() {
            let enough = taken.len() >= TAKEN_MESSAGES_MAX
                || bytes + message.len() > TAKEN_BYTES_MAX
                || !self.budget.allows(now);
            if enough && !taken.is_empty() {
                break;
            }
            bytes += message.len();
            self.budget.spend(Cost::reading(message.len()), now);
            taken.extend(self.messages.pop_front());
        }
        self.bytes -= bytes;
        self.out = true;
        taken
    }
}
