//! The node's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use dctrl_consensus::Timestamp;

/// The node's clock: wall time that never runs backwards within a process.
#[derive(Debug, Default)]
pub(super) struct Clock {
    last: u64,
}

impl Clock {
    pub(super) fn now(&mut self) -> Timestamp {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| {
                u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
            });
        self.last = self.last.max(wall);
        Timestamp(self.last)
    }
}
