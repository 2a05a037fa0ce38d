//! What peers sent and nobody has looked at yet.
//!
//! Each peer has a share of its own, bounded in messages and bytes, and the
//! shares are emptied in turn. So a peer that sends without end fills its own
//! share and delays the others by one message each, no more.
//!
//! Deliberately absent: any look into the messages.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use dctrl_consensus::NodeIndex;

/// Messages of one peer that may wait.
const PEER_MESSAGES_MAX: usize = 512;

/// Bytes of one peer's messages that may wait: several of the longest ones.
const PEER_BYTES_MAX: usize = 8 << 20;

/// Where the network puts what it received. Dropping it ends the intake.
pub(crate) struct Inbox(Arc<Shared>);

/// The end from which messages are taken.
pub(crate) struct Intake(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// By node index.
    shares: Vec<Share>,
    /// Whose turn it is.
    turn: usize,
    closed: bool,
}

#[derive(Default)]
struct Share {
    messages: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Messages that found the share full, since the last one that did not.
    dropped: u64,
}

/// An empty inbox for a roster of this many nodes, and its other end.
pub(crate) fn new(nodes: usize) -> (Inbox, Intake) {
    let state = State {
        shares: (0..nodes).map(|_| Share::default()).collect(),
        turn: 0,
        closed: false,
    };
    let shared = Arc::new(Shared {
        state: Mutex::new(state),
        changed: Condvar::new(),
    });
    (Inbox(Arc::clone(&shared)), Intake(shared))
}

impl Inbox {
    /// Never blocks the network's thread: what does not fit is dropped, and
    /// the peers' repair brings it again.
    pub(crate) fn put(&self, from: NodeIndex, bytes: Vec<u8>) {
        let mut state = self.0.lock();
        let Some(share) = state.shares.get_mut(from.position()) else {
            return;
        };
        if share.messages.len() >= PEER_MESSAGES_MAX || share.bytes + bytes.len() > PEER_BYTES_MAX {
            if share.dropped == 0 {
                tracing::warn!(%from, "a peer sends faster than it can be checked; some is dropped");
            }
            share.dropped += 1;
            return;
        }
        share.dropped = 0;
        share.bytes += bytes.len();
        share.messages.push_back(bytes);
        drop(state);
        self.0.changed.notify_one();
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl Intake {
    /// The oldest message of the peer whose turn it is; waits where there is
    /// none. `None` when the inbox is gone and empty.
    pub(crate) fn take(&self) -> Option<(NodeIndex, Vec<u8>)> {
        let mut state = self.0.lock();
        loop {
            if let Some(taken) = state.take() {
                return Some(taken);
            }
            if state.closed {
                return None;
            }
            let woken = self.0.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self) -> Option<(NodeIndex, Vec<u8>)> {
        let nodes = self.shares.len();
        for step in 0..nodes {
            let place = (self.turn + step) % nodes;
            let share = &mut self.shares[place];
            if let Some(bytes) = share.messages.pop_front() {
                share.bytes -= bytes.len();
                self.turn = place + 1;
                return u16::try_from(place)
                    .ok()
                    .map(|place| (NodeIndex(place), bytes));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_floods_delays_the_others_by_one_message_each() {
        let (inbox, intake) = new(4);
        for _ in 0..100_000 {
            inbox.put(NodeIndex(3), vec![3; 64]);
        }
        for _ in 0..5 {
            inbox.put(NodeIndex(1), vec![1]);
        }
        let first: Vec<u16> = (0..10)
            .map(|_| intake.take().expect("all wait").0.0)
            .collect();
        assert_eq!(first.iter().filter(|from| **from == 1).count(), 5);
    }

    #[test]
    fn a_share_is_bounded_in_messages_and_in_bytes() {
        let (inbox, intake) = new(4);
        for _ in 0..10 * PEER_MESSAGES_MAX {
            inbox.put(NodeIndex(0), vec![0]);
        }
        for _ in 0..100 {
            inbox.put(NodeIndex(1), vec![1; 1 << 20]);
        }
        inbox.put(NodeIndex(9), vec![9]);
        drop(inbox);
        let taken: Vec<_> = std::iter::from_fn(|| intake.take()).collect();
        let of = |node: u16| taken.iter().filter(move |(from, _)| from.0 == node);
        assert_eq!(of(0).count(), PEER_MESSAGES_MAX);
        let bytes: usize = of(1).map(|(_, bytes)| bytes.len()).sum();
        assert_eq!(bytes, PEER_BYTES_MAX);
        assert_eq!(of(9).count(), 0, "there is no such node");
    }
}
