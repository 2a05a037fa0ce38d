//! The clocks of nodes. The world's time is nanoseconds since the run began;
//! a node is told a date that may be far from it.

use dctrl_consensus::Timestamp;

use crate::scenario::SECOND;

/// The run begins at a real date, so that times look real.
const BEGIN: u64 = 1_700_000_000 * SECOND;
/// By how much an honest clock may be off, nanoseconds to either side.
pub(crate) const HONEST_OFFSET_MAX: i64 = 2_000_000_000;

/// How a clock runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// Off by a constant number of nanoseconds.
    Off(i64),
    /// Right until `at`, then set back by so many nanoseconds.
    SetBack { at: u64, by: u64 },
    /// Right until `at`, where it stands for good.
    Frozen { at: u64 },
}

impl Clock {
    /// What the clock shows at the world's time.
    pub(crate) fn read(self, now: u64) -> Timestamp {
        let right = BEGIN + now;
        Timestamp(match self {
            Self::Off(by) => right.saturating_add_signed(by),
            Self::SetBack { at, by } if now >= at => right.saturating_sub(by),
            Self::Frozen { at } => BEGIN + now.min(at),
            Self::SetBack { .. } => right,
        })
    }

    /// The world's time at which the clock shows this; `None` for never.
    pub(crate) fn shows_at(self, time: Timestamp, now: u64) -> Option<u64> {
        let behind = time.0.saturating_sub(self.read(now).0);
        let stands = matches!(self, Self::Frozen { at } if now + behind > at);
        (!stands).then(|| now.saturating_add(behind))
    }
}

/// A right clock.
pub(crate) fn right(now: u64) -> Timestamp {
    Clock::Off(0).read(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_comes_to_the_time_it_promised_or_never() {
        for clock in [
            Clock::Off(-7 * SECOND.cast_signed()),
            Clock::SetBack {
                at: 5 * SECOND,
                by: 3 * SECOND,
            },
            Clock::Frozen { at: 5 * SECOND },
        ] {
            let wanted = clock.read(SECOND).after(SECOND);
            let at = clock.shows_at(wanted, SECOND).expect("it runs till then");
            assert_eq!(clock.read(at), wanted);
        }
        let frozen = Clock::Frozen { at: SECOND };
        assert_eq!(frozen.shows_at(frozen.read(0).after(2 * SECOND), 0), None);
    }
}
