//! Notice a connection that takes everything and leads nowhere.
//!
//! TCP probes find a peer that is gone, but not one behind a middlebox that
//! answers in its place. So whoever listens answers with an empty message, and
//! whoever has dialled counts the time since an answer was owed. It is owed for
//! what is sent a whole pause after the last answer: less than that may have
//! fallen into the same pause. It is owed, too, where nothing can be sent: after
//! an answer that is no ZMTP, such as that of a captive portal, libzmq never
//! connects there again and says nothing of it.
//!
//! Deliberately absent: any probing. Gossip sends something every few seconds,
//! and a connection on which nothing is sent need not work.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::limits::ANSWERS_PER_SILENCE;

/// The pause between two answers on one connection.
fn pause(silence_max: Duration) -> Duration {
    silence_max / ANSWERS_PER_SILENCE
}

/// What a dialler knows of one connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hearing {
    /// The last answer, or when it was dialled.
    heard: Instant,
    /// Since when an answer is owed.
    owed: Option<Instant>,
    silence_max: Duration,
}

impl Hearing {
    pub(super) fn new(now: Instant, silence_max: Duration) -> Self {
        Self {
            heard: now,
            owed: None,
            silence_max,
        }
    }

    pub(super) fn sent(&mut self, now: Instant) {
        if now.saturating_duration_since(self.heard) >= pause(self.silence_max) {
            self.owed.get_or_insert(now);
        }
    }

    /// The connection takes nothing, or there is none.
    pub(super) fn stuck(&mut self, now: Instant) {
        self.owed.get_or_insert(now);
    }

    pub(super) fn heard(&mut self, now: Instant) {
        (self.heard, self.owed) = (now, None);
    }

    /// Whether nobody is there.
    pub(super) fn is_lost(&self, now: Instant) -> bool {
        self.owed
            .is_some_and(|since| now.saturating_duration_since(since) >= self.silence_max)
    }
}

/// What a listener has answered: the connection and the time of each peer's
/// last answer, by CURVE key. Bounded by the peers.
#[derive(Debug, Default)]
pub(super) struct Answered(BTreeMap<[u8; 32], (Vec<u8>, Instant)>);

impl Answered {
    /// Whether what came from `peer` on `connection` is to be answered now.
    pub(super) fn is_due(
        &mut self,
        peer: [u8; 32],
        connection: &[u8],
        now: Instant,
        silence_max: Duration,
    ) -> bool {
        let recently = self.0.get(&peer).is_some_and(|(last, at)| {
            last == connection && now.saturating_duration_since(*at) < pause(silence_max)
        });
        if !recently {
            self.0.insert(peer, (connection.to_vec(), now));
        }
        !recently
    }

    /// Forgets who is no peer any more.
    pub(super) fn keep(&mut self, is_peer: impl Fn(&[u8; 32]) -> bool) {
        self.0.retain(|key, _| is_peer(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_secs(15);

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_connection_is_lost_only_when_an_answer_is_owed_for_too_long() {
        let start = Instant::now();
        let mut hearing = Hearing::new(start, SILENCE);
        hearing.sent(after(start, 4));
        assert!(!hearing.is_lost(after(start, 600)), "it fell into a pause");
        hearing.sent(after(start, 5));
        hearing.sent(after(start, 12));
        assert!(!hearing.is_lost(after(start, 19)));
        assert!(hearing.is_lost(after(start, 20)));
        hearing.heard(after(start, 20));
        assert!(!hearing.is_lost(after(start, 600)), "it was answered");
    }

    #[test]
    fn a_connection_that_takes_nothing_is_lost_too() {
        let start = Instant::now();
        let mut hearing = Hearing::new(start, SILENCE);
        hearing.stuck(after(start, 1));
        hearing.stuck(after(start, 9));
        assert!(!hearing.is_lost(after(start, 15)));
        assert!(hearing.is_lost(after(start, 16)));
    }

    #[test]
    fn whatever_a_dialler_waits_for_a_listener_answers_at_once() {
        let start = Instant::now();
        let (mut hearing, mut answered) = (Hearing::new(start, SILENCE), Answered::default());
        let peer = [1; 32];
        for second in [0, 1, 4, 5, 7, 9, 10, 16] {
            let now = after(start, second);
            hearing.sent(now);
            if answered.is_due(peer, b"one", now, SILENCE) {
                hearing.heard(now);
            }
            assert_eq!(hearing.owed, None, "second {second}");
        }
        let now = after(start, 16);
        assert!(
            answered.is_due(peer, b"two", now, SILENCE),
            "another connection"
        );
        answered.keep(|_| false);
        assert!(answered.0.is_empty());
    }
}
