//! The end of a payout: six blocks deep, and what contradicts that later.

use dctrl_proto::v1::{
    ChangeCoin, PaymentView, Payout, PayoutKind, PayoutSpend, PayoutState, PayoutVersion,
};

use super::{DEPTH, belief, coins, conflict, is_over, keep, money, standing, version_of};
use crate::scope::Scope;
use crate::{StateRead, keys};

/// Keeps a payout whose belief has been brought up to date; settles it where
/// a quorum of nodes sees it deep enough.
pub(super) fn settle(scope: &mut Scope<'_>, mut payout: Payout, detail: &str) {
    let seen = payout.seen.clone().unwrap_or_default();
    if payout.settled {
        let here = seen.view() == PaymentView::InBlock && seen.txid == payout.settled_txid;
        // Blocks may be others; the transaction must be in one of them.
        if payout.frozen == here {
            standing::count(scope, &payout, here);
        }
        payout.frozen = !here;
        if let Some(version) = version_of(&payout, &payout.settled_txid) {
            coins::move_change(scope, version, here.then_some(&seen));
        }
        keep::save(scope, payout, detail);
        return;
    }
    let deep = seen.view() == PaymentView::InBlock
        && seen.confirmations >= DEPTH
        && belief::votes_for(&payout, &seen) >= scope.federation().quorum();
    if !deep || is_over(&payout) {
        keep::save(scope, payout, detail);
        return;
    }
    match version_of(&payout, &seen.txid).cloned() {
        Some(version) => settle_version(scope, payout, &version, &seen),
        None => conflict::settle(scope, payout, &seen),
    }
}

/// One of ours is buried: its coins are gone, its change is a coin.
fn settle_version(
    scope: &mut Scope<'_>,
    mut payout: Payout,
    version: &PayoutVersion,
    seen: &PayoutSpend,
) {
    let cancelled = version.kind() == PayoutKind::Cancel;
    let paid = if cancelled { 0 } else { payout.amount_sats };
    money::reserve(scope, &mut payout, paid, version.fee_sats, "settled");
    money::pay(scope, &payout);
    coins::unlock(scope, &payout);
    coins::spend(scope, &payout.id, version.inputs.iter());
    let outpoint = coins::change(version);
    // A child may have been settled before.
    let spent = scope.get(&keys::coin_spent(&outpoint)).is_some();
    if version.change_sats > 0 && !spent {
        let coin = ChangeCoin {
            outpoint: Some(outpoint.clone()),
            amount_sats: version.change_sats,
            address_index: version.change_index,
            block_height: seen.block_height,
            block_hash: seen.block_hash.clone(),
        };
        scope.put(keys::change_coin(&outpoint), &coin);
    }
    payout.settled_txid.clone_from(&version.txid);
    payout.settled = true;
    standing::count(scope, &payout, true);
    payout.set_state(if cancelled {
        PayoutState::Cancelled
    } else {
        PayoutState::Confirmed
    });
    let number = version.number;
    keep::save(scope, payout, &format!("Version {number} is settled."));
}
