//! Held credit: what becomes of a price when nobody knows what the machine did.

use crate::common::{Federation, OPERATOR, PRICE};
use crate::tabs::{DAY_MS, TAB, buy, cash};
use dctrl_ledger::query;
use dctrl_proto::v1::VendState::{Credited, Dispensed, Uncertain};
use dctrl_proto::v1::{HeldReason, MoneyPolicy, Outcome, Vend, VendResolve, VendState};

/// A vend on the tab whose end nobody knows.
fn uncertain(federation: &mut Federation) -> Vend {
    let vend = buy(federation).unwrap();
    federation.finish(&vend, Outcome::Unknown);
    assert_eq!(federation.state_of(&vend), Uncertain);
    vend
}

fn with_held(sats: u64) -> Federation {
    let mut federation = Federation::with(|genesis| {
        genesis.policy.as_mut().unwrap().money = Some(MoneyPolicy {
            held_day_sats_max: Some(sats),
            ..MoneyPolicy::default()
        });
    });
    cash(&mut federation, "alice", 4500).unwrap();
    federation
}

fn held_reason(federation: &Federation, vend: &Vend) -> (VendState, HeldReason) {
    let vend = federation.vend(&vend.id);
    (vend.state(), vend.held_reason())
}

#[test]
fn held_credit_is_released_after_a_day_below_the_caps_and_listed_above_them() {
    let mut federation = with_held(PRICE);
    let first = uncertain(&mut federation);
    let second = uncertain(&mut federation);
    let listed = |federation: &Federation| query::uncertain(&federation.state, 10, "", "m1").rows;
    assert_eq!(listed(&federation).len(), 2);
    federation.wait(DAY_MS - 60_000);
    assert_eq!(
        held_reason(&federation, &first),
        (Uncertain, HeldReason::HeldWaits)
    );
    federation.wait(60_000);
    let mut ends = [&first, &second].map(|vend| held_reason(&federation, vend));
    ends.sort_by_key(|(state, _)| *state as i32);
    assert_eq!(
        ends,
        [
            (Uncertain, HeldReason::HeldPayerCap),
            (Credited, HeldReason::Unspecified)
        ]
    );
    assert_eq!(federation.balance(TAB), -3000);
    assert_eq!(listed(&federation).len(), 1);
    // The unit of the one that was released counts as missing.
    assert_eq!(federation.stock(), (8, 1, 0));
    let rest = listed(&federation).remove(0);
    let resolve = VendResolve {
        vend_id: rest.id,
        outcome: Dispensed.into(),
        reason: "seen on the camera".into(),
    };
    federation.submit(OPERATOR, &resolve).unwrap();
    assert!(listed(&federation).is_empty());
}

#[test]
fn without_a_cap_nothing_is_released_by_itself() {
    let mut federation = with_held(0);
    let vend = uncertain(&mut federation);
    federation.wait(3 * DAY_MS);
    assert_eq!(
        held_reason(&federation, &vend),
        (Uncertain, HeldReason::HeldPayerCap)
    );
    let held = format!("liability:held:{}", vend.id);
    assert_eq!(federation.balance(&held), -1500);
}

#[test]
fn a_receipt_that_comes_after_the_release_changes_no_money() {
    let mut federation = with_held(10_000);
    let vend = buy(&mut federation).unwrap();
    federation.wait(60_000);
    assert_eq!(federation.state_of(&vend), Uncertain, "no receipt");
    federation.wait(DAY_MS);
    assert_eq!(federation.state_of(&vend), Credited);
    federation.finish(&vend, Outcome::Dispensed);
    assert_eq!(federation.state_of(&vend), Credited);
    assert_eq!(federation.balance("income:sales"), 0);
    assert_eq!(federation.balance(TAB), -4500);
}
