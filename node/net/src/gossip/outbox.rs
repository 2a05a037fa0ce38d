//! Messages that wait to be sent to one peer, bounded.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::stats::{PeerCounters, count};
use crate::limits::{PEER_QUEUE_BYTES_MAX, PEER_QUEUE_FRAMES_MAX};

/// One peer's queue and counters.
#[derive(Default)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    pub(super) counters: PeerCounters,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Bytes>,
    bytes: usize,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.lock().frames.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.lock().frames.len()
    }

    /// The oldest message, which is then no longer in the queue.
    pub(super) fn pop(&self) -> Option<Bytes> {
        let mut queue = self.lock();
        let frame = queue.frames.pop_front()?;
        queue.bytes -= frame.len();
        Some(frame)
    }

    /// Returns a message that could not be sent yet to the front.
    pub(super) fn put_back(&self, frame: Bytes) {
        let mut queue = self.lock();
        queue.bytes += frame.len();
        queue.frames.push_front(frame);
        self.trim(&mut queue);
    }

    /// Queues a message; where the queue is full the oldest is dropped.
    pub(super) fn push(&self, frame: Bytes) {
        let mut queue = self.lock();
        queue.bytes += frame.len();
        queue.frames.push_back(frame);
        self.trim(&mut queue);
    }

    fn trim(&self, queue: &mut Queue) {
        while queue.frames.len() > PEER_QUEUE_FRAMES_MAX || queue.bytes > PEER_QUEUE_BYTES_MAX {
            let Some(oldest) = queue.frames.pop_front() else {
                return;
            };
            queue.bytes -= oldest.len();
            count(&self.counters.dropped);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    fn peer() -> Outbox {
        Outbox::default()
    }

    #[test]
    fn a_full_queue_drops_the_oldest_and_counts_it() {
        let peer = peer();
        for number in 0..=PEER_QUEUE_FRAMES_MAX {
            peer.push(Bytes::from(number.to_string()));
        }
        assert_eq!(peer.counters.dropped.load(Ordering::Relaxed), 1);
        assert_eq!(peer.pop().unwrap(), "1");
    }

    #[test]
    fn bytes_are_bounded_too() {
        let peer = peer();
        let half = Bytes::from(vec![0; PEER_QUEUE_BYTES_MAX / 2]);
        peer.push(half.clone());
        peer.push(half.clone());
        assert_eq!(peer.counters.dropped.load(Ordering::Relaxed), 0);
        peer.push(half);
        assert_eq!(peer.counters.dropped.load(Ordering::Relaxed), 1);
        assert_eq!(peer.lock().bytes, PEER_QUEUE_BYTES_MAX);
    }

    #[test]
    fn a_message_put_back_is_the_next_one_again() {
        let peer = peer();
        peer.push(Bytes::from_static(b"a"));
        peer.push(Bytes::from_static(b"b"));
        let first = peer.pop().unwrap();
        peer.put_back(first);
        assert_eq!(peer.pop().unwrap(), "a");
    }
}
