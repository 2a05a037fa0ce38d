//! One price of several sources: what is stale, jumps or stands apart is left
//! out by name, and the median of the rest is taken. Pure.

use std::collections::BTreeMap;

/// A price may at most double or halve while the last one is fresh.
const JUMP_FACTOR: u64 = 2;
/// How far a quote's own time may be ahead of this node's clock, milliseconds:
/// clocks that are kept by NTP differ by less, and a time in a wrong unit by
/// decades.
const AHEAD_MS_MAX: u64 = 30_000;

/// What a source says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Minor units for one bitcoin.
    pub minor_per_bitcoin: u64,
    /// When that was the price, by the source's own clock, milliseconds since
    /// the Unix epoch; `None` where its answers do not say.
    pub at_ms: Option<u64>,
}

/// What is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A source's last good answer counts this long, milliseconds: from the
    /// quote's own time, or from when it came where it has none.
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
    /// Its own time is too long ago: the source answers, and its price stands still.
    #[error("by its own time the quote is {age_ms} ms old")]
    Old {
        /// Its age.
        age_ms: u64,
    },
    /// Its own time has not come yet.
    #[error("by its own time the quote is {ahead_ms} ms in the future")]
    Ahead {
        /// How far ahead of this node's clock.
        ahead_ms: u64,
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
    /// Last good price and since when it counts, by source.
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
    /// Takes a source's answer unless its own time is absurd, or it jumps.
    pub(super) fn add(
        &mut self,
        source: &str,
        quote: Quote,
        now_ms: u64,
        limits: Limits,
    ) -> Result<(), Excluded> {
        let since_ms = since(quote, now_ms, limits)?;
        let now = quote.minor_per_bitcoin;
        if let Some((before, at_ms)) = self.last.get(source).copied() {
            let fresh = now_ms.saturating_sub(at_ms) <= limits.age_ms_max;
            let near = now / JUMP_FACTOR <= before && before / JUMP_FACTOR <= now;
            if fresh && !near {
                return Err(Excluded::Jump { before, now });
            }
        }
        self.last.insert(source.to_owned(), (now, since_ms));
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

/// Since when a quote counts, never later than now: a clock that is a little
/// ahead makes no quote last longer.
fn since(quote: Quote, now_ms: u64, limits: Limits) -> Result<u64, Excluded> {
    let at_ms = quote.at_ms.unwrap_or(now_ms);
    let ahead_ms = at_ms.saturating_sub(now_ms);
    if ahead_ms > AHEAD_MS_MAX {
        return Err(Excluded::Ahead { ahead_ms });
    }
    let age_ms = now_ms.saturating_sub(at_ms);
    if age_ms > limits.age_ms_max {
        return Err(Excluded::Old { age_ms });
    }
    Ok(at_ms.min(now_ms))
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

    fn quote(minor_per_bitcoin: u64) -> Quote {
        Quote {
            minor_per_bitcoin,
            at_ms: None,
        }
    }

    fn dated(minor_per_bitcoin: u64, at_ms: u64) -> Quote {
        Quote {
            minor_per_bitcoin,
            at_ms: Some(at_ms),
        }
    }

    fn answers(prices: &[(&str, u64)]) -> Answers {
        let mut answers = Answers::default();
        for (source, price) in prices {
            answers.add(source, quote(*price), 0, LIMITS).unwrap();
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
        let jump = one.add("a", quote(60_000_000), 30_000, LIMITS);
        assert_eq!(
            jump,
            Err(Excluded::Jump {
                before: 6_000_000,
                now: 60_000_000
            })
        );
        assert!(one.add("a", quote(600_000), 30_000, LIMITS).is_err());
        assert_eq!(one.verdict(30_000, LIMITS).price, Some((6_000_000, 1)));
        assert!(
            one.add("a", quote(60_000_000), 61_000, LIMITS).is_ok(),
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

    #[test]
    fn a_ticker_that_stands_still_is_left_out_however_fast_it_answers() {
        let mut one = Answers::default();
        for now_ms in [100_000, 130_000, 160_000] {
            one.add("a", dated(6_000_000, 100_000), now_ms, LIMITS)
                .unwrap();
            assert_eq!(one.verdict(now_ms, LIMITS).price, Some((6_000_000, 1)));
        }
        let frozen = one.add("a", dated(6_000_000, 100_000), 160_001, LIMITS);
        assert_eq!(frozen, Err(Excluded::Old { age_ms: 60_001 }));
        assert_eq!(one.verdict(160_001, LIMITS).price, None);
        one.add("a", dated(6_000_000, 160_000), 160_002, LIMITS)
            .unwrap();
        assert_eq!(one.verdict(220_000, LIMITS).price, Some((6_000_000, 1)));
        assert_eq!(one.verdict(220_001, LIMITS).price, None, "by its own time");
    }

    #[test]
    fn a_quote_of_the_future_is_absurd_and_a_clock_a_little_ahead_is_not() {
        let mut one = Answers::default();
        for ahead_ms in [30_001, 1_700_000_000_000_000] {
            let refused = one.add("a", dated(6_000_000, 1_000 + ahead_ms), 1_000, LIMITS);
            assert_eq!(refused, Err(Excluded::Ahead { ahead_ms }));
        }
        assert_eq!(one.verdict(1_000, LIMITS).price, None);
        one.add("a", dated(6_000_000, 31_000), 1_000, LIMITS)
            .unwrap();
        assert_eq!(one.verdict(61_000, LIMITS).price, Some((6_000_000, 1)));
        assert_eq!(
            one.verdict(61_001, LIMITS).price,
            None,
            "it lasts no longer than another"
        );
    }
}
