//! Payments in the books: each outpoint is counted once, and what was counted
//! and then vanished is found again.
//!
//! A counted payment stands in `asset:bitcoin` while the chain has it, in
//! `asset:unconfirmed` while it waits for a block, and is taken from its payer
//! while it is in neither.

use dctrl_proto::v1::PaymentState::{self, Confirmed, Final, Reorged, Seen};
use dctrl_proto::v1::VendState::{Authorised, Expired, PaidLate, Reserved};
use dctrl_proto::v1::{Payment, Policy, Vend};

use super::risk;
use crate::money::COINBASE_DEPTH;
use crate::purse::{self, Purse};
use crate::scope::Scope;
use crate::vends::{at_stake_sats, is_open, leave_queue, note, step};
use crate::{books, tabs};

/// Payments listed in a vend's record; more are counted all the same.
const LISTED_MAX: usize = 64;

/// Where a counted payment stands; nowhere when it has vanished.
pub(crate) fn account(state: PaymentState) -> Option<&'static str> {
    match state {
        Confirmed | Final => Some(books::BITCOIN),
        Seen | Reorged => Some(books::UNCONFIRMED),
        _ => None,
    }
}

/// Brings the books in line with a payment to a vend, which was as `before`.
pub(super) fn follow(
    scope: &mut Scope<'_>,
    vend: &mut Vend,
    before: &Payment,
    payment: &mut Payment,
) {
    if payment.booked {
        let purse = Purse::of(vend);
        let dropped = payment.state() == Reorged && before.state() != Reorged;
        match (account(before.state()), account(payment.state())) {
            // No order rests on what the chain has dropped.
            (Some(from), _) if dropped && is_unordered(vend) => {
                uncount(scope, vend, payment, from);
            }
            (Some(from), None) => lose(scope, vend, payment, from),
            (from, to) => moved(scope, &purse, payment, from, to),
        }
    }
    if payment.booked {
        // Deep enough: nothing was risked in the end.
        payment.at_risk &= !is_deep(scope.policy(), payment);
        return;
    }
    let deep = is_deep(scope.policy(), payment);
    if deep || risk::is_taken(scope, vend, payment) {
        payment.booked = true;
        payment.at_risk = !deep;
        if payment.at_risk {
            risk::take(scope, vend, payment);
        }
        if is_open(vend.state()) {
            count(scope, vend, payment);
        } else {
            credit(scope, vend, payment);
        }
    }
}

/// Brings the books in line with a payment to a member's own address. It
/// counts when it is deep, and never before.
pub(super) fn follow_top_up(scope: &mut Scope<'_>, before: &Payment, payment: &mut Payment) {
    let purse = Purse::tab(&payment.member_id);
    if payment.booked {
        let (from, to) = (account(before.state()), account(payment.state()));
        moved(scope, &purse, payment, from, to);
    } else if is_deep(scope.policy(), payment) {
        payment.booked = true;
        let from = standing(payment);
        give(scope, payment, "top-up", from, &purse);
    }
}

/// A counted payment of a purse moves between chain, mempool and nowhere.
fn moved(
    scope: &mut Scope<'_>,
    purse: &Purse,
    payment: &Payment,
    from: Option<&str>,
    to: Option<&str>,
) {
    let sats = payment.amount_sats;
    match (from, to) {
        (Some(from), Some(to)) if from != to => {
            let reference = reference(payment);
            books::transfer(scope, &reference, "moved in the chain", to, from, sats);
        }
        (Some(from), None) => {
            let text = "gone from the chain";
            purse::take_back(scope, &reference(payment), text, from, purse, sats);
        }
        (None, Some(to)) => give(scope, payment, "back in the chain", to, purse),
        _ => {}
    }
}

fn give(scope: &mut Scope<'_>, payment: &Payment, text: &str, from: &str, purse: &Purse) {
    let sats = payment.amount_sats;
    purse::give(scope, &reference(payment), text, from, purse, sats);
}

fn reference(payment: &Payment) -> String {
    let outpoint = payment.outpoint.clone().unwrap_or_default();
    format!("{}:{}", hex::encode(&outpoint.txid), outpoint.vout)
}

fn standing(payment: &Payment) -> &'static str {
    account(payment.state()).expect("what counts is in the chain or the mempool")
}

/// Whether the payment is deep enough for its amount.
fn is_deep(policy: &Policy, payment: &Payment) -> bool {
    let least = if payment.coinbase { COINBASE_DEPTH } else { 0 };
    match payment.state() {
        Final => true,
        Confirmed => payment.confirmations >= depth(policy, payment.amount_sats).max(least),
        _ => false,
    }
}

/// Confirmations that an amount needs.
fn depth(policy: &Policy, sats: u64) -> u32 {
    let rule = policy.depths.iter().find(|rule| sats <= rule.sats_max);
    rule.or(policy.depths.last())
        .map_or(policy.final_depth, |rule| rule.confirmations)
}

/// Money for a vend that waits for it.
fn count(scope: &mut Scope<'_>, vend: &mut Vend, payment: &Payment) {
    let sats = payment.amount_sats;
    let (debit, credit) = (standing(payment), books::vend(vend));
    books::transfer(scope, &reference(payment), "received", debit, &credit, sats);
    vend.received_sats += sats;
    list(vend, payment);
}

/// Money for a vend that waits for none becomes the payer's credit.
fn credit(scope: &mut Scope<'_>, vend: &mut Vend, payment: &Payment) {
    let sats = payment.amount_sats;
    give(
        scope,
        payment,
        "credit",
        standing(payment),
        &Purse::of(vend),
    );
    vend.received_sats += sats;
    vend.credited_sats += sats;
    list(vend, payment);
    if vend.state() == Expired {
        let detail = format!("{sats} sats came too late and were credited.");
        step(scope, vend, PaidLate, &detail);
    } else {
        let detail = format!("{sats} sats more came and were credited.");
        note(scope, vend, &detail);
    }
}

fn list(vend: &mut Vend, payment: &Payment) {
    if vend.payments.len() < LISTED_MAX {
        vend.payments.extend(payment.outpoint.clone());
    }
}

/// Whether no order was issued yet, and one still may be.
fn is_unordered(vend: &Vend) -> bool {
    is_open(vend.state()) || vend.state() == Authorised
}

/// A counted payment has vanished. Before an order was issued it is simply
/// not counted any more; afterwards the payer owes it.
fn lose(scope: &mut Scope<'_>, vend: &mut Vend, payment: &mut Payment, from: &str) {
    if is_unordered(vend) {
        uncount(scope, vend, payment, from);
        return;
    }
    let purse = Purse::of(vend);
    moved(scope, &purse, payment, Some(from), None);
    if payment.at_risk {
        tabs::withdraw_zero_conf(scope, &purse);
    }
    let sats = payment.amount_sats;
    let detail = format!("A counted payment of {sats} sats is gone from the chain.");
    note(scope, vend, &detail);
}

/// Takes a payment out of a vend without order: from the surplus where the
/// price stays covered without it, otherwise from what lies for the vend first.
fn uncount(scope: &mut Scope<'_>, vend: &mut Vend, payment: &mut Payment, from: &str) {
    let sats = payment.amount_sats;
    let held = vend.received_sats - vend.credited_sats;
    let beyond = vend.state() == Authorised && sats <= vend.credited_sats;
    let out_of_vend = if beyond { 0 } else { sats.min(held) };
    let out_of_purse = sats - out_of_vend;
    let (reference, text) = (reference(payment), "gone from the chain");
    let account = books::vend(vend);
    books::transfer(scope, &reference, text, &account, from, out_of_vend);
    if out_of_purse > 0 {
        let purse = Purse::of(vend);
        purse::take_back(scope, &reference, text, from, &purse, out_of_purse);
    }
    vend.received_sats -= sats;
    vend.credited_sats -= out_of_purse;
    vend.payments
        .retain(|outpoint| Some(outpoint) != payment.outpoint.as_ref());
    payment.booked = false;
    payment.at_risk = false;
    if beyond {
        note(scope, vend, "A payment beyond the price is gone.");
    } else if vend.state() == Authorised {
        debug_assert!(held == at_stake_sats(vend), "a paid vend holds its price");
        vend.forgiven_sats = 0;
        leave_queue(scope, vend);
        step(scope, vend, Reserved, "A counted payment is gone.");
    }
}
