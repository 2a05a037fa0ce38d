//! A set of delays and what is said about it.

use std::fmt;

use serde_json::{Value, json};

/// Measured delays, nanoseconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Distribution {
    delays_ns: Vec<u64>,
}

impl Distribution {
    pub(super) fn add(&mut self, delay_ns: u64) {
        let at = self.delays_ns.partition_point(|known| *known <= delay_ns);
        self.delays_ns.insert(at, delay_ns);
    }

    /// The smallest delay that at least `percent` of all do not exceed,
    /// milliseconds; 0 where there is none.
    fn percentile_ms(&self, percent: usize) -> f64 {
        let rank = (self.delays_ns.len() * percent).div_ceil(100);
        let delay_ns = self.delays_ns.get(rank.saturating_sub(1)).copied();
        milliseconds(delay_ns.unwrap_or(0))
    }

    /// Adds the figures to a JSON object.
    pub(super) fn into_json(self, object: &mut Value) {
        object["count"] = json!(self.delays_ns.len());
        for (key, percent) in [
            ("p50_ms", 50),
            ("p90_ms", 90),
            ("p99_ms", 99),
            ("max_ms", 100),
        ] {
            object[key] = json!(self.percentile_ms(percent));
        }
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "p50 {:.1} ms   p90 {:.1} ms   p99 {:.1} ms   max {:.1} ms   of {} vends",
            self.percentile_ms(50),
            self.percentile_ms(90),
            self.percentile_ms(99),
            self.percentile_ms(100),
            self.delays_ns.len()
        )
    }
}

/// To a tenth of a millisecond; finer would be noise.
fn milliseconds(ns: u64) -> f64 {
    let tenths = u32::try_from(ns / 100_000).unwrap_or(u32::MAX);
    f64::from(tenths) / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_delays_by_nearest_rank() {
        let mut distribution = Distribution::default();
        for ms in (1..=200).rev() {
            distribution.add(ms * 1_000_000);
        }
        let mut object = json!({});
        distribution.into_json(&mut object);
        assert_eq!(
            object,
            json!({"count": 200, "p50_ms": 100.0, "p90_ms": 180.0, "p99_ms": 198.0, "max_ms": 200.0})
        );
    }

    #[test]
    fn an_empty_distribution_is_zero_and_no_panic() {
        assert!(Distribution::default().to_string().contains("of 0 vends"));
    }
}
