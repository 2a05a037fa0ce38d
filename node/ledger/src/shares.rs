//! The revenue that operators share: what accrues with each sale, and who is
//! owed it.
//!
//! The shares of a site are in the genesis, in thousandths. A sale is cut into
//! whole satoshi: everybody gets the lower whole number, and what that leaves of
//! the shared part goes, one satoshi each, to those who lost the largest
//! fractions; of equal ones to the first in the list. So the parts of a sale
//! add up to the shared part exactly, on every node.
//!
//! In the books a share is an expense that is owed to its member until a payout
//! pays it off.

use std::collections::BTreeMap;

use dctrl_proto::v1::{Genesis, Refusal, Share, SiteShares, Vend};
use dctrl_wallet::parse_address;

use crate::refuse::invalid;
use crate::scope::Scope;
use crate::{StateRead, address, books, tables};

/// The whole of a sale, in thousandths.
const WHOLE: u64 = 1_000;
/// Sites with shares of their own, and shares of one site.
const SITES_MAX: usize = 100;
const SHARES_MAX: usize = 20;

fn rows(genesis: &Genesis) -> &[SiteShares] {
    genesis.payouts.as_ref().map_or(&[], |rules| &rules.shares)
}

/// The shares of what a site sells.
fn of_site<'g>(genesis: &'g Genesis, site: &str) -> &'g [Share] {
    let rows = rows(genesis);
    let own = rows.iter().find(|row| row.site == site);
    let row = own.or_else(|| rows.iter().find(|row| row.site.is_empty()));
    row.map_or(&[], |row| &row.shares)
}

/// Who gets how much of `sats`, in the order of the list.
fn cut(shares: &[Share], sats: u64) -> Vec<u64> {
    let exact = |share: &Share| sats * u64::from(share.per_mille);
    let shared: u64 = shares.iter().map(exact).sum::<u64>() / WHOLE;
    let mut parts: Vec<u64> = shares.iter().map(|share| exact(share) / WHOLE).collect();
    let left = shared - parts.iter().sum::<u64>();
    let mut by_fraction: Vec<usize> = (0..shares.len()).collect();
    by_fraction.sort_by_key(|at| WHOLE - exact(&shares[*at]) % WHOLE);
    for at in by_fraction.into_iter().zip(0..left).map(|(at, _)| at) {
        parts[at] += 1;
    }
    parts
}

/// A sale is shared.
pub(crate) fn accrue(scope: &mut Scope<'_>, vend: &Vend, sats: u64) {
    let site = tables::machine(scope, &vend.machine_id).map_or(String::new(), |one| one.site);
    let owed: Vec<(String, u64)> = {
        let shares = of_site(scope.view().genesis, &site);
        let parts = cut(shares, sats);
        let account = |share: &Share| books::share(&share.member_id);
        shares.iter().map(account).zip(parts).collect()
    };
    let all: u64 = owed.iter().map(|(_, sats)| sats).sum();
    let mut postings = vec![(books::SHARED, books::signed(all))];
    let parts = owed.iter();
    postings.extend(parts.map(|(account, sats)| (account.as_str(), -books::signed(*sats))));
    books::post(scope, &vend.id, "shares of a sale", &postings);
}

/// What is owed to each member who has a share: the account, the address, and
/// the satoshi, by member.
pub(crate) fn accrued(state: &dyn StateRead, genesis: &Genesis) -> Vec<(String, String, u64)> {
    let shares = rows(genesis).iter().flat_map(|row| &row.shares);
    let members: BTreeMap<&str, &str> = shares
        .map(|share| (share.member_id.as_str(), share.address.as_str()))
        .collect();
    members
        .into_iter()
        .map(|(member, address)| {
            let account = books::share(member);
            let owed = -tables::account(state, &account).balance_sats;
            let sats = u64::try_from(owed).unwrap_or_default();
            (account, address.to_owned(), sats)
        })
        .collect()
}

/// What is wrong with a genesis's shares.
pub(crate) fn check(genesis: &Genesis) -> Vec<Refusal> {
    let mut problems = Vec::new();
    let mut wrong = |field: String, message: &str| {
        problems.push(invalid("payout.shares", field, message));
    };
    let rows = rows(genesis);
    if rows.len() > SITES_MAX {
        wrong(
            "payouts.shares".to_owned(),
            "At most 100 sites have shares.",
        );
    }
    let network = address::network(genesis);
    let mut addresses: BTreeMap<&str, &str> = BTreeMap::new();
    for (number, row) in rows.iter().enumerate() {
        let at = format!("payouts.shares[{number}]");
        if rows[..number].iter().any(|before| before.site == row.site) {
            wrong(format!("{at}.site"), "Each site has one row.");
        }
        let sum: u64 = row.shares.iter().map(|one| u64::from(one.per_mille)).sum();
        let some = row.shares.iter().all(|share| share.per_mille > 0);
        if row.shares.len() > SHARES_MAX || !some || sum > WHOLE {
            let message = "At most 20 shares of 1 or more, together at most 1000.";
            wrong(format!("{at}.shares"), message);
        }
        for (place, share) in row.shares.iter().enumerate() {
            let at = format!("{at}.shares[{place}]");
            let member = &share.member_id;
            let known = genesis.members.iter().any(|one| one.id == *member);
            let twice = row.shares[..place]
                .iter()
                .any(|one| one.member_id == *member);
            if !known || twice {
                let message = "Each is a member of the genesis, and named once.";
                wrong(format!("{at}.member_id"), message);
            }
            let payable = network
                .as_ref()
                .is_ok_and(|network| parse_address(&share.address, *network).is_ok());
            let before = addresses.insert(member.as_str(), share.address.as_str());
            if !payable || before.is_some_and(|other| other != share.address.as_str()) {
                let message = "An address of the network, the same wherever the member is named.";
                wrong(format!("{at}.address"), message);
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(per_mille: &[u32]) -> Vec<Share> {
        let share = |per_mille: &u32| Share {
            per_mille: *per_mille,
            ..Share::default()
        };
        per_mille.iter().map(share).collect()
    }

    #[test]
    fn parts_add_up_to_the_shared_part_and_the_largest_fractions_are_rounded_up() {
        assert_eq!(cut(&shares(&[333, 333, 334]), 100), [33, 33, 34]);
        assert_eq!(cut(&shares(&[500, 500]), 3), [2, 1]);
        assert_eq!(cut(&shares(&[100, 250, 50]), 1_501), [150, 375, 75]);
        assert_eq!(cut(&shares(&[]), 5), Vec::<u64>::new());
        for sats in 0..2_000 {
            let shares = shares(&[17, 333, 250, 1]);
            let sum: u64 = cut(&shares, sats).iter().sum();
            assert_eq!(sum, sats * 601 / WHOLE);
        }
    }
}
