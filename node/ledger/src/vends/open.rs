//! Vends that wait for money.

use dctrl_proto::v1::PaymentState::{Confirmed, Final, Seen};
use dctrl_proto::v1::VendState::{Authorised, Credited, Expired, PaymentSeen, Reserved, Underpaid};
use dctrl_proto::v1::{Outpoint, Payment, Vend};

use super::{SEEN_WAIT_MS, is_open, step, window};
use crate::scope::Scope;
use crate::{StateRead, books, keys, stock, tables};

/// Payments to one vend that are looked at for what is on its way.
const PENDING_MAX: usize = 1000;

/// Brings a vend that waits for money in line with what has come and what is
/// on its way. The outcome does not depend on the order of arrival.
pub(crate) fn reconsider(scope: &mut Scope<'_>, vend: &mut Vend) {
    assert!(is_open(vend.state()), "vend {} waits for no money", vend.id);
    if vend.received_sats >= vend.price_sats {
        authorise(scope, vend);
        return;
    }
    let pending_sats = pending_sats(scope, vend);
    let now_ms = scope.time_ms();
    let enough_on_its_way = vend.received_sats + pending_sats >= vend.price_sats;
    if now_ms >= vend.expires_at_ms
        && !(enough_on_its_way && now_ms < vend.expires_at_ms + SEEN_WAIT_MS)
    {
        close(scope, vend);
        return;
    }
    let (state, detail) = if pending_sats > 0 {
        (
            PaymentSeen,
            format!("{pending_sats} sats are on their way."),
        )
    } else if vend.received_sats > 0 {
        let missing = vend.price_sats - vend.received_sats;
        (Underpaid, format!("{missing} sats are missing."))
    } else {
        (Reserved, "The payment is gone.".to_owned())
    };
    if state != vend.state() {
        step(scope, vend, state, &detail);
    }
}

/// What is seen or confirmed, and not counted yet.
fn pending_sats(scope: &Scope<'_>, vend: &Vend) -> u64 {
    scope
        .scan(&keys::payments_of_vend(&vend.id), None, PENDING_MAX)
        .iter()
        .map(|(key, value)| tables::decode::<Outpoint>(key, value))
        .filter_map(|outpoint| tables::payment(scope, &outpoint))
        .filter(|payment| !payment.booked && is_live(payment))
        .map(|payment| payment.amount_sats)
        .sum()
}

fn is_live(payment: &Payment) -> bool {
    matches!(payment.state(), Seen | Confirmed | Final)
}

/// The price is covered: the surplus becomes the payer's credit, and the vend
/// waits for its machine.
fn authorise(scope: &mut Scope<'_>, vend: &mut Vend) {
    if vend.state() == Reserved {
        // Deep at first sight; people still see the payment as a step.
        step(
            scope,
            vend,
            PaymentSeen,
            "The payment was found in a block.",
        );
    }
    let surplus = vend.received_sats - vend.price_sats;
    let (from, to) = (books::vend(vend), books::payer(vend));
    books::transfer(scope, &vend.id, "surplus", &from, &to, surplus);
    vend.credited_sats += surplus;
    let detail = if surplus > 0 {
        format!("Paid; {surplus} sats more than the price were credited.")
    } else {
        "Paid.".to_owned()
    };
    step(scope, vend, Authorised, &detail);
    window::enqueue(scope, vend);
}

/// Too late: the unit goes back on sale, and what has come is credited.
fn close(scope: &mut Scope<'_>, vend: &mut Vend) {
    stock::release(scope, vend);
    let held = vend.received_sats;
    if held == 0 {
        step(scope, vend, Expired, "No payment came in time.");
        return;
    }
    let (from, to) = (books::vend(vend), books::payer(vend));
    books::transfer(scope, &vend.id, "underpaid", &from, &to, held);
    vend.credited_sats += held;
    let detail = format!("Underpaid; {held} sats were credited.");
    step(scope, vend, Credited, &detail);
}
