//! A set of delays and what is said about it.

use std::fmt;

use serde_json::{Value, json};

/// Measured delays, milliseconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Distribution {
    delays_ms: Vec<u64>,
}

impl Distribution {
    pub(super) fn add(&mut self, delay_ms: u64) {
        let at = self.delays_ms.partition_point(|known| *known <= delay_ms);
        self.delays_ms.insert(at, delay_ms);
    }

    /// The smallest delay that at least `percent` of all do not exceed,
    /// milliseconds; 0 where there is none.
    fn percentile_ms(&self, percent: usize) -> u64 {
        let rank = (self.delays_ms.len() * percent).div_ceil(100);
        self.delays_ms
            .get(rank.saturating_sub(1))
            .copied()
            .unwrap_or(0)
    }

    /// Adds the figures to a JSON object.
    pub(super) fn into_json(self, object: &mut Value) {
        object["count"] = json!(self.delays_ms.len());
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
            "p50 {} ms   p90 {} ms   p99 {} ms   max {} ms   of {} vends",
            self.percentile_ms(50),
            self.percentile_ms(90),
            self.percentile_ms(99),
            self.percentile_ms(100),
            self.delays_ms.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_delays_by_nearest_rank() {
        let mut distribution = Distribution::default();
        for ms in (1..=200).rev() {
            distribution.add(ms);
        }
        let mut object = json!({});
        distribution.into_json(&mut object);
        assert_eq!(
            object,
            json!({"count": 200, "p50_ms": 100, "p90_ms": 180, "p99_ms": 198, "max_ms": 200})
        );
    }

    #[test]
    fn an_empty_distribution_is_zero_and_no_panic() {
        assert!(Distribution::default().to_string().contains("of 0 vends"));
    }
}
