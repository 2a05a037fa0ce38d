//! Unconfirmed payments: what is trusted, how far, and what happens when the
//! trust was misplaced.

use crate::common::{ALICE, Federation, NODES, OPERATOR, PRICE, absent, payment};
use crate::grid::{DEBT, SECOND, TAB, expect, state_of, with_money};
use dctrl_ledger::query;
use dctrl_proto::v1::VendState::{Dispatched, Dispensed, PaymentSeen};
use dctrl_proto::v1::{
    MoneyPolicy, Outcome, PaymentDoubts, PaymentObserve, PaymentState, SiteRisk, TabLimit, Vend,
    VendQuote,
};

fn trusting() -> Federation {
    with_money(PRICE, MoneyPolicy::default())
}

#[test]
fn an_unconfirmed_payment_counts_only_when_a_quorum_has_seen_it_for_ten_seconds() {
    let mut federation = trusting();
    let vend = federation.quote();
    let paid = payment(&vend, 1, PRICE);
    federation.see(&NODES[..2], &paid);
    federation.wait(60 * SECOND);
    assert_eq!(federation.state_of(&vend), PaymentSeen, "two are no quorum");
    federation.see(&NODES[2..3], &paid);
    federation.wait(9 * SECOND);
    assert_eq!(federation.state_of(&vend), PaymentSeen, "too early");
    assert!(query::next_deadline_ms(&federation.state).unwrap() <= federation.now_ms + SECOND);
    federation.wait(SECOND);
    assert_eq!(federation.state_of(&vend), Dispatched);
    assert_eq!(federation.balance("asset:unconfirmed"), 1500);
    federation.confirm(&paid, 100);
    assert_eq!(federation.balance("asset:unconfirmed"), 0);
    assert_eq!(federation.balance("asset:bitcoin"), 1500);
}

#[test]
fn a_payment_that_was_in_dispute_begins_to_wait_anew() {
    let mut federation = trusting();
    let vend = federation.quote();
    let paid = payment(&vend, 1, PRICE);
    federation.see(&NODES, &paid);
    federation.wait(6 * SECOND);
    federation.see(&NODES[..2], &absent(&paid));
    federation.see(&NODES[..2], &paid);
    federation.wait(6 * SECOND);
    assert_eq!(federation.state_of(&vend), PaymentSeen);
    federation.wait(5 * SECOND);
    assert_eq!(federation.state_of(&vend), Dispatched);
}

#[test]
fn what_the_chain_may_not_take_counts_only_when_it_is_deep() {
    let doubts = [
        PaymentDoubts {
            unconfirmed_parent: true,
            ..PaymentDoubts::default()
        },
        PaymentDoubts {
            long_chain: true,
            ..PaymentDoubts::default()
        },
        PaymentDoubts {
            not_final: true,
            ..PaymentDoubts::default()
        },
    ];
    for doubts in doubts {
        let mut federation = trusting();
        let vend = federation.quote();
        let paid = payment(&vend, 1, PRICE);
        let doubted = PaymentObserve {
            doubts: Some(doubts),
            ..paid.clone()
        };
        federation.see(&NODES[..2], &doubted);
        federation.see(&NODES[2..], &paid);
        federation.wait(60 * SECOND);
        assert_eq!(federation.state_of(&vend), PaymentSeen, "{doubts:?}");
        federation.confirm(&paid, 100);
        assert_eq!(federation.state_of(&vend), Dispatched);
    }
}

#[test]
fn what_goes_beyond_the_limit_is_not_at_risk_because_the_price_is_within() {
    let mut federation = trusting();
    let vend = federation.quote();
    let paid = payment(&vend, 1, PRICE + 1);
    federation.see(&NODES, &paid);
    federation.wait(60 * SECOND);
    assert_eq!(federation.state_of(&vend), PaymentSeen);
    assert_eq!(federation.balance(TAB), 0, "no surplus to spend");
    federation.confirm(&paid, 100);
    assert_eq!(federation.state_of(&vend), Dispatched);
    assert_eq!(federation.balance(TAB), -1);
    // And a machine's cap for an hour counts the whole payment.
    let money = MoneyPolicy {
        zero_conf_hour_sats_max: Some(2 * PRICE + 1),
        ..MoneyPolicy::default()
    };
    let mut federation = with_money(2 * PRICE, money);
    for (number, state) in [(1, Dispensed), (2, PaymentSeen)] {
        let vend = federation.quote();
        federation.see(&NODES, &payment(&vend, number, PRICE + 100));
        federation.wait(11 * SECOND);
        if federation.state_of(&vend) == Dispatched {
            federation.finish(&vend, Outcome::Dispensed);
        }
        assert_eq!(federation.state_of(&vend), state);
    }
}

#[test]
fn dust_is_never_trusted_unconfirmed_and_counts_when_it_is_deep() {
    let mut federation = with_money(PRICE, MoneyPolicy::default());
    let mate = dctrl_proto::v1::Product {
        id: "mate".into(),
        name: "Mate".into(),
        price: Some(dctrl_proto::v1::product::Price::PriceSats(300)),
        version: 0,
    };
    let set = dctrl_proto::v1::ProductSet {
        product: Some(mate),
        expected_version: 1,
    };
    federation.submit(OPERATOR, &set).unwrap();
    let vend = federation.quote();
    let paid = payment(&vend, 1, 300);
    federation.see(&NODES, &paid);
    federation.wait(60 * SECOND);
    assert_eq!(federation.state_of(&vend), PaymentSeen);
    federation.confirm(&paid, 100);
    assert_eq!(federation.state_of(&vend), Dispatched);
}

#[test]
fn a_site_and_a_member_may_risk_less() {
    let yard = SiteRisk {
        site: "the hall".into(),
        zero_conf_sats_max: 100,
    };
    let careful = MoneyPolicy {
        sites: vec![yard],
        ..MoneyPolicy::default()
    };
    let mut limited = trusting();
    let limit = TabLimit {
        member_id: "alice".into(),
        zero_conf_sats_max: Some(PRICE - 1),
        ..TabLimit::default()
    };
    limited.submit(OPERATOR, &limit).unwrap();
    for mut federation in [with_money(PRICE, careful), limited] {
        let vend = federation.quote();
        federation.see(&NODES, &payment(&vend, 1, PRICE));
        federation.wait(60 * SECOND);
        assert_eq!(federation.state_of(&vend), PaymentSeen);
    }
}

#[test]
fn one_machine_sells_only_so_much_at_risk_within_an_hour() {
    let mut federation = with_money(
        PRICE,
        MoneyPolicy {
            zero_conf_hour_sats_max: Some(2 * PRICE),
            ..MoneyPolicy::default()
        },
    );
    let at_risk = |federation: &mut Federation, number: u8| {
        let vend = federation.quote();
        federation.see(&NODES, &payment(&vend, number, PRICE));
        federation.wait(11 * SECOND);
        if federation.state_of(&vend) == Dispatched {
            federation.finish(&vend, Outcome::Dispensed);
        }
        federation.state_of(&vend)
    };
    assert_eq!(at_risk(&mut federation, 1), Dispensed);
    assert_eq!(at_risk(&mut federation, 2), Dispensed);
    assert_eq!(at_risk(&mut federation, 3), PaymentSeen, "above the cap");
    federation.wait(3700 * SECOND);
    assert_eq!(at_risk(&mut federation, 4), Dispensed, "an hour later");
}

/// A vend sold on an unconfirmed payment that is then replaced.
fn cheated() -> (Federation, Vend, PaymentObserve) {
    let mut federation = trusting();
    let vend = federation.quote();
    let paid = payment(&vend, 1, PRICE);
    federation.see(&NODES, &paid);
    federation.wait(10 * SECOND);
    federation.finish(&vend, Outcome::Dispensed);
    federation.see(&NODES, &absent(&paid));
    (federation, vend, paid)
}

#[test]
fn a_payment_replaced_after_the_vend_is_owed_and_the_trust_is_withdrawn() {
    let (mut federation, vend, paid) = cheated();
    assert_eq!(state_of(&federation, &paid), PaymentState::Replaced);
    let balances = [("asset:unconfirmed", 0), (TAB, 0), (DEBT, 1500)];
    expect(&federation, &vend, Dispensed, balances);
    let tab = query::tab(&federation.state, "alice").unwrap();
    assert!(tab.tab.unwrap().zero_conf_withdrawn);
    assert_eq!((tab.debt_sats, tab.available_sats), (1500, 0));

    let on_tab = VendQuote {
        machine_id: "m1".into(),
        slot: "A1".into(),
        member_id: "alice".into(),
        from_tab: true,
        ..VendQuote::default()
    };
    let refusal = federation.submit(ALICE, &on_tab).unwrap_err();
    assert_eq!(refusal.rule, "tab.frozen");
    let next = federation.quote();
    let again = payment(&next, 2, PRICE);
    federation.see(&NODES, &again);
    federation.wait(60 * SECOND);
    assert_eq!(federation.state_of(&next), PaymentSeen, "no trust");
    federation.confirm(&again, 100);
    assert_eq!(federation.state_of(&next), Dispatched, "paid in full");
    assert_eq!(federation.balance(DEBT), 1500);
}

#[test]
fn a_debt_that_is_covered_unfreezes_the_member_but_trust_needs_an_operator() {
    let (mut federation, vend, _) = cheated();
    federation.pay(&vend, 2, PRICE + 100);
    let balances = [("asset:bitcoin", 1600), (TAB, -100), (DEBT, 0)];
    expect(&federation, &vend, Dispensed, balances);
    let sold_at_once = |federation: &mut Federation, number: u8| {
        let next = federation.quote();
        federation.see(&NODES, &payment(&next, number, PRICE));
        federation.wait(60 * SECOND);
        federation.state_of(&next) == Dispatched
    };
    assert!(!sold_at_once(&mut federation, 3));
    let limit = TabLimit {
        member_id: "alice".into(),
        reason: "a fee bump, she said".into(),
        ..TabLimit::default()
    };
    federation.submit(OPERATOR, &limit).unwrap();
    assert!(sold_at_once(&mut federation, 4));
}

#[test]
fn a_payment_that_comes_back_after_all_cancels_the_debt() {
    let (mut federation, vend, paid) = cheated();
    federation.confirm(&paid, 100);
    let balances = [("asset:bitcoin", 1500), (TAB, 0), (DEBT, 0)];
    expect(&federation, &vend, Dispensed, balances);
}
