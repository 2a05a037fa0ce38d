//! What a bitcoin costs, as the federation agrees on it, and what a price in
//! a currency is in satoshi.

use dctrl_proto::v1::{FiatPrice, PriceVotes, Rate};

use crate::scope::{Scope, View};
use crate::{facts, keys, tables};

/// Satoshi in one bitcoin.
const SATS_PER_BITCOIN: u128 = 100_000_000;
/// All satoshi there will ever be.
pub(crate) const SATS_MAX: u64 = 21_000_000 * 100_000_000;
const BASIS_POINTS: u128 = 10_000;

/// The median of the nodes' fresh observations, in minor units for one
/// bitcoin. A quorum must be fresh: with fewer, nodes that lie could move the
/// median out of the range of the honest ones.
pub(crate) fn fresh_median(view: &View<'_>, currency: &str) -> Option<u64> {
    let votes: PriceVotes = tables::read(view.state, &keys::price_votes(currency))?;
    let age_ms_max = u64::from(view.policy().price_age_ms_max);
    let mut fresh: Vec<u64> = votes
        .votes
        .iter()
        .filter(|vote| view.federation.has(vote.node))
        .filter(|vote| view.time_ms.saturating_sub(vote.at_ms) <= age_ms_max)
        .map(|vote| vote.minor_per_bitcoin)
        .collect();
    if fresh.len() < view.federation.quorum() {
        return None;
    }
    fresh.sort_unstable();
    Some(fresh[(fresh.len() - 1) / 2])
}

/// Brings the agreed rate in line with the fresh observations; tells when it
/// changed. The rate before stays where too few observations are fresh.
pub(crate) fn agree(scope: &mut Scope<'_>, currency: &str) -> Option<Rate> {
    let median = fresh_median(&scope.view(), currency)?;
    let key = keys::rate(currency);
    if let Some(rate) = tables::read::<Rate>(scope, &key)
        && rate.minor_per_bitcoin == median
    {
        return Some(rate);
    }
    let rate = Rate {
        currency: currency.to_owned(),
        minor_per_bitcoin: median,
        height: scope.height(),
        agreed_at_ms: scope.time_ms(),
    };
    scope.put(key, &rate);
    scope.tell(facts::rate(rate.clone()));
    Some(rate)
}

/// Drops the observations of nodes that have gone, and agrees anew.
pub(crate) fn realign(scope: &mut Scope<'_>) {
    let stored: Vec<(Vec<u8>, Vec<u8>)> = tables::walk(scope, keys::PRICE_VOTES).collect();
    for (key, value) in stored {
        let mut votes: PriceVotes = tables::decode(&key, &value);
        votes.votes.retain(|vote| scope.federation().has(vote.node));
        let currency = keys::parse_price_votes(&key).to_owned();
        if votes.votes.is_empty() {
            scope.delete(key);
        } else {
            scope.put(key, &votes);
        }
        agree(scope, &currency);
    }
}

/// A price in satoshi at a rate, with the spread, each rounded up; `None`
/// where it is more than there is.
pub(crate) fn in_sats(
    price: &FiatPrice,
    minor_per_bitcoin: u64,
    spread_basis_points: u32,
) -> Option<u64> {
    let sats =
        (u128::from(price.minor_units) * SATS_PER_BITCOIN).div_ceil(u128::from(minor_per_bitcoin));
    let factor = BASIS_POINTS + u128::from(spread_basis_points);
    let with_spread = sats.checked_mul(factor)?.div_ceil(BASIS_POINTS);
    u64::try_from(with_spread)
        .ok()
        .filter(|sats| *sats <= SATS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_in_a_currency_is_rounded_up_to_whole_satoshi() {
        let price = |minor_units| FiatPrice {
            currency: "EUR".into(),
            minor_units,
        };
        assert_eq!(in_sats(&price(250), 6_000_000, 0), Some(4167));
        assert_eq!(in_sats(&price(300), 6_000_000, 0), Some(5000));
        assert_eq!(in_sats(&price(300), 6_000_000, 100), Some(5050));
        assert_eq!(in_sats(&price(250), 6_000_000, 1), Some(4168));
        assert_eq!(in_sats(&price(u64::MAX), 1, u32::MAX), None);
        assert_eq!(in_sats(&price(1), u64::MAX, 0), Some(1));
    }
}
