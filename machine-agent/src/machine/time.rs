//! Consensus time, as an agent may know it.
//!
//! A beacon is a certified consensus time that answers the agent's own nonce.
//! Its block was ordered after the nonce was sent, so consensus time now is at
//! most the beacon's time plus what has passed since the *sending*. Counting
//! from the arrival instead would let a delayed beacon stretch a deadline.

use dctrl_proto::v1::Beacon;

use super::{Effect, Machine};
use crate::clock::Now;

/// How wrong the machine's oscillator may be, parts per million.
const DRIFT_PPM: u64 = 500;

/// Nonces that still may be answered.
pub(super) const NONCES_MAX: usize = 8;

/// `elapsed_ms` of a clock that may run slow, rounded up.
#[must_use]
pub fn drifted(elapsed_ms: u64) -> u64 {
    let drift = elapsed_ms.saturating_mul(DRIFT_PPM).div_ceil(1_000_000);
    elapsed_ms.saturating_add(drift)
}

/// A beacon of this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeBase {
    /// Its consensus time.
    pub consensus_ms: u64,
    /// When its nonce was sent, by `CLOCK_BOOTTIME`.
    pub sent_boot_ms: u64,
}

impl TimeBase {
    /// Consensus time is not later than this.
    #[must_use]
    pub fn latest(&self, now: Now) -> u64 {
        let elapsed = now.boot_ms.saturating_sub(self.sent_boot_ms);
        self.consensus_ms.saturating_add(drifted(elapsed))
    }
}

impl Machine {
    pub(super) fn on_beacon(&mut self, beacon: &Beacon, out: &mut Vec<Effect>) {
        let ours = beacon.machine_id == self.facts.machine_id
            && self
                .durable
                .life
                .as_ref()
                .is_some_and(|life| life.incarnation == beacon.incarnation);
        if !ours {
            return;
        }
        let Some((_, sent_boot_ms)) = self.nonces.iter().find(|(nonce, _)| *nonce == beacon.nonce)
        else {
            return;
        };
        let base = TimeBase {
            consensus_ms: beacon.time_ms,
            sent_boot_ms: *sent_boot_ms,
        };
        if self
            .time
            .is_none_or(|old| old.sent_boot_ms <= base.sent_boot_ms)
        {
            self.time = Some(base);
        }
        self.on_first_beacon(beacon.time_ms, out);
    }

    /// Consensus time for the expiry of actions: the beacon's where there is
    /// one, else the wall clock, but never before a frame that was seen.
    pub(super) fn action_time(&self, now: Now) -> u64 {
        self.time
            .map_or(now.wall_ms, |time| time.latest(now))
            .max(self.floor_ms)
    }
}
