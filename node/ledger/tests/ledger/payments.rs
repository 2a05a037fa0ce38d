//! The grid of payments: what comes, when, how much, and whether it stays.

use crate::common::{Federation, NODES, PRICE, absent, in_block, payment, tip};
use dctrl_ledger::query;
use dctrl_proto::v1::VendState::{
    Accepted, Authorised, Credited, Dispatched, Dispensed, Expired, PaidLate, PaymentSeen, Quoted,
    Reserved, Underpaid,
};
use dctrl_proto::v1::{MoneyPolicy, Outcome, Payment, PaymentObserve, PaymentState};

const TAB: &str = "liability:tab:alice";
const DEBT: &str = "asset:debt:tab:alice";

fn stored(federation: &Federation, payment: &PaymentObserve) -> Payment {
    let outpoint = payment.outpoint.clone().unwrap();
    query::payment(&federation.state, &outpoint).unwrap()
}

fn with_zero_conf(sats_max: u64) -> Federation {
    Federation::with(|genesis| {
        let policy = genesis.policy.as_mut().unwrap();
        policy.zero_conf_sats_max = sats_max;
        policy.money = Some(MoneyPolicy {
            zero_conf_wait_ms: Some(0),
            ..MoneyPolicy::default()
        });
    })
}

#[test]
fn an_exact_payment_in_time_sells_one_unit() {
    let mut federation = Federation::new();
    let vend = federation.quote();
    federation.pay(&vend, 1, PRICE);
    federation.accept(&vend).unwrap();
    federation.finish(&vend, Outcome::Dispensed);
    assert_eq!(
        federation.path(&vend),
        [
            Quoted,
            Reserved,
            PaymentSeen,
            Authorised,
            Dispatched,
            Accepted,
            Dispensed
        ]
    );
    assert_eq!(federation.balance("asset:bitcoin"), 1500);
    assert_eq!(federation.balance("income:sales"), -1500);
    assert_eq!(federation.stock(), (9, 0, 1));
}

#[test]
fn one_node_alone_makes_no_payment_seen() {
    let mut federation = Federation::new();
    let vend = federation.quote();
    let paid = payment(&vend, 1, PRICE);
    federation.see(&NODES[..1], &paid);
    assert_eq!(federation.state_of(&vend), Reserved);
    federation.see(&NODES[1..2], &paid);
    assert_eq!(federation.state_of(&vend), PaymentSeen);
}

#[test]
fn a_payment_counts_only_at_the_depth_its_amount_needs() {
    let mut federation = Federation::new();
    let vend = federation.quote();
    let paid = payment(&vend, 1, 500_000);
    federation.confirm(&paid, 100);
    federation.tip(101);
    assert_eq!(federation.state_of(&vend), PaymentSeen);
    assert_eq!(stored(&federation, &paid).confirmations, 2);
    federation.tip(102);
    assert_eq!(federation.state_of(&vend), Dispatched);
}

#[test]
fn without_agreed_tip_a_payment_in_a_block_does_not_count() {
    let mut federation = Federation::new();
    let vend = federation.quote();
    let paid = payment(&vend, 1, PRICE);
    federation.see(&NODES, &in_block(&paid, 100));
    for node in &NODES[..2] {
        federation.submit(*node, &tip(100)).unwrap();
    }
    assert_eq!(federation.state_of(&vend), PaymentSeen);
    federation.submit(NODES[2], &tip(100)).unwrap();
    assert_eq!(federation.state_of(&vend), Dispatched);
}

#[test]
fn an_underpaid_vend_waits_for_the_rest() {
    let mut federation = Federation::new();
    let vend = federation.quote();
    federation.pay(&vend, 1, 500);
    assert_eq!(federation.state_of(&vend), Underpaid);
    assert_eq!(
        federation.balance(&format!("liability:vend:{}", vend.id)),
        -500
    );
    federation.pay(&vend, 2, 1000);
    assert_eq!(federation.state_of(&vend), Dispatched);
    assert_eq!(federation.balance(TAB), 0);
}

#[test]
fn an_underpaid_vend_is_credited_when_its_time_is_over() {
    let mut federation = Federation::new();
    let vend = federation.quote();
    federation.pay(&vend, 1, 500);
    federation.wait(600_000);
    assert_eq!(federation.path(&vend)[3..], [Underpaid, Credited]);
    assert_eq!(federation.balance(TAB), -500);
    assert_eq!(federation.stock(), (10, 0, 0));
}

#[test]
fn a_surplus_is_credited_to_the_payer() {
    let mut federation = Federation::new();
    let vend = federation.quote();
    federation.pay(&vend, 1, PRICE + 77);
    assert_eq!(federation.state_of(&vend), Dispatched);
    assert_eq!(federation.balance(TAB), -77);
    assert_eq!(federation.vend(&vend.id).credited_sats, 77);
}

#[test]
fn a_guests_surplus_becomes_a_claim_on_the_vend() {
    let mut federation = Federation::new();
    let vend = federation.guest_quote();
    federation.pay(&vend, 1, PRICE + 77);
    let claim = format!("liability:claim:{}", vend.id);
    assert_eq!(federation.balance(&claim), -77);
}

#[test]
fn of_two_payments_to_one_quote_the_second_is_credited() {
    for second_before_dispense in [true, false] {
        let mut federation = Federation::new();
        let vend = federation.quote();
        federation.pay(&vend, 1, PRICE);
        if second_before_dispense {
            federation.pay(&vend, 2, PRICE);
        }
        federation.finish(&vend, Outcome::Dispensed);
        if !second_before_dispense {
            federation.pay(&vend, 2, PRICE);
        }
        assert_eq!(federation.state_of(&vend), Dispensed);
        assert_eq!(federation.balance(TAB), -1500);
        assert_eq!(federation.stock(), (9, 0, 1), "one unit only");
    }
}

#[test]
fn a_late_payment_is_credited_and_nothing_is_dispensed() {
    let mut federation = Federation::new();
    let vend = federation.quote();
    federation.wait(600_000);
    assert_eq!(federation.state_of(&vend), Expired);
    federation.pay(&vend, 1, PRICE);
    assert_eq!(federation.state_of(&vend), PaidLate);
    assert_eq!(federation.balance(TAB), -1500);
    assert_eq!(federation.stock(), (10, 0, 0));
    federation.pay(&vend, 2, 20);
    assert_eq!(federation.balance(TAB), -1520);
}

#[test]
fn a_payment_seen_in_time_may_confirm_after_the_expiry() {
    let mut federation = Federation::new();
    let vend = federation.quote();
    let paid = payment(&vend, 1, PRICE);
    federation.see(&NODES, &paid);
    federation.wait(600_000);
    assert_eq!(federation.state_of(&vend), PaymentSeen);
    federation.confirm(&paid, 100);
    assert_eq!(federation.state_of(&vend), Dispatched);
}

#[test]
fn a_payment_that_never_confirms_holds_the_unit_for_a_day_only() {
    let mut federation = Federation::new();
    let vend = federation.quote();
    let paid = payment(&vend, 1, PRICE);
    federation.see(&NODES, &paid);
    federation.wait(600_000 + 24 * 3600 * 1000);
    assert_eq!(federation.state_of(&vend), Expired);
    assert_eq!(federation.stock(), (10, 0, 0));
    federation.confirm(&paid, 100);
    assert_eq!(federation.state_of(&vend), PaidLate);
}

#[test]
fn a_payment_replaced_before_it_counts_leaves_the_quote_open() {
    let mut federation = Federation::new();
    let vend = federation.quote();
    let paid = payment(&vend, 1, PRICE);
    federation.see(&NODES, &paid);
    federation.see(&NODES, &absent(&paid));
    assert_eq!(stored(&federation, &paid).state(), PaymentState::Replaced);
    assert_eq!(federation.state_of(&vend), Reserved);
    assert_eq!(federation.balance("asset:bitcoin"), 0);
    federation.pay(&vend, 2, PRICE);
    assert_eq!(federation.state_of(&vend), Dispatched);
}

#[test]
fn a_small_price_is_sold_unconfirmed_when_a_quorum_sees_the_payment() {
    let mut federation = with_zero_conf(PRICE);
    let vend = federation.quote();
    let paid = payment(&vend, 1, PRICE);
    federation.see(&NODES[..2], &paid);
    assert_eq!(federation.state_of(&vend), PaymentSeen);
    federation.see(&NODES[2..3], &paid);
    assert_eq!(federation.state_of(&vend), Dispatched);
    federation.confirm(&paid, 100);
    assert_eq!(federation.balance("asset:bitcoin"), 1500, "counted once");
}

#[test]
fn a_price_above_the_limit_is_never_sold_unconfirmed() {
    let mut federation = with_zero_conf(PRICE - 1);
    let vend = federation.quote();
    federation.see(&NODES, &payment(&vend, 1, PRICE));
    assert_eq!(federation.state_of(&vend), PaymentSeen);
}

#[test]
fn a_payment_replaced_after_the_vend_is_owed_by_the_payer() {
    let mut federation = with_zero_conf(PRICE);
    let vend = federation.quote();
    let paid = payment(&vend, 1, PRICE);
    federation.see(&NODES, &paid);
    federation.finish(&vend, Outcome::Dispensed);
    federation.see(&NODES, &absent(&paid));
    assert_eq!(federation.state_of(&vend), Dispensed);
    assert_eq!(federation.balance(DEBT), 1500);
    assert_eq!(federation.balance("asset:unconfirmed"), 0);
}

#[test]
fn a_payment_replaced_while_its_vend_waits_for_the_machine_stops_the_vend() {
    let mut federation = with_zero_conf(2 * PRICE);
    let first = federation.quote();
    federation.see(&NODES, &payment(&first, 1, PRICE));
    let second = federation.quote();
    let paid = payment(&second, 2, PRICE + 100);
    federation.see(&NODES, &paid);
    assert_eq!(federation.state_of(&second), Authorised);
    assert_eq!(federation.balance(TAB), -100);
    federation.see(&NODES, &absent(&paid));
    assert_eq!(federation.state_of(&second), Reserved);
    assert_eq!(federation.balance(TAB), 0);
    federation.finish(&first, Outcome::Dispensed);
    assert_eq!(
        federation.state_of(&second),
        Reserved,
        "no order without money"
    );
}

#[test]
fn a_payment_beyond_the_price_that_vanishes_takes_its_credit_along() {
    let mut federation = with_zero_conf(PRICE);
    let first = federation.quote();
    federation.see(&NODES, &payment(&first, 1, PRICE));
    let second = federation.quote();
    federation.see(&NODES, &payment(&second, 2, PRICE));
    let more = federation.pay(&second, 3, 300);
    assert_eq!(federation.balance(TAB), -300);
    federation.see(&NODES, &more);
    assert_eq!(federation.state_of(&second), Authorised);
    assert_eq!(federation.balance(TAB), 0);
    assert_eq!(federation.vend(&second.id).received_sats, PRICE);
}

#[test]
fn a_reorganised_payment_waits_until_it_is_mined_again_and_counts_once() {
    let mut federation = Federation::new();
    let vend = federation.quote();
    let paid = federation.pay(&vend, 1, PRICE);
    federation.finish(&vend, Outcome::Dispensed);
    federation.see(&NODES, &paid);
    assert_eq!(stored(&federation, &paid).state(), PaymentState::Reorged);
    assert_eq!(federation.balance("asset:unconfirmed"), 1500);
    assert_eq!(federation.balance("asset:bitcoin"), 0);
    federation.confirm(&paid, 101);
    assert_eq!(stored(&federation, &paid).state(), PaymentState::Confirmed);
    assert_eq!(federation.balance("asset:unconfirmed"), 0);
    assert_eq!(federation.balance("asset:bitcoin"), 1500);
    assert_eq!(federation.balance(TAB), 0);
}

#[test]
fn a_payment_deep_enough_becomes_final() {
    let mut federation = Federation::new();
    let vend = federation.quote();
    let paid = federation.pay(&vend, 1, PRICE);
    federation.tip(105);
    let payment = stored(&federation, &paid);
    assert_eq!(
        (payment.state(), payment.confirmations),
        (PaymentState::Final, 6)
    );
}

#[test]
fn an_amount_that_one_node_invents_is_not_counted() {
    let mut federation = Federation::new();
    let vend = federation.quote();
    let mut lie = payment(&vend, 1, PRICE * 100);
    federation.see(&NODES[..1], &lie);
    lie.amount_sats = PRICE;
    federation.see(&NODES[1..], &lie);
    federation.confirm(&lie, 100);
    assert_eq!(federation.balance("asset:bitcoin"), 1500);
    assert_eq!(federation.balance(TAB), 0);
}

#[test]
fn a_payment_to_an_address_that_was_never_issued_is_refused() {
    let mut federation = Federation::new();
    let mut vend = federation.quote();
    vend.address_index = 9;
    let refusal = federation
        .submit(NODES[0], &payment(&vend, 1, 1))
        .unwrap_err();
    assert_eq!(refusal.rule, "payment.address");
    let known = federation.submit(
        NODES[0],
        &absent(&payment(&federation.vend(&vend.id), 1, 1)),
    );
    assert_eq!(known.unwrap_err().rule, "payment.outpoint");
}
