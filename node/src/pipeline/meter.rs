//! How often something happened and how long it took.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Where the time of the engine goes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meters {
    /// Each batch, until it is durable.
    pub(crate) sync: Arc<Meter>,
    /// Each batch of signatures that is checked.
    pub(crate) verify: Arc<Meter>,
    /// Each event that its creator sent: from its making until the core has it.
    pub(crate) arrival: Arc<Meter>,
    /// From one own event to the next, while there is work.
    pub(crate) layer: Arc<Meter>,
}

/// A count and the time that all of it took together, nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    count: AtomicU64,
    took_ns: AtomicU64,
}

impl Meter {
    /// Notes that it happened once more.
    pub(crate) fn note(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.took_ns.fetch_add(took, Ordering::Relaxed);
    }

    /// Count and nanoseconds.
    pub(crate) fn read(&self) -> [u64; 2] {
        [
            self.count.load(Ordering::Relaxed),
            self.took_ns.load(Ordering::Relaxed),
        ]
    }
}
