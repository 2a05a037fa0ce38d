//! The end of a payout: six blocks deep, and what contradicts that later.

use dctrl_proto::v1::{
    ChangeCoin, Outpoint, PaymentView, Payout, PayoutInput, PayoutKind, PayoutSpend, PayoutState,
    PayoutVersion,
};

use super::{DEPTH, belief, coins, is_over, keep, money, version_of};
use crate::keys;
use crate::scope::Scope;

/// Keeps a payout whose belief has been brought up to date; settles it where
/// a quorum of nodes sees it deep enough.
pub(super) fn settle(scope: &mut Scope<'_>, mut payout: Payout, detail: &str) {
    let seen = payout.seen.clone().unwrap_or_default();
    if payout.settled {
        let here = seen.view() == PaymentView::InBlock && seen.txid == payout.settled_txid;
        // Blocks may be others; the transaction must be in one of them.
        payout.frozen = !here;
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
        None => settle_conflict(scope, payout, &seen, detail),
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
    if version.change_sats > 0 {
        let outpoint = Outpoint {
            txid: version.txid.clone(),
            vout: version.change_vout,
        };
        let coin = ChangeCoin {
            outpoint: Some(outpoint.clone()),
            amount_sats: version.change_sats,
            address_index: version.change_index,
            block_height: seen.block_height,
        };
        scope.put(keys::change_coin(&outpoint), &coin);
    }
    payout.settled_txid.clone_from(&version.txid);
    payout.settled = true;
    payout.set_state(if cancelled {
        PayoutState::Cancelled
    } else {
        PayoutState::Confirmed
    });
    let number = version.number;
    keep::save(scope, payout, &format!("Version {number} is settled."));
}

/// Somebody has spent our coins otherwise. Where that leaves none of our
/// transactions possible the rest comes free; else people must look.
fn settle_conflict(scope: &mut Scope<'_>, mut payout: Payout, seen: &PayoutSpend, detail: &str) {
    let is_spent = |input: &PayoutInput| {
        let outpoint = input.outpoint.as_ref();
        outpoint.is_some_and(|outpoint| seen.spends.contains(outpoint))
    };
    let dead = |version: &PayoutVersion| version.inputs.iter().any(is_spent);
    if !payout.versions.iter().all(dead) {
        payout.frozen = true;
        keep::save(scope, payout, detail);
        return;
    }
    let inputs = coins::inputs(&payout);
    let spent: Vec<&PayoutInput> = inputs.values().filter(|input| is_spent(input)).collect();
    let sats = spent.iter().map(|input| input.amount_sats).sum();
    money::reserve(scope, &mut payout, 0, 0, "invalidated");
    money::lose(scope, &payout, sats);
    coins::unlock(scope, &payout);
    coins::spend(scope, &payout.id, spent.into_iter());
    payout.lost_sats = sats;
    payout.settled_txid.clone_from(&seen.txid);
    payout.settled = true;
    payout.set_state(PayoutState::Invalidated);
    let txid = hex::encode(&seen.txid);
    keep::save(
        scope,
        payout,
        &format!("{txid} has spent {sats} sats of its inputs."),
    );
}
