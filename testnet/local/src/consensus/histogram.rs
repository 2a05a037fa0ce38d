//! Delays in buckets that are at most 1/64 wide, so that millions of them fit
//! in a few kilobytes.

/// Buckets of one power of two.
const STEPS: u64 = 64;

/// Counts of delays, nanoseconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max_ns: u64,
}

impl Histogram {
    pub(super) fn add(&mut self, ns: u64) {
        let bucket = bucket(ns);
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
        self.max_ns = self.max_ns.max(ns);
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The delay that at least `percent` of all do not exceed, milliseconds;
    /// 0 where there is none.
    pub(super) fn percentile_ms(&self, percent: u64) -> f64 {
        let rank = (self.total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return milliseconds(upper(bucket).min(self.max_ns));
            }
        }
        0.0
    }

    pub(super) fn max_ms(&self) -> f64 {
        milliseconds(self.max_ns)
    }
}

fn milliseconds(ns: u64) -> f64 {
    ns as f64 / 1e6
}

/// Below [`STEPS`] each value has its bucket; above, each power of two has as many.
fn bucket(ns: u64) -> usize {
    if ns < STEPS {
        return ns as usize;
    }
    let power = u64::from(ns.ilog2());
    let shift = power - u64::from(STEPS.ilog2());
    ((shift + 1) * STEPS + (ns >> shift) - STEPS) as usize
}

/// The highest value of a bucket.
fn upper(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    ((STEPS + bucket % STEPS + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_in_its_bucket_and_the_bucket_is_narrow() {
        for ns in (0..64).flat_map(|power| [1u64 << power, (1 << power) + 1, (1 << power) - 1]) {
            let top = upper(bucket(ns));
            assert!(top >= ns && top - ns <= ns / 64 + 1, "{ns} in {top}");
            assert_eq!(bucket(top), bucket(ns));
        }
    }

    #[test]
    fn percentiles_are_those_of_the_delays() {
        let mut histogram = Histogram::default();
        (1..=1000u64).for_each(|ms| histogram.add(ms * 1_000_000));
        for percent in [1, 50, 90, 99] {
            let found = histogram.percentile_ms(percent);
            let exact = percent as f64 * 10.0;
            assert!(found >= exact && found < exact * 1.02, "{percent}: {found}");
        }
        assert_eq!(histogram.max_ms(), 1000.0);
        assert_eq!(Histogram::default().percentile_ms(50), 0.0);
    }
}
