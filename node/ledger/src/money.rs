//! The rules of money, with the standard values where the policy says nothing.

use dctrl_proto::v1::{MoneyPolicy, Policy};

/// Confirmations after which a block's reward counts, as it can be spent then.
pub(crate) const COINBASE_DEPTH: u32 = 100;
/// Outputs below this are no payments that anybody relays, satoshi: what Core
/// calls dust for a P2WSH output at its standard rate.
pub(crate) const DUST_SATS: u64 = 330;
/// Most that may be forgiven of a price, basis points.
pub(crate) const UNDERPAID_BPS_MAX: u32 = 100;
/// A day of consensus time, milliseconds.
pub(crate) const DAY_MS: u64 = 24 * 60 * 60 * 1000;

const BASIS_POINTS: u128 = 10_000;
const ZERO_CONF_WAIT_MS: u32 = 10_000;
const ZERO_CONF_HOUR_FACTOR: u64 = 10;
const CREDIT_SATS_MAX: u64 = 100_000;
const CASH_SATS_MAX: u64 = 1_000_000;
const CASH_DAY_SATS_MAX: u64 = 5_000_000;
const HELD_DAY_SATS_MAX: u64 = 10_000;
const HELD_MS: u32 = 24 * 60 * 60 * 1000;

fn money(policy: &Policy) -> MoneyPolicy {
    policy.money.clone().unwrap_or_default()
}

/// What may be missing of a price.
pub(crate) fn forgivable_sats(policy: &Policy, price_sats: u64) -> u64 {
    let bps = money(policy).underpaid_bps_max.min(UNDERPAID_BPS_MAX);
    let sats = u128::from(price_sats) * u128::from(bps) / BASIS_POINTS;
    u64::try_from(sats).unwrap_or_default()
}

/// How long a quorum must have seen an unconfirmed payment.
pub(crate) fn zero_conf_wait_ms(policy: &Policy) -> u64 {
    u64::from(money(policy).zero_conf_wait_ms.unwrap_or(ZERO_CONF_WAIT_MS))
}

/// Sold on unconfirmed payments by one machine within an hour.
pub(crate) fn zero_conf_hour_sats_max(policy: &Policy) -> u64 {
    let standard = policy
        .zero_conf_sats_max
        .saturating_mul(ZERO_CONF_HOUR_FACTOR);
    money(policy).zero_conf_hour_sats_max.unwrap_or(standard)
}

/// Largest price sold at a site on an unconfirmed payment.
pub(crate) fn site_zero_conf_sats_max(policy: &Policy, site: &str) -> u64 {
    let money = money(policy);
    let risk = money.sites.iter().find(|risk| risk.site == site);
    risk.map_or(policy.zero_conf_sats_max, |risk| {
        risk.zero_conf_sats_max.min(policy.zero_conf_sats_max)
    })
}

/// Largest credit limit of a member.
pub(crate) fn credit_sats_max(policy: &Policy) -> u64 {
    money(policy).credit_sats_max.unwrap_or(CREDIT_SATS_MAX)
}

/// Largest single cash entry.
pub(crate) fn cash_sats_max(policy: &Policy) -> u64 {
    money(policy).cash_sats_max.unwrap_or(CASH_SATS_MAX)
}

/// Cash that one person may record in a day.
pub(crate) fn cash_day_sats_max(policy: &Policy) -> u64 {
    money(policy).cash_day_sats_max.unwrap_or(CASH_DAY_SATS_MAX)
}

/// Held credit released by itself in a day, for one payer and one machine.
pub(crate) fn held_day_sats_max(policy: &Policy) -> u64 {
    money(policy).held_day_sats_max.unwrap_or(HELD_DAY_SATS_MAX)
}

/// How long the price of an uncertain vend is held at least.
pub(crate) fn held_ms(policy: &Policy) -> u64 {
    u64::from(money(policy).held_ms.unwrap_or(HELD_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_a_hundredth_of_a_price_is_forgiven() {
        let policy = |bps| Policy {
            money: Some(MoneyPolicy {
                underpaid_bps_max: bps,
                ..MoneyPolicy::default()
            }),
            ..Policy::default()
        };
        assert_eq!(forgivable_sats(&Policy::default(), 1500), 0);
        assert_eq!(forgivable_sats(&policy(50), 1500), 7);
        assert_eq!(forgivable_sats(&policy(5000), 1500), 15);
    }

    #[test]
    fn a_site_never_risks_more_than_the_federation() {
        let policy = Policy {
            zero_conf_sats_max: 1000,
            money: Some(MoneyPolicy {
                sites: [("hall", 500), ("yard", 5000)]
                    .map(|(site, zero_conf_sats_max)| dctrl_proto::v1::SiteRisk {
                        site: site.to_owned(),
                        zero_conf_sats_max,
                    })
                    .to_vec(),
                ..MoneyPolicy::default()
            }),
            ..Policy::default()
        };
        let of = |site| site_zero_conf_sats_max(&policy, site);
        assert_eq!((of("hall"), of("yard"), of("roof")), (500, 1000, 1000));
    }
}
