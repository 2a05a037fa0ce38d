//! How vends end: the unit goes one way, the money the matching one.

use dctrl_proto::v1::Vend;
use dctrl_proto::v1::VendState::{self, Credited, Dispensed, Failed, Uncertain};

use super::step;
use crate::scope::Scope;
use crate::{books, stock};

/// Where the price of a vend lies before its end.
fn price_account(vend: &Vend) -> String {
    if vend.state() == Uncertain {
        books::held(vend)
    } else {
        books::vend(vend)
    }
}

/// The machine dispensed: the unit is sold and the price is earned.
pub(crate) fn dispensed(scope: &mut Scope<'_>, vend: &mut Vend, detail: &str) {
    let from = price_account(vend);
    books::transfer(
        scope,
        &vend.id,
        "sale",
        &from,
        books::SALES,
        vend.price_sats,
    );
    stock::sell(scope, vend);
    step(scope, vend, Dispensed, detail);
}

/// Nothing was dispensed: the unit goes back on sale, the payer is credited.
pub(crate) fn failed(scope: &mut Scope<'_>, vend: &mut Vend, reason: &str) {
    let from = price_account(vend);
    step(scope, vend, Failed, reason);
    credit(scope, vend, &from, reason);
}

/// Nobody can know: the price is held and the unit stays held.
pub(crate) fn uncertain(scope: &mut Scope<'_>, vend: &mut Vend, reason: &str) {
    let (from, to) = (books::vend(vend), books::held(vend));
    books::transfer(scope, &vend.id, "uncertain", &from, &to, vend.price_sats);
    step(scope, vend, Uncertain, reason);
}

/// An operator decides an uncertain vend.
pub(crate) fn decide(scope: &mut Scope<'_>, vend: &mut Vend, outcome: VendState, reason: &str) {
    assert_eq!(vend.state(), Uncertain, "only an uncertain vend is decided");
    match outcome {
        Dispensed => dispensed(scope, vend, reason),
        _ => {
            let from = price_account(vend);
            credit(scope, vend, &from, reason);
        }
    }
}

fn credit(scope: &mut Scope<'_>, vend: &mut Vend, from: &str, reason: &str) {
    let to = books::payer(vend);
    books::transfer(scope, &vend.id, "credit", from, &to, vend.price_sats);
    stock::release(scope, vend);
    vend.credited_sats += vend.price_sats;
    step(scope, vend, Credited, reason);
}
