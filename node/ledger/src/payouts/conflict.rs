//! The chain holds, six blocks deep, what no transaction of a payout can stand
//! beside: somebody else has spent an input, or what made an input was replaced
//! by another transaction of its payer when the chain was reorganised.
//!
//! Where that leaves none of the payout's transactions possible it is over, and
//! the rest of its coins come free. Where only later versions took that input
//! up they are dropped, and the one before them is to be made again.

use dctrl_proto::v1::{Outpoint, Payout, PayoutInput, PayoutKind, PayoutSpend, PayoutState};

use super::{coins, current, keep, money};
use crate::scope::Scope;

/// Draws the conclusions of a conflict that is deep enough.
pub(super) fn settle(scope: &mut Scope<'_>, mut payout: Payout, seen: &PayoutSpend) {
    let takes = |input: &PayoutInput| is_taken(seen, input);
    let mut versions = payout.versions.iter();
    // A later version spends all that the one before spends.
    let first_dead = versions.position(|version| version.inputs.iter().any(takes));
    let detail = take(scope, &mut payout, seen);
    match first_dead {
        Some(0) => end(scope, payout, seen, &detail),
        Some(first) => drop_versions(scope, payout, first, &detail),
        // Its nodes speak of inputs that it has no more.
        None => keep::save(scope, payout, &detail),
    }
}

fn is_taken(seen: &PayoutSpend, input: &PayoutInput) -> bool {
    let among = |named: &[Outpoint]| input.outpoint.iter().any(|one| named.contains(one));
    among(&seen.spends) || among(&seen.gone)
}

/// The coins that were taken are no coins any more; what of them the books
/// still count is lost. Returns what to tell.
fn take(scope: &mut Scope<'_>, payout: &mut Payout, seen: &PayoutSpend) -> String {
    let mut lost = 0;
    let mut gone = 0;
    for input in coins::inputs(payout).values() {
        let outpoint = input.outpoint.clone().unwrap_or_default();
        if seen.spends.contains(&outpoint) {
            coins::spend(scope, &payout.id, std::iter::once(input));
            lost += input.amount_sats;
        } else if seen.gone.contains(&outpoint) {
            gone += input.amount_sats;
            if coins::vanish(scope, &payout.id, input) {
                lost += input.amount_sats;
            }
        }
    }
    money::lose(scope, payout, lost);
    payout.lost_sats += lost;
    let txid = hex::encode(&seen.txid);
    if gone == 0 {
        format!("{txid} has spent {lost} sats of its inputs.")
    } else {
        format!("{txid} stands where {gone} sats of its inputs were made.")
    }
}

/// None of its transactions can be mined any more.
fn end(scope: &mut Scope<'_>, mut payout: Payout, seen: &PayoutSpend, detail: &str) {
    money::reserve(scope, &mut payout, 0, 0, "invalidated");
    coins::unlock(scope, &payout);
    payout.settled_txid.clone_from(&seen.txid);
    payout.settled = true;
    payout.set_state(PayoutState::Invalidated);
    keep::save(scope, payout, detail);
}

/// The versions from `first` on can never be mined; those before can.
fn drop_versions(scope: &mut Scope<'_>, mut payout: Payout, first: usize, detail: &str) {
    coins::unlock(scope, &payout);
    let dropped = payout.versions.split_off(first);
    payout.versions_dropped += u32::try_from(dropped.len()).expect("a payout has few versions");
    let version = current(&payout).clone();
    coins::lock(scope, &mut payout, &version);
    let paid = match version.kind() {
        PayoutKind::Cancel => 0,
        _ => payout.amount_sats,
    };
    money::reserve(scope, &mut payout, paid, version.fee_sats, detail);
    // What was said is about inputs that it has no more.
    payout.votes.clear();
    payout.seen = None;
    keep::save(scope, payout, detail);
}
