//! What waits for a batch to be durable, and how long it may.
//!
//! A sync costs as much as everything else in a layer together, so one serves
//! all: what others wait for less urgently than for an own event goes with
//! that event where one is on its way, and alone only a short while later.

use std::time::{Duration, Instant};

use dctrl_ledger::ChangeSet;

use super::IDLE_WAIT;

/// How long blocks, signatures and certificates wait for an own event.
const EVENT_WAIT: Duration = Duration::from_millis(1);

/// How long a batch may wait in which nothing is awaited, and how many bytes.
const LAZY_WAIT: Duration = Duration::from_millis(50);
const LAZY_BYTES_MAX: usize = 1 << 20;

/// What waits for a batch to be durable.
pub(super) struct Pending<N> {
    /// Something is in the batch.
    pub(super) any: bool,
    /// When that was first noticed.
    since: Option<Instant>,
    /// Bytes of records and blocks in it.
    pub(super) bytes: usize,
    /// Highest consensus record in it.
    pub(super) through: Option<u64>,
    /// Blocks in it, in order.
    pub(super) executed: Vec<(u64, N)>,
    /// Changes of the state in it.
    pub(super) changes: ChangeSet,
    /// The last certificate in it.
    pub(super) certified: Option<u64>,
    /// The state behind it is kept aside.
    pub(super) checkpoint: bool,
}

impl<N> Default for Pending<N> {
    fn default() -> Self {
        Self {
            any: false,
            since: None,
            bytes: 0,
            through: None,
            executed: Vec::new(),
            changes: ChangeSet::new(),
            certified: None,
            checkpoint: false,
        }
    }
}

impl<N> Pending<N> {
    /// Whether it should be made durable now. `event_waits`: an own event is in
    /// it; `event_comes`: one is to be expected soon. Events of others alone
    /// wait for the next own one: their creators have them on disk.
    pub(super) fn is_due(&mut self, event_waits: bool, event_comes: bool) -> bool {
        if !self.any {
            return false;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        event_waits || self.bytes > LAZY_BYTES_MAX || since.elapsed() >= self.wait(event_comes)
    }

    /// How long it may be left alone.
    pub(super) fn patience(&self, event_comes: bool) -> Duration {
        if !self.any {
            return IDLE_WAIT;
        }
        let waited = self.since.map_or(Duration::ZERO, |since| since.elapsed());
        self.wait(event_comes).saturating_sub(waited)
    }

    fn wait(&self, event_comes: bool) -> Duration {
        // With a block there is a signature over it.
        if self.executed.is_empty() && self.certified.is_none() {
            LAZY_WAIT
        } else if event_comes {
            EVENT_WAIT
        } else {
            Duration::ZERO
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_own_event_is_synced_at_once_and_a_block_waits_for_it_a_little() {
        let mut pending = Pending::<()>::default();
        assert!(!pending.is_due(true, true), "nothing is in it");
        assert_eq!(pending.patience(true), IDLE_WAIT);
        pending.any = true;
        assert!(pending.is_due(true, true));
        // However slow the machine is, no time passes before this one.
        pending.since = Some(Instant::now() + Duration::from_secs(60));
        assert!(!pending.is_due(false, false), "events of others");
        pending.executed.push((1, ()));
        assert!(pending.is_due(false, false), "no event will come");
        assert!(pending.patience(true) <= EVENT_WAIT);
        pending.since = Instant::now().checked_sub(EVENT_WAIT);
        assert!(pending.is_due(false, true), "it has waited");
        assert_eq!(pending.patience(true), Duration::ZERO);
    }
}
