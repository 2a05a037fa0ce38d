//! Vends that wait for money.

use dctrl_proto::v1::PaymentState::{Confirmed, Final, Seen};
use dctrl_proto::v1::VendState::{Authorised, Credited, Expired, PaymentSeen, Reserved, Underpaid};
use dctrl_proto::v1::{Payment, Policy, Vend};

use super::{SEEN_WAIT_MS, is_open, step, window};
use crate::purse::{self, Purse};
use crate::scope::Scope;
use crate::{books, money, payments, stock};

/// What lies for the vend in the books while it waits.
fn unspent_sats(vend: &Vend) -> u64 {
    vend.received_sats - vend.credited_sats
}

/// What a paid vend moves when it ends: its price, less what was forgiven.
pub(crate) fn at_stake_sats(vend: &Vend) -> u64 {
    vend.price_sats - vend.forgiven_sats
}

/// What must still come until the vend counts as paid.
pub(crate) fn missing_sats(policy: &Policy, vend: &Vend) -> u64 {
    let least = vend.price_sats - money::forgivable_sats(policy, vend.price_sats);
    least.saturating_sub(unspent_sats(vend))
}

/// Brings a vend that waits for money in line with what has come and what is
/// on its way. The outcome does not depend on the order of arrival.
pub(crate) fn reconsider(scope: &mut Scope<'_>, vend: &mut Vend) {
    assert!(is_open(vend.state()), "vend {} waits for no money", vend.id);
    let missing = missing_sats(scope.policy(), vend);
    if missing == 0 {
        authorise(scope, vend);
        return;
    }
    let pending_sats = pending_sats(scope, vend);
    let now_ms = scope.time_ms();
    let enough_on_its_way = pending_sats >= missing;
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
    } else if unspent_sats(vend) > 0 {
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
    payments::pending(scope, vend)
        .iter()
        .filter(|payment| is_live(payment))
        .fold(0, |sum, payment| sum.saturating_add(payment.amount_sats))
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
    let surplus = unspent_sats(vend).saturating_sub(vend.price_sats);
    vend.forgiven_sats = vend.price_sats.saturating_sub(unspent_sats(vend));
    credit(scope, vend, "surplus", surplus);
    let detail = match (surplus, vend.forgiven_sats) {
        (0, 0) => "Paid.".to_owned(),
        (0, forgiven) => format!("Paid; {forgiven} sats were missing and forgiven."),
        _ => format!("Paid; {surplus} sats more than the price were credited."),
    };
    step(scope, vend, Authorised, &detail);
    window::enqueue(scope, vend);
}

/// Too late: the unit goes back on sale, and what has come is credited.
fn close(scope: &mut Scope<'_>, vend: &mut Vend) {
    stock::release(scope, vend);
    let held = unspent_sats(vend);
    if held == 0 {
        step(scope, vend, Expired, "No payment came in time.");
        return;
    }
    credit(scope, vend, "underpaid", held);
    let detail = format!("Underpaid; {held} sats were credited.");
    step(scope, vend, Credited, &detail);
}

/// What lies for the vend beyond its price becomes the payer's credit.
fn credit(scope: &mut Scope<'_>, vend: &mut Vend, text: &str, sats: u64) {
    if sats > 0 {
        let (from, purse) = (books::vend(vend), Purse::of(vend));
        purse::give(scope, &vend.id, text, &from, &purse, sats);
        vend.credited_sats += sats;
    }
}

/// Holds the price on the member's tab; the quote's guard saw that it is there.
pub(crate) fn pay_from_tab(scope: &mut Scope<'_>, vend: &mut Vend) {
    let (purse, to, price) = (Purse::of(vend), books::vend(vend), vend.price_sats);
    purse::spend(scope, &vend.id, "held on the tab", &purse, &to, price);
    vend.tab_sats = price;
    vend.received_sats = price;
    let detail = "The price is held on the tab.";
    step(scope, vend, Authorised, detail);
    window::enqueue(scope, vend);
}
