//! How a stop goes on, for whoever waits for its end.
//!
//! The agent ends in phases: no order is taken any more; the pulse that is on
//! goes to its end and is journalled; what the sensors still had to say is
//! journalled; the receipt is handed in where a node takes it; the threads end.
//! Each phase says its name first, so that one which does not end can be named.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Exit code where a part of the agent did not stop in its time.
pub const UNSTOPPED: u8 = 4;

/// How long a stop may take: the longest pulse, what sensors and doors may take
/// behind it, and a little more.
pub const STOP_MAX: Duration = Duration::from_secs(15);

/// The phase at work. Clones are not needed: it is shared behind an `Arc`.
#[derive(Debug, Default)]
pub struct Phase {
    at: Mutex<At>,
    ended: Condvar,
}

#[derive(Debug)]
struct At {
    name: &'static str,
    ended: bool,
}

impl Default for At {
    fn default() -> Self {
        Self {
            name: "start",
            ended: false,
        }
    }
}

impl Phase {
    /// Another phase begins.
    pub(crate) fn enter(&self, name: &'static str) {
        self.lock().name = name;
    }

    /// Everything has stopped.
    pub fn end(&self) {
        self.lock().ended = true;
        self.ended.notify_all();
    }

    /// Waits for the end; the phase that is still at work after `patience`.
    #[must_use]
    pub fn outlasts(&self, patience: Duration) -> Option<&'static str> {
        let at = self.lock();
        let waited = self.ended.wait_timeout_while(at, patience, |at| !at.ended);
        let (at, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (!at.ended).then_some(at.name)
    }

    fn lock(&self) -> MutexGuard<'_, At> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phase_that_does_not_end_is_named() {
        let phase = Phase::default();
        phase.enter("actuator");
        assert_eq!(phase.outlasts(Duration::ZERO), Some("actuator"));
        phase.end();
        assert_eq!(phase.outlasts(STOP_MAX), None);
    }
}
