//! Payments in the books: each outpoint is counted once, and what was counted
//! and then vanished is found again.
//!
//! A booked payment stands in `asset:bitcoin` while the chain has it and in
//! `asset:receivable` while it does not.

use dctrl_proto::v1::PaymentState::{self, Confirmed, Final, Reorged, Replaced, Seen};
use dctrl_proto::v1::VendState::{Authorised, Expired, PaidLate, Reserved};
use dctrl_proto::v1::{Payment, Policy, Vend};

use super::belief::seen_by;
use crate::books;
use crate::scope::Scope;
use crate::vends::{is_open, leave_queue, note, step};

/// Payments listed in a vend's record; more are counted all the same.
const LISTED_MAX: usize = 64;

/// Was believed, and is not in the chain or the mempool now.
pub(crate) fn is_gone(state: PaymentState) -> bool {
    matches!(state, Replaced | Reorged)
}

/// Brings the books in line with the payment, which was as `before`.
pub(super) fn follow(
    scope: &mut Scope<'_>,
    vend: &mut Vend,
    before: &Payment,
    payment: &mut Payment,
) {
    match (is_gone(before.state()), is_gone(payment.state())) {
        (false, true) if payment.booked => lose(scope, vend, payment),
        (true, false) if payment.booked => {
            let (debit, credit) = (books::BITCOIN, books::RECEIVABLE);
            let text = "back in the chain";
            transfer(scope, payment, text, debit, credit);
        }
        _ => {}
    }
    if !payment.booked && is_enough(scope, vend, payment) {
        payment.booked = true;
        if is_open(vend.state()) {
            count(scope, vend, payment);
        } else {
            credit(scope, vend, payment);
        }
    }
}

fn reference(payment: &Payment) -> String {
    let outpoint = payment.outpoint.clone().unwrap_or_default();
    format!("{}:{}", hex::encode(&outpoint.txid), outpoint.vout)
}

/// Books the payment's amount.
fn transfer(scope: &mut Scope<'_>, payment: &Payment, text: &str, debit: &str, credit: &str) {
    let reference = reference(payment);
    books::transfer(scope, &reference, text, debit, credit, payment.amount_sats);
}

/// Whether the payment counts: deep enough for its amount, or taken on trust.
fn is_enough(scope: &Scope<'_>, vend: &Vend, payment: &Payment) -> bool {
    let policy = scope.policy();
    match payment.state() {
        Final => true,
        Confirmed if payment.confirmations >= depth(policy, payment.amount_sats) => true,
        Seen | Confirmed => {
            vend.price_sats <= policy.zero_conf_sats_max
                && is_open(vend.state())
                && scope.time_ms() < vend.expires_at_ms
                && vend.received_sats + payment.amount_sats >= vend.price_sats
                && seen_by(payment) >= scope.federation().quorum()
        }
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
    let credit = books::vend(vend);
    transfer(scope, payment, "received", books::BITCOIN, &credit);
    vend.received_sats += sats;
    list(vend, payment);
}

/// Money for a vend that waits for none becomes the payer's credit.
fn credit(scope: &mut Scope<'_>, vend: &mut Vend, payment: &Payment) {
    let sats = payment.amount_sats;
    let credit = books::payer(vend);
    transfer(scope, payment, "credit", books::BITCOIN, &credit);
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

/// A counted payment has vanished. Before an order was issued it is simply
/// not counted any more; afterwards somebody owes it.
fn lose(scope: &mut Scope<'_>, vend: &mut Vend, payment: &mut Payment) {
    if is_open(vend.state()) || vend.state() == Authorised {
        uncount(scope, vend, payment);
        return;
    }
    let sats = payment.amount_sats;
    let (debit, credit) = (books::RECEIVABLE, books::BITCOIN);
    transfer(scope, payment, "gone from the chain", debit, credit);
    let detail = format!("A counted payment of {sats} sats is gone from the chain.");
    note(scope, vend, &detail);
}

fn uncount(scope: &mut Scope<'_>, vend: &mut Vend, payment: &mut Payment) {
    let sats = payment.amount_sats;
    let before = Split::of(vend);
    vend.received_sats -= sats;
    vend.payments
        .retain(|outpoint| Some(outpoint) != payment.outpoint.as_ref());
    let still_paid = vend.state() == Authorised && vend.received_sats >= vend.price_sats;
    vend.credited_sats = if still_paid {
        vend.received_sats - vend.price_sats
    } else {
        // Earlier credit counts towards the price again.
        0
    };
    let after = Split::of(vend);
    let postings = [
        (books::BITCOIN, -books::signed(sats)),
        (&*books::vend(vend), before.held - after.held),
        (&*books::payer(vend), before.credited - after.credited),
    ];
    let reference = reference(payment);
    books::post(scope, &reference, "gone from the chain", &postings);
    payment.booked = false;
    if still_paid {
        note(scope, vend, "A payment beyond the price is gone.");
    } else if vend.state() == Authorised {
        leave_queue(scope, vend);
        step(scope, vend, Reserved, "A counted payment is gone.");
    }
}

/// What has been received for a vend before its order: held for the price,
/// or the payer's credit.
struct Split {
    held: i64,
    credited: i64,
}

impl Split {
    fn of(vend: &Vend) -> Self {
        let credited = books::signed(vend.credited_sats);
        Self {
            held: books::signed(vend.received_sats) - credited,
            credited,
        }
    }
}
