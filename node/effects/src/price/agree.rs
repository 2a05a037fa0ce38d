//! One price of several sources: what is stale, jumps or stands apart is left
//! out by name, and the median of the rest is taken. Pure.

use std::collections::BTreeMap;

/// A price may at most double or halve while the last one is fresh.
const JUMP_FACTOR: u64 = 2;

/// What is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A source's last good answer counts this long, milliseconds.
    pub age_ms_max: u64,
    /// How far a source may stand from the median, basis points of it.
    pub spread_bps_max: u32,
}

/// Why an answer does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Excluded {
    /// More than a doubling or halving since the source's last fresh price.
    #[error("jumped from {before} to {now} minor units")]
    Jump {
        /// The last good one.
        before: u64,
        /// The one that is not believed.
        now: u64,
    },
    /// Too far from the median of all.
    #[error("{now} stands apart from the median {median}")]
    Apart {
        /// The median of all fresh answers.
        median: u64,
        /// The one that is left out.
        now: u64,
    },
    /// No good answer for too long.
    #[error("the last good answer is {age_ms} ms old")]
    Stale {
        /// Its age.
        age_ms: u64,
    },
}

/// The answers of the sources of one currency.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    /// Last good price and when it came, by source.
    last: BTreeMap<String, (u64, u64)>,
}

/// What the sources say together.
#[derive(Debug, PartialEq)]
pub(super) struct Verdict {
    /// Minor units for one bitcoin and how many sources stand behind it;
    /// `None` when there is no price that can be believed.
    pub(super) price: Option<(u64, u32)>,
    pub(super) excluded: Vec<(String, Excluded)>,
}

impl Answers {
    /// Takes a source's answer unless it jumps.
    pub(super) fn add(
        &mut self,
        source: &str,
        now: u64,
        now_ms: u64,
        limits: Limits,
    ) -> Result<(), Excluded> {
        if let Some((before, at_ms)) = self.last.get(source).copied() {
            let fresh = now_ms.saturating_sub(at_ms) <= limits.age_ms_max;
            let near = now / JUMP_FACTOR <= before && before / JUMP_FACTOR <= now;
            if fresh && !near {
                return Err(Excluded::Jump { before, now });
            }
        }
        self.last.insert(source.to_owned(), (now, now_ms));
        Ok(())
    }

    /// What all sources say at `now_ms`.
    pub(super) fn verdict(&self, now_ms: u64, limits: Limits) -> Verdict {
        let mut excluded = Vec::new();
        let mut fresh = Vec::new();
        for (source, (price, at_ms)) in &self.last {
            let age_ms = now_ms.saturating_sub(*at_ms);
            if age_ms > limits.age_ms_max {
                excluded.push((source.clone(), Excluded::Stale { age_ms }));
            } else {
                fresh.push((source, *price));
            }
        }
        let Some(middle) = median(fresh.iter().map(|(_, price)| *price)) else {
            return Verdict {
                price: None,
                excluded,
            };
        };
        let mut near = Vec::new();
        for (source, now) in &fresh {
            if within(*now, middle, limits.spread_bps_max) {
                near.push(*now);
            } else {
                let reason = Excluded::Apart {
                    median: middle,
                    now: *now,
                };
                excluded.push(((*source).clone(), reason));
            }
        }
        // The median is believed only where more than half stand around it.
        let price = median(near.iter().copied()).filter(|_| near.len() * 2 > fresh.len());
        Verdict {
            price: price.map(|price| (price, u32::try_from(near.len()).unwrap_or(u32::MAX))),
            excluded,
        }
    }
}

/// The middle one, or the mean of the two in the middle, rounded down.
fn median(prices: impl Iterator<Item = u64>) -> Option<u64> {
    let mut sorted: Vec<u64> = prices.collect();
    sorted.sort_unstable();
    let above = *sorted.get(sorted.len() / 2)?;
    let below = *sorted.get((sorted.len() - 1) / 2)?;
    Some(below.midpoint(above))
}

/// Whether `price` is within `bps` basis points of `middle`.
pub(super) fn within(price: u64, middle: u64, bps: u32) -> bool {
    let apart = u128::from(price.abs_diff(middle)) * 10_000;
    apart <= u128::from(middle) * u128::from(bps)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        age_ms_max: 60_000,
        spread_bps_max: 200,
    };

    fn answers(prices: &[(&str, u64)]) -> Answers {
        let mut answers = Answers::default();
        for (source, price) in prices {
            answers.add(source, *price, 0, LIMITS).unwrap();
        }
        answers
    }

    #[test]
    fn the_median_of_the_sources_is_taken() {
        let three = answers(&[("a", 6_000_000), ("b", 6_010_000), ("c", 6_030_000)]);
        assert_eq!(three.verdict(0, LIMITS).price, Some((6_010_000, 3)));
        let two = answers(&[("a", 6_000_000), ("b", 6_010_001)]);
        assert_eq!(two.verdict(0, LIMITS).price, Some((6_005_000, 2)));
        let one = answers(&[("a", 6_000_000)]);
        assert_eq!(one.verdict(0, LIMITS).price, Some((6_000_000, 1)));
        assert_eq!(answers(&[]).verdict(0, LIMITS).price, None);
    }

    #[test]
    fn one_hostile_source_of_three_moves_nothing_and_is_named() {
        for hostile in [1, 600_000, 60_000_000, u64::MAX] {
            let three = answers(&[("a", 6_000_000), ("b", 6_010_000), ("liar", hostile)]);
            let verdict = three.verdict(0, LIMITS);
            let (price, sources) = verdict.price.unwrap();
            assert!((6_000_000..=6_010_000).contains(&price), "{price}");
            assert_eq!(sources, 2);
            assert_eq!(verdict.excluded[0].0, "liar");
        }
    }

    #[test]
    fn two_sources_that_disagree_give_no_price() {
        let two = answers(&[("a", 6_000_000), ("b", 9_000_000)]);
        let verdict = two.verdict(0, LIMITS);
        assert_eq!(verdict.price, None);
        assert_eq!(verdict.excluded.len(), 2);
    }

    #[test]
    fn a_tenfold_jump_is_not_believed_while_the_last_price_is_fresh() {
        let mut one = answers(&[("a", 6_000_000)]);
        let jump = one.add("a", 60_000_000, 30_000, LIMITS);
        assert_eq!(
            jump,
            Err(Excluded::Jump {
                before: 6_000_000,
                now: 60_000_000
            })
        );
        assert!(one.add("a", 600_000, 30_000, LIMITS).is_err());
        assert_eq!(one.verdict(30_000, LIMITS).price, Some((6_000_000, 1)));
        assert!(
            one.add("a", 60_000_000, 61_000, LIMITS).is_ok(),
            "no longer fresh"
        );
    }

    #[test]
    fn a_stale_source_does_not_count() {
        let one = answers(&[("a", 6_000_000)]);
        let verdict = one.verdict(60_001, LIMITS);
        assert_eq!(verdict.price, None);
        assert_eq!(
            verdict.excluded,
            [("a".to_owned(), Excluded::Stale { age_ms: 60_001 })]
        );
    }
}
