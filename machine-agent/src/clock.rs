//! The clocks of the machine.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

/// One reading of the two clocks that the agent uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// `CLOCK_BOOTTIME`, milliseconds since the machine was switched on; it
    /// runs on while the machine sleeps, and nobody can set it.
    pub boot_ms: u64,
    /// The wall clock, milliseconds since the Unix epoch; for people, and for
    /// the expiry of actions before there is a beacon. Never for firing.
    pub wall_ms: u64,
}

/// Reads both clocks.
///
/// # Panics
/// Where the kernel has no `CLOCK_BOOTTIME`, which every Linux since 2.6.39 has.
#[must_use]
pub fn now() -> Now {
    let boot = clock_gettime(ClockId::CLOCK_BOOTTIME);
    assert!(boot.is_ok(), "the kernel has no CLOCK_BOOTTIME");
    let boot_ms = boot.map_or(0, |time| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        let millis = u64::try_from(time.tv_nsec()).unwrap_or(0) / 1_000_000;
        seconds * 1000 + millis
    });
    let wall_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0));
    Now { boot_ms, wall_ms }
}
