//! How vends end: the unit goes one way, the money the matching one.

use dctrl_proto::v1::VendState::{self, Credited, Dispensed, Failed, Uncertain};
use dctrl_proto::v1::{HeldReason, Vend};

use super::{at_stake_sats, note, step};
use crate::money::{self, DAY_MS};
use crate::purse::{self, Purse};
use crate::scope::Scope;
use crate::spent::Cap;
use crate::{books, keys, shares, stock};

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
        at_stake_sats(vend),
    );
    shares::accrue(scope, vend, at_stake_sats(vend));
    stock::sell(scope, vend);
    step(scope, vend, Dispensed, detail);
}

/// Nothing was dispensed: the unit goes back on sale, the payer is credited.
pub(crate) fn failed(scope: &mut Scope<'_>, vend: &mut Vend, reason: &str) {
    let from = price_account(vend);
    step(scope, vend, Failed, reason);
    stock::release(scope, vend);
    credit(scope, vend, &from, reason);
}

/// Nobody can know: the price is held and the unit stays held.
pub(crate) fn uncertain(scope: &mut Scope<'_>, vend: &mut Vend, reason: &str) {
    let (from, to) = (books::vend(vend), books::held(vend));
    let sats = at_stake_sats(vend);
    books::transfer(scope, &vend.id, "uncertain", &from, &to, sats);
    step(scope, vend, Uncertain, reason);
}

/// An operator decides an uncertain vend.
pub(crate) fn decide(scope: &mut Scope<'_>, vend: &mut Vend, outcome: VendState, reason: &str) {
    assert_eq!(vend.state(), Uncertain, "only an uncertain vend is decided");
    match outcome {
        Dispensed => dispensed(scope, vend, reason),
        _ => {
            let from = price_account(vend);
            stock::release(scope, vend);
            credit(scope, vend, &from, reason);
        }
    }
}

fn credit(scope: &mut Scope<'_>, vend: &mut Vend, from: &str, reason: &str) {
    let (purse, sats) = (Purse::of(vend), at_stake_sats(vend));
    purse::give(scope, &vend.id, "credit", from, &purse, sats);
    vend.credited_sats += sats;
    step(scope, vend, Credited, reason);
}

/// The time for which an uncertain price is held is over: the payer is
/// credited where that stays below the caps of the day, else people decide.
pub(super) fn release(scope: &mut Scope<'_>, vend: &mut Vend) {
    let cap = Cap {
        period_ms: DAY_MS,
        before: 0,
        sats_max: money::held_day_sats_max(scope.policy()),
    };
    let (now_ms, sats) = (scope.time_ms(), at_stake_sats(vend));
    let payer = keys::released(&Purse::of(vend).credit());
    let machine = keys::released(&vend.machine_id);
    if !cap.allows(scope, &payer, now_ms, sats) {
        vend.set_held_reason(HeldReason::HeldPayerCap);
        note(
            scope,
            vend,
            "The payer's cap of the day is reached: an operator decides.",
        );
        return;
    }
    if !cap.allows(scope, &machine, now_ms, sats) {
        vend.set_held_reason(HeldReason::HeldMachineCap);
        note(
            scope,
            vend,
            "The machine's cap of the day is reached: an operator decides.",
        );
        return;
    }
    cap.add(scope, payer, sats);
    cap.add(scope, machine, sats);
    // Nobody saw the unit, so it cannot be sold before somebody has counted.
    stock::write_off(scope, vend);
    let from = price_account(vend);
    credit(
        scope,
        vend,
        &from,
        "Nobody knows what the machine did; credited by itself.",
    );
}
