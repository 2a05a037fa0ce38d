//! Orders, receipts and what a machine may say.

use crate::common::{Federation, MACHINE, OPERATOR, OTHER_MACHINE, PRICE};
use dctrl_ledger::query;
use dctrl_proto::order::order_hash;
use dctrl_proto::v1::VendState::{
    self, Accepted, Authorised, Credited, Dispatched, Dispensed, Failed, Uncertain,
};
use dctrl_proto::v1::bus_body::Event;
use dctrl_proto::v1::{MachineHeartbeat, MachineReport, MachineReset, Outcome, Vend, VendResolve};
use prost::Message;

const TAB: &str = "liability:tab:alice";
/// The order's window, the drift of a slow clock, and time for the receipt.
const TIMEOUT_MS: u64 = 30_000 + 15 + 5000;

/// After which a machine counts as silent, where a test is about that.
const HEARTBEAT_MS_MAX: u32 = 60_000;

fn resolve(vend: &Vend, outcome: VendState) -> VendResolve {
    VendResolve {
        vend_id: vend.id.clone(),
        outcome: outcome.into(),
        reason: "looked inside".into(),
    }
}

fn reset() -> MachineReset {
    MachineReset {
        machine_id: "m1".into(),
        key: Vec::new(),
    }
}

#[test]
fn an_order_says_everything_the_machine_checks() {
    let mut federation = Federation::new();
    let vend = federation.dispatched();
    let order = federation.order();
    assert_eq!(order.domain, "dctrl/vend/1");
    assert_eq!(order.cluster, federation.cluster);
    assert_eq!((order.incarnation, order.sequence), (1, 1));
    assert_eq!((&*order.machine_id, &*order.slot), ("m1", "A1"));
    assert_eq!(order.expires_at_ms, order.issued_at_ms + 30_000);
    assert_eq!(vend.order_hash, order_hash(&order.encode_to_vec()));
}

#[test]
fn a_machine_has_one_order_at_a_time_and_serves_the_oldest_first() {
    let mut federation = Federation::new();
    let first = federation.dispatched();
    let second = federation.quote();
    let third = federation.quote();
    federation.pay(&third, 3, PRICE);
    federation.pay(&second, 2, PRICE);
    assert_eq!(federation.state_of(&second), Authorised);
    federation.finish(&first, Outcome::Dispensed);
    assert_eq!(federation.state_of(&third), Dispatched, "paid first");
    assert_eq!(federation.vend(&third.id).sequence, 2);
    assert_eq!(federation.state_of(&second), Authorised);
    federation.finish(&third, Outcome::Failed);
    assert_eq!(federation.state_of(&second), Dispatched);
}

#[test]
fn a_failed_vend_is_credited_and_its_unit_is_on_sale_again() {
    for outcome in [Outcome::Failed, Outcome::Expired] {
        let mut federation = Federation::new();
        let vend = federation.dispatched();
        federation.finish(&vend, outcome);
        let path = federation.path(&vend);
        assert_eq!(path[path.len() - 2..], [Failed, Credited]);
        assert_eq!(federation.balance(TAB), -1500);
        assert_eq!(federation.stock(), (10, 0, 0));
    }
}

#[test]
fn an_unknown_outcome_is_held_until_an_operator_decides() {
    for (outcome, sales, credit, stock) in [
        (Dispensed, -1500, 0, (9, 0, 1)),
        (Credited, 0, -1500, (10, 0, 0)),
    ] {
        let mut federation = Federation::new();
        let vend = federation.dispatched();
        federation.finish(&vend, Outcome::Unknown);
        assert_eq!(federation.state_of(&vend), Uncertain);
        let held = format!("liability:held:{}", vend.id);
        assert_eq!(federation.balance(&held), -1500);
        assert_eq!(federation.stock(), (9, 1, 0));
        federation
            .submit(OPERATOR, &resolve(&vend, outcome))
            .unwrap();
        assert_eq!(federation.state_of(&vend), outcome);
        assert_eq!(federation.balance("income:sales"), sales);
        assert_eq!(federation.balance(TAB), credit);
        assert_eq!(federation.stock(), stock);
        let again = federation.submit(OPERATOR, &resolve(&vend, Credited));
        assert_eq!(again.unwrap_err().rule, "vend.state");
    }
}

#[test]
fn without_receipt_an_order_becomes_uncertain_only_after_the_margin() {
    let mut federation = Federation::new();
    let vend = federation.dispatched();
    let timeout_ms = federation.order().issued_at_ms + TIMEOUT_MS;
    // Every block comes one millisecond after the one before.
    federation.wait(timeout_ms - federation.now_ms - 2);
    assert_eq!(federation.now_ms, timeout_ms - 1);
    assert_eq!(federation.state_of(&vend), Dispatched);
    federation.wait(0);
    assert_eq!(federation.state_of(&vend), Uncertain);
}

#[test]
fn a_late_receipt_decides_an_uncertain_vend() {
    let mut federation = Federation::new();
    let vend = federation.dispatched();
    federation.wait(TIMEOUT_MS);
    let refusal = federation.try_quote("A1").unwrap_err();
    assert_eq!(refusal.rule, "machine.uncertain");
    federation.finish(&vend, Outcome::Dispensed);
    assert_eq!(federation.state_of(&vend), Dispensed);
    assert!(federation.try_quote("A1").is_ok());
}

#[test]
fn a_receipt_after_the_operators_decision_only_frees_the_machine() {
    let mut federation = Federation::new();
    let vend = federation.dispatched();
    federation.wait(TIMEOUT_MS);
    federation
        .submit(OPERATOR, &resolve(&vend, Credited))
        .unwrap();
    federation.finish(&vend, Outcome::Dispensed);
    assert_eq!(federation.state_of(&vend), Credited);
    assert_eq!(federation.balance(TAB), -1500);
    assert_eq!(federation.balance("income:sales"), 0);
}

#[test]
fn an_accept_that_comes_late_changes_nothing() {
    let mut federation = Federation::new();
    let vend = federation.dispatched();
    federation.accept(&vend).unwrap();
    assert_eq!(federation.state_of(&vend), Accepted);
    federation.finish(&vend, Outcome::Dispensed);
    let before = federation.vend(&vend.id);
    federation.accept(&vend).unwrap();
    assert_eq!(federation.vend(&vend.id), before);
}

#[test]
fn the_same_receipt_twice_has_one_effect() {
    let mut federation = Federation::new();
    let vend = federation.dispatched();
    let receipt = federation.finish(&vend, Outcome::Dispensed);
    let before = federation.vend(&vend.id);
    federation.submit(MACHINE, &receipt).unwrap();
    assert_eq!(federation.vend(&vend.id), before);
    assert_eq!(federation.stock(), (9, 0, 1));
}

#[test]
fn two_different_receipts_put_the_machine_into_quarantine() {
    let mut federation = Federation::new();
    let vend = federation.dispatched();
    let mut receipt = federation.finish(&vend, Outcome::Failed);
    receipt.set_outcome(Outcome::Dispensed);
    federation.submit(MACHINE, &receipt).unwrap();
    assert_eq!(federation.state_of(&vend), Credited, "the first stays");
    let told = federation.outputs();
    assert!(
        told.iter()
            .any(|body| matches!(body.event, Some(Event::Evidence(_))))
    );
    let refusal = federation.try_quote("A1").unwrap_err();
    assert_eq!(refusal.rule, "machine.quarantined");
    federation.submit(OPERATOR, &reset()).unwrap();
    federation.heartbeat(true);
    assert!(federation.try_quote("A1").is_ok());
}

#[test]
fn receipts_form_a_chain_and_answer_their_own_order() {
    let mut federation = Federation::new();
    let vend = federation.dispatched();
    let good = federation.receipt(&vend, Outcome::Dispensed);
    let refused = |federation: &mut Federation, change: &dyn Fn(&mut _)| {
        let mut bad = good.clone();
        change(&mut bad);
        federation.submit(MACHINE, &bad).unwrap_err().rule
    };
    let bad = &mut federation;
    type R = dctrl_proto::v1::MachineReceipt;
    assert_eq!(
        refused(bad, &|r: &mut R| r.previous_receipt_hash = vec![1; 32]),
        "machine.receipt_chain"
    );
    assert_eq!(
        refused(bad, &|r: &mut R| r.order_hash = vec![1; 32]),
        "machine.order_hash"
    );
    assert_eq!(
        refused(bad, &|r: &mut R| r.sequence = 2),
        "machine.sequence"
    );
    assert_eq!(
        refused(bad, &|r: &mut R| r.incarnation = 2),
        "machine.incarnation"
    );
    let foreign = federation.submit(OTHER_MACHINE, &good).unwrap_err();
    assert_eq!(foreign.rule, "machine.own");
    assert_eq!(federation.state_of(&vend), Dispatched);
    federation.submit(MACHINE, &good).unwrap();
}

#[test]
fn a_reset_makes_the_order_that_was_out_uncertain_and_starts_anew() {
    let mut federation = Federation::new();
    let vend = federation.dispatched();
    let waiting = federation.quote();
    federation.pay(&waiting, 2, PRICE);
    federation.submit(OPERATOR, &reset()).unwrap();
    assert_eq!(federation.state_of(&vend), Uncertain);
    assert_eq!(federation.state_of(&waiting), Authorised);
    let machine = query::machine(&federation.state, "m1").unwrap();
    assert_eq!((machine.incarnation, machine.last_sequence), (2, 0));
    federation.receipt_hash = [0; 32];
    federation.heartbeat(true);
    assert_eq!(federation.state_of(&waiting), Dispatched);
    let order = federation.order();
    assert_eq!((order.incarnation, order.sequence), (2, 1));
}

#[test]
fn a_paid_vend_whose_machine_stays_busy_is_credited() {
    let mut federation = Federation::new();
    let _stuck = federation.dispatched();
    let waiting = federation.quote();
    federation.pay(&waiting, 2, PRICE);
    federation.wait(600_000);
    assert_eq!(federation.state_of(&waiting), Credited);
    assert_eq!(federation.balance(TAB), -1500);
}

#[test]
fn a_paid_vend_waits_for_a_silent_machine_and_goes_out_when_it_reports() {
    let mut federation = Federation::with(|genesis| {
        let policy = genesis.policy.as_mut().expect("the fixture has a policy");
        policy.heartbeat_ms_max = HEARTBEAT_MS_MAX;
    });
    federation.heartbeat(true);
    let vend = federation.quote();
    federation.wait(u64::from(HEARTBEAT_MS_MAX) + 1);
    federation.pay(&vend, 1, PRICE);
    assert_eq!(federation.state_of(&vend), Authorised, "nobody is there");
    federation.heartbeat(false);
    assert_eq!(federation.state_of(&vend), Authorised, "not ready");
    federation.heartbeat(true);
    assert_eq!(federation.state_of(&vend), Dispatched);
}

#[test]
fn a_heartbeat_is_answered_with_the_time_for_its_nonce() {
    let mut federation = Federation::new();
    federation.heartbeat(true);
    let told = federation.outputs();
    let beacon = told.iter().find_map(|body| match &body.event {
        Some(Event::Beacon(beacon)) => Some((body.topic.clone(), beacon.clone())),
        _ => None,
    });
    let (topic, beacon) = beacon.unwrap();
    assert_eq!(topic, "machine.m1.beacon");
    assert_eq!(
        (beacon.nonce, beacon.time_ms),
        (vec![7; 16], federation.now_ms)
    );
    let short = MachineHeartbeat {
        machine_id: "m1".into(),
        incarnation: 1,
        nonce: vec![1],
        ..MachineHeartbeat::default()
    };
    let refusal = federation.submit(MACHINE, &short).unwrap_err();
    assert_eq!(refusal.rule, "machine.nonce");
}

#[test]
fn reports_are_taken_in_once_and_in_order() {
    let mut federation = Federation::new();
    let report = |number| MachineReport {
        machine_id: "m1".into(),
        incarnation: 1,
        number,
        sensor: "door".into(),
        value: 1,
        observed_at_ms: 5,
    };
    federation.submit(MACHINE, &report(1)).unwrap();
    let repeated = federation.submit(MACHINE, &report(1)).unwrap_err();
    assert_eq!(repeated.code().as_str_name(), "EXISTS");
    let skipped = federation.submit(MACHINE, &report(3)).unwrap_err();
    assert!(
        skipped.message.contains("Report 2 was expected"),
        "{skipped}"
    );
    federation.submit(MACHINE, &report(2)).unwrap();
}
