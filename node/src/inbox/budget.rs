//! How much checking one peer may cost.
//!
//! A bucket of work, in nanoseconds of one core, that refills with time. What
//! a message costs is counted, not measured, so that a busy machine makes
//! nobody pay for it and the same input always has the same verdict.

use std::time::Duration;

/// The share of one core that a peer's messages may take, as one part of this
/// many: a tenth. Honest peers stay far below it; one that floods delays
/// itself.
const SHARE_OF_CORE: u64 = 10;

/// What a peer that was quiet may cost at once: its whole share of the inbox.
const BURST: Duration = Duration::from_millis(20);

/// What a bad signature costs its sender. Honest peers check before they send
/// anything on, so that none of theirs is ever bad. At a tenth of a core the
/// debt is paid in a second.
const BAD_SIGNATURE: Duration = Duration::from_millis(100);

/// The deepest debt: paid in ten seconds.
const DEBT_MAX: Duration = Duration::from_secs(1);

/// Queueing, decoding and handing on one message.
const PER_MESSAGE: Duration = Duration::from_micros(5);

/// Hashing and copying a byte: nanoseconds.
const PER_BYTE_NS: u64 = 1;

/// A signature in a batch of usual size.
const PER_SIGNATURE: Duration = Duration::from_micros(15);

/// What checking messages cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cost(Duration);

impl Cost {
    /// Of taking and decoding a message of this length.
    pub(crate) fn reading(bytes: usize) -> Self {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        Self(PER_MESSAGE + Duration::from_nanos(bytes.saturating_mul(PER_BYTE_NS)))
    }

    /// Of checking this many signatures.
    pub(crate) fn signatures(count: usize) -> Self {
        Self(PER_SIGNATURE.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX)))
    }

    /// Of sending a signature that does not hold.
    pub(crate) fn bad_signature() -> Self {
        Self(BAD_SIGNATURE)
    }

    /// As time of one core.
    #[cfg(test)]
    pub(super) fn time(self) -> Duration {
        self.0
    }
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.0 = self.0.saturating_add(other.0);
    }
}

/// One peer's bucket.
#[derive(Debug)]
pub(crate) struct Budget {
    /// When the bucket was, or will be, exactly full. Later than now by
    /// [`SHARE_OF_CORE`] times what is missing.
    full_at: Duration,
}

impl Budget {
    /// A full bucket. Times are since the start of the process.
    pub(crate) fn full(now: Duration) -> Self {
        Self { full_at: now }
    }

    /// Whether something is left at `now`.
    pub(crate) fn allows(&self, now: Duration) -> bool {
        self.spent_until() <= now
    }

    /// When something will be left again.
    pub(crate) fn spent_until(&self) -> Duration {
        self.full_at.saturating_sub(refill_time(BURST))
    }

    /// Takes `cost`, whether it is there or not.
    pub(crate) fn spend(&mut self, cost: Cost, now: Duration) {
        let full_at = self.full_at.max(now) + refill_time(cost.0.min(DEBT_MAX));
        self.full_at = full_at.min(now + refill_time(BURST + DEBT_MAX));
    }
}

/// How long the bucket takes to regain this much.
fn refill_time(work: Duration) -> Duration {
    work.saturating_mul(u32::try_from(SHARE_OF_CORE).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_gets_its_burst_and_then_a_tenth_of_a_core() {
        let mut budget = Budget::full(Duration::ZERO);
        let each = Cost::signatures(10);
        let mut spent = Duration::ZERO;
        let span = Duration::from_secs(20);
        for step in 0..200_000 {
            let now = span * step / 200_000;
            if budget.allows(now) {
                budget.spend(each, now);
                spent += each.0;
            }
        }
        let share = span / 10;
        assert!(spent >= share, "{spent:?}");
        assert!(spent <= share + BURST + each.0, "{spent:?}");
    }

    #[test]
    fn a_bad_signature_silences_for_a_second_and_no_debt_is_for_ever() {
        let mut budget = Budget::full(Duration::ZERO);
        budget.spend(Cost::signatures(1400), Duration::ZERO);
        budget.spend(Cost::bad_signature(), Duration::ZERO);
        let free = budget.spent_until();
        assert!(free >= Duration::from_secs(1), "{free:?}");
        for _ in 0..1_000 {
            budget.spend(Cost::bad_signature(), Duration::ZERO);
        }
        assert_eq!(budget.spent_until(), 10 * DEBT_MAX);
    }
}
