//! A timer that ends `zmq::poll`, which itself counts whole milliseconds: what
//! consensus waits for is often a fraction of one.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// Waits up to this are timed exactly; longer ones in whole milliseconds.
const EXACT_MAX: Duration = Duration::from_millis(50);

/// Two ends of a wait that are no further apart are the same.
const TOLERANCE: Duration = Duration::from_micros(20);

/// Shortest time that a timer can be set to; zero would stop it.
const SHORTEST: Duration = Duration::from_nanos(1);

/// A timer that can be polled.
pub(super) struct Timer {
    fd: TimerFd,
    /// When it will go off, where it is set.
    at: Option<Instant>,
}

impl Timer {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        Ok(Self {
            fd: TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?,
            at: None,
        })
    }

    pub(super) fn as_poll_item(&self) -> zmq::PollItem<'_> {
        zmq::PollItem::from_fd(self.fd.as_fd().as_raw_fd(), zmq::POLLIN)
    }

    /// Makes `zmq::poll` end after `patience`: sets the timer where that is
    /// short, and gives the milliseconds for `zmq::poll`, rounded up.
    pub(super) fn arm(&mut self, patience: Duration) -> io::Result<i64> {
        if !patience.is_zero() && patience <= EXACT_MAX {
            let at = Instant::now() + patience;
            let same = |set: Instant| set.max(at) - set.min(at) <= TOLERANCE;
            if !self.at.is_some_and(same) {
                let after = TimeSpec::from_duration(patience.max(SHORTEST));
                self.fd
                    .set(Expiration::OneShot(after), TimerSetTimeFlags::empty())?;
                self.at = Some(at);
            }
        }
        let ms = patience.as_micros().div_ceil(1000);
        Ok(i64::try_from(ms).unwrap_or(i64::MAX))
    }

    /// It went off: it is silent until it is armed again.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.at = None;
        Ok(self.fd.unset()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Polls the timer alone.
    fn poll(timer: &Timer, ms: i64) -> bool {
        let mut items = [timer.as_poll_item()];
        zmq::poll(&mut items, ms).unwrap();
        items[0].is_readable()
    }

    #[test]
    fn a_short_wait_ends_by_the_timer_and_then_it_is_silent() {
        let mut timer = Timer::new().unwrap();
        assert_eq!(timer.arm(Duration::from_micros(300)).unwrap(), 1);
        assert!(poll(&timer, 60_000), "it went off");
        timer.clear().unwrap();
        assert!(!poll(&timer, 0));
    }

    #[test]
    fn a_long_wait_or_none_sets_no_timer() {
        let mut timer = Timer::new().unwrap();
        assert_eq!(timer.arm(Duration::from_millis(1_500)).unwrap(), 1_500);
        assert_eq!(timer.arm(Duration::ZERO).unwrap(), 0);
        assert_eq!(timer.at, None);
    }
}
