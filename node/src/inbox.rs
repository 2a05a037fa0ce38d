//! What peers sent and nobody has checked yet.
//!
//! Each peer has a share of its own, bounded in messages and bytes, and the
//! shares are emptied in turn. Each peer also has a budget of work: one that
//! spends it waits, and nobody else does. So a peer that sends without end, or
//! sends what is costly or bad, fills its own share and delays itself.
//!
//! A peer's messages stay in order: what was taken of one peer is out until
//! [`Inbox::done`], and nothing more of it is handed out before.
//!
//! Deliberately absent: any look into the messages, and any waiting: whoever
//! takes is told when there may be more.

mod budget;
mod complaint;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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

/// How long messages may wait for those of other peers, to be checked in one
/// batch with them: the signatures of three events cost half as much together,
/// and nodes go on when they have the events of all.
const GATHER: Duration = Duration::from_micros(300);

/// More bytes are not gathered: they are batches by themselves.
const GATHER_BYTES_MAX: usize = 64 << 10;

/// Whoever was heard so shortly ago is waited for.
const RECENT: Duration = Duration::from_millis(20);

/// What waits to be checked. Clones share it.
#[derive(Clone)]
pub(crate) struct Inbox(Arc<Shared>);

/// Messages of one peer, in the order in which they came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Letters {
    pub(crate) from: PublicKey,
    pub(crate) messages: Vec<Vec<u8>>,
}

struct Shared {
    state: Mutex<State>,
    start: Instant,
}

#[derive(Default)]
struct State {
    /// By the peer's key, from its first message on.
    shares: BTreeMap<PublicKey, Share>,
    /// Who had the first turn.
    turn: Option<PublicKey>,
}

struct Share {
    messages: VecDeque<Vec<u8>>,
    bytes: usize,
    /// When the oldest of them came, and when the last one did.
    oldest: Duration,
    last: Duration,
    /// Some of it is being checked.
    out: bool,
    budget: Budget,
    complaints: Complaints,
}

/// What there is to take.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The oldest of every peer that may speak.
    Some(Vec<Letters>),
    /// Nothing for so long, unless something is put in or done.
    NothingFor(Option<Duration>),
}

impl Inbox {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            start: Instant::now(),
        }))
    }

    /// Never blocks the network: what does not fit is dropped, and the peers'
    /// repair brings it again.
    pub(crate) fn put(&self, from: PublicKey, bytes: Vec<u8>) {
        let now = self.0.start.elapsed();
        self.lock().put(from, bytes, now);
    }

    /// The oldest messages of every peer that nobody checks now and whose
    /// budget allows it.
    pub(crate) fn take(&self) -> Taken {
        let now = self.0.start.elapsed();
        self.lock().take(now)
    }

    /// How long it pays to wait for messages of other peers before what is
    /// there is taken; `None` where it does not.
    pub(crate) fn gathers(&self) -> Option<Duration> {
        let now = self.0.start.elapsed();
        self.lock().gathers(now)
    }

    /// What was taken of this peer has been checked and handed on, and that
    /// cost so much beyond the reading. True when more of it waits.
    pub(crate) fn done(&self, from: PublicKey, cost: Cost) -> bool {
        let now = self.0.start.elapsed();
        self.lock().done(from, cost, now)
    }

    /// Notes what there is to say against a peer.
    pub(crate) fn complain(&self, from: PublicKey, complaint: &Complaint) {
        let now = self.0.start.elapsed();
        self.lock().complain(from, complaint, now);
    }

    // Each step leaves the shares whole, so a panic elsewhere is no harm.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// False where it is dropped.
    fn put(&mut self, from: PublicKey, bytes: Vec<u8>, now: Duration) -> bool {
        if !self.has_room_for(&from) {
            return false;
        }
        let share = self.shares.entry(from).or_default();
        if share.messages.len() >= PEER_MESSAGES_MAX || share.bytes + bytes.len() > PEER_BYTES_MAX {
            share.complaints.say(from, &Complaint::ShareFull, now);
            return false;
        }
        if share.messages.is_empty() {
            share.oldest = now;
        }
        share.last = now;
        share.bytes += bytes.len();
        share.messages.push_back(bytes);
        true
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
            if !share.budget.allows(now) {
                share.complaints.say(from, &Complaint::BudgetSpent, now);
                let patience = share.budget.spent_until().saturating_sub(now);
                next = Some(next.map_or(patience, |next| next.min(patience)));
                continue;
            }
            taken.push(Letters {
                from,
                messages: share.take(now),
            });
        }
        if taken.is_empty() {
            return Taken::NothingFor(next);
        }
        self.turn = taken.first().map(|letters| letters.from);
        Taken::Some(taken)
    }

    fn gathers(&self, now: Duration) -> Option<Duration> {
        let waiting = || self.shares.values().filter(|it| !it.messages.is_empty());
        let oldest = waiting().map(|share| share.oldest).min()?;
        let bytes: usize = waiting().map(|share| share.bytes).sum();
        let silent = |share: &&Share| share.messages.is_empty() && now < share.last + RECENT;
        let pays = bytes <= GATHER_BYTES_MAX && self.shares.values().any(|it| silent(&it));
        let patience = (oldest + GATHER).saturating_sub(now);
        (pays && !patience.is_zero()).then_some(patience)
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
}

impl Default for Share {
    fn default() -> Self {
        Self {
            messages: VecDeque::new(),
            bytes: 0,
            oldest: Duration::ZERO,
            last: Duration::ZERO,
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
