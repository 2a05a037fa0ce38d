//! The grid of payments in, a row each. Where the order of arrival could
//! matter, three nodes tell their views in every order, and the fourth lies.

use crate::common::{ALICE, Federation, NODES, PRICE, absent, in_block, merges, payment, tip};
use dctrl_ledger::query;
use dctrl_proto::v1::VendState::{
    Authorised, Credited, Dispatched, Dispensed, Expired, PaidLate, PaymentSeen, Reserved,
    Underpaid,
};
use dctrl_proto::v1::{
    MoneyPolicy, Outcome, PaymentObserve, PaymentState, Vend, VendQuote, VendState,
};

pub(crate) const TAB: &str = "liability:tab:alice";
pub(crate) const DEBT: &str = "asset:debt:tab:alice";
pub(crate) const SECOND: u64 = 1000;

pub(crate) fn with_money(zero_conf_sats_max: u64, money: MoneyPolicy) -> Federation {
    Federation::with(|genesis| {
        let policy = genesis.policy.as_mut().unwrap();
        policy.zero_conf_sats_max = zero_conf_sats_max;
        policy.money = Some(money);
    })
}

fn forgiving() -> Federation {
    let underpaid_bps_max = 100;
    with_money(
        0,
        MoneyPolicy {
            underpaid_bps_max,
            ..MoneyPolicy::default()
        },
    )
}

pub(crate) fn state_of(federation: &Federation, seen: &PaymentObserve) -> PaymentState {
    let outpoint = seen.outpoint.clone().unwrap();
    query::payment(&federation.state, &outpoint)
        .unwrap()
        .state()
}

/// Plays the same views of three nodes in every order, each time from a fresh
/// quote, while the fourth node tells of another amount; and checks the end.
/// Of three views and more, two nodes' orders are played before the third
/// node's, as two decide what is believed.
fn in_every_order(
    make: impl Fn() -> Federation,
    views: impl Fn(&Vend) -> Vec<PaymentObserve>,
    check: impl Fn(&mut Federation, &Vend),
) {
    let steps = views(&Vend::default()).len();
    let lengths = if steps > 2 {
        vec![steps; 2]
    } else {
        vec![steps; 3]
    };
    for mut order in merges(&lengths) {
        order.extend(std::iter::repeat_n(2, 3 * steps - order.len()));
        let mut federation = make();
        let vend = federation.quote();
        let views = views(&vend);
        let mut lie = views[0].clone();
        lie.amount_sats = PRICE * 1000;
        federation.see(&NODES[3..], &lie);
        let mut told = [0; 3];
        for node in order {
            federation.see(&NODES[node..=node], &views[told[node]]);
            told[node] += 1;
        }
        federation.tip(100);
        check(&mut federation, &vend);
    }
}

pub(crate) fn expect(
    federation: &Federation,
    vend: &Vend,
    state: VendState,
    balances: [(&str, i64); 3],
) {
    assert_eq!(federation.state_of(vend), state);
    for (account, sats) in balances {
        assert_eq!(federation.balance(account), sats, "{account}");
    }
}

#[test]
fn exact_in_time_and_deep_is_settled_once() {
    in_every_order(
        Federation::new,
        |vend| {
            let paid = payment(vend, 1, PRICE);
            vec![paid.clone(), in_block(&paid, 100)]
        },
        |federation, vend| {
            let balances = [("asset:bitcoin", 1500), (TAB, 0), (DEBT, 0)];
            expect(federation, vend, Dispatched, balances);
        },
    );
}

#[test]
fn what_is_missing_within_the_tolerance_is_forgiven() {
    let mut federation = forgiving();
    let vend = federation.quote();
    federation.pay(&vend, 1, PRICE - 15);
    assert_eq!(federation.state_of(&vend), Dispatched);
    assert_eq!(federation.vend(&vend.id).forgiven_sats, 15);
    federation.finish(&vend, Outcome::Dispensed);
    assert_eq!(federation.balance("income:sales"), -1485);
    federation.pay(&vend, 2, 15);
    assert_eq!(federation.balance(TAB), -15, "the rest came late");
}

#[test]
fn what_is_missing_beyond_the_tolerance_is_waited_for_and_then_credited() {
    for (mut federation, missing) in [(forgiving(), 16), (Federation::new(), 1)] {
        let vend = federation.quote();
        federation.pay(&vend, 1, PRICE - missing);
        assert_eq!(federation.state_of(&vend), Underpaid);
        federation.wait(600 * SECOND);
        assert_eq!(federation.state_of(&vend), Credited);
        let credit = i64::try_from(PRICE - missing).unwrap();
        assert_eq!(federation.balance(TAB), -credit);
    }
}

#[test]
fn more_than_the_price_is_settled_and_the_surplus_credited() {
    in_every_order(
        Federation::new,
        |vend| vec![in_block(&payment(vend, 1, PRICE + 77), 100)],
        |federation, vend| {
            let balances = [("asset:bitcoin", 1577), (TAB, -77), (DEBT, 0)];
            expect(federation, vend, Dispatched, balances);
        },
    );
}

#[test]
fn parts_in_any_order_are_settled_together() {
    in_every_order(
        Federation::new,
        |vend| {
            [(1, 600), (2, 900)]
                .map(|(number, sats)| in_block(&payment(vend, number, sats), 100))
                .to_vec()
        },
        |federation, vend| {
            let balances = [("asset:bitcoin", 1500), (TAB, 0), (DEBT, 0)];
            expect(federation, vend, Dispatched, balances);
        },
    );
}

#[test]
fn a_late_payment_sells_nothing_and_is_credited() {
    let late = || {
        let mut federation = Federation::new();
        let vend = federation.quote();
        federation.wait(600 * SECOND);
        assert_eq!(federation.state_of(&vend), Expired);
        (federation, vend)
    };
    for order in merges(&[2, 2, 2]) {
        let (mut federation, vend) = late();
        let paid = payment(&vend, 1, PRICE);
        let views = [paid.clone(), in_block(&paid, 100)];
        let mut told = [0; 3];
        for node in order {
            federation.see(&NODES[node..=node], &views[told[node]]);
            told[node] += 1;
        }
        federation.tip(100);
        let balances = [("asset:bitcoin", 1500), (TAB, -1500), (DEBT, 0)];
        expect(&federation, &vend, PaidLate, balances);
        assert_eq!(federation.stock(), (10, 0, 0));
    }
}

#[test]
fn of_two_payments_one_sells_and_the_other_is_credited() {
    in_every_order(
        Federation::new,
        |vend| {
            [1, 2]
                .map(|number| in_block(&payment(vend, number, PRICE), 100))
                .to_vec()
        },
        |federation, vend| {
            let balances = [("asset:bitcoin", 3000), (TAB, -1500), (DEBT, 0)];
            expect(federation, vend, Dispatched, balances);
            federation.finish(vend, Outcome::Dispensed);
            assert_eq!(federation.stock(), (9, 0, 1));
        },
    );
}

#[test]
fn a_settled_address_that_is_paid_again_credits_the_payer() {
    let mut federation = Federation::new();
    let vend = federation.quote();
    federation.pay(&vend, 1, PRICE);
    federation.finish(&vend, Outcome::Dispensed);
    federation.pay(&vend, 2, 5000);
    let balances = [("asset:bitcoin", 6500), (TAB, -5000), (DEBT, 0)];
    expect(&federation, &vend, Dispensed, balances);
}

#[test]
fn a_payment_replaced_or_evicted_before_it_counts_leaves_the_quote_as_new() {
    in_every_order(
        Federation::new,
        |vend| {
            let paid = payment(vend, 1, PRICE);
            vec![paid.clone(), absent(&paid)]
        },
        |federation, vend| {
            let balances = [("asset:bitcoin", 0), (TAB, 0), (DEBT, 0)];
            expect(federation, vend, Reserved, balances);
        },
    );
}

#[test]
fn a_replacement_that_pays_the_same_quote_sells_it_once() {
    in_every_order(
        Federation::new,
        |vend| {
            let (first, second) = (payment(vend, 1, PRICE), payment(vend, 2, PRICE));
            vec![first.clone(), absent(&first), in_block(&second, 100)]
        },
        |federation, vend| {
            let balances = [("asset:bitcoin", 1500), (TAB, 0), (DEBT, 0)];
            expect(federation, vend, Dispatched, balances);
        },
    );
}

#[test]
fn reorganised_and_mined_again_changes_nothing() {
    in_every_order(
        Federation::new,
        |vend| {
            let paid = payment(vend, 1, PRICE);
            vec![in_block(&paid, 99), paid.clone(), in_block(&paid, 100)]
        },
        |federation, vend| {
            federation.finish(vend, Outcome::Dispensed);
            let balances = [("asset:bitcoin", 1500), (TAB, 0), (DEBT, 0)];
            expect(federation, vend, Dispensed, balances);
        },
    );
}

#[test]
fn reorganised_and_spent_elsewhere_is_owed_and_freezes_until_it_is_covered() {
    for depth in 1..=100 {
        let mut federation = Federation::new();
        let vend = federation.quote();
        let paid = federation.pay(&vend, 1, PRICE);
        federation.finish(&vend, Outcome::Dispensed);
        federation.tip(99 + depth);
        federation.see(&NODES, &absent(&paid));
        let balances = [("asset:bitcoin", 0), (TAB, 0), (DEBT, 1500)];
        expect(&federation, &vend, Dispensed, balances);
        assert_eq!(federation.stock(), (9, 0, 1), "the vend stays");
        federation.confirm(&paid, 100 + depth);
        assert_eq!(federation.balance(DEBT), 0);
        assert_eq!(federation.balance("asset:bitcoin"), 1500);
    }
}

#[test]
fn a_credit_that_was_spent_before_its_payment_vanished_is_owed() {
    let mut federation = Federation::new();
    let vend = federation.quote();
    let paid = federation.pay(&vend, 1, PRICE + 1500);
    federation.finish(&vend, Outcome::Dispensed);
    let on_tab = VendQuote {
        machine_id: "m1".into(),
        slot: "A1".into(),
        member_id: "alice".into(),
        from_tab: true,
        ..VendQuote::default()
    };
    let second = federation.submit(ALICE, &on_tab).unwrap();
    let second = federation.vend(&second);
    federation.finish(&second, Outcome::Dispensed);
    assert_eq!(federation.balance(TAB), 0);
    federation.see(&NODES, &absent(&paid));
    assert_eq!(federation.balance(DEBT), 3000);
    assert_eq!(federation.balance("income:sales"), -3000);
}

#[test]
fn another_witness_is_the_same_payment() {
    // Only the txid names a payment; a changed witness changes the wtxid.
    let mut federation = Federation::new();
    let vend = federation.quote();
    let paid = federation.pay(&vend, 1, PRICE);
    federation.see(&NODES, &in_block(&paid, 100));
    let balances = [("asset:bitcoin", 1500), (TAB, 0), (DEBT, 0)];
    expect(&federation, &vend, Dispatched, balances);
}

#[test]
fn a_blocks_reward_counts_at_a_hundred_confirmations() {
    let mut federation = with_money(PRICE, MoneyPolicy::default());
    let vend = federation.quote();
    let reward = PaymentObserve {
        coinbase: true,
        ..payment(&vend, 1, PRICE)
    };
    federation.confirm(&reward, 100);
    federation.tip(198);
    assert_eq!(federation.state_of(&vend), PaymentSeen);
    assert_eq!(state_of(&federation, &reward), PaymentState::Confirmed);
    federation.tip(199);
    assert_eq!(federation.state_of(&vend), Dispatched);
    assert_eq!(state_of(&federation, &reward), PaymentState::Final);
}

#[test]
fn a_reward_that_one_liar_calls_a_payment_is_not_believed_early() {
    let mut federation = Federation::new();
    let vend = federation.quote();
    let lie = payment(&vend, 1, PRICE);
    let reward = PaymentObserve {
        coinbase: true,
        ..lie.clone()
    };
    federation.see(&NODES[..1], &in_block(&lie, 100));
    federation.see(&NODES[1..2], &in_block(&reward, 100));
    federation.tip(100);
    assert_eq!(federation.state_of(&vend), Reserved);
    federation.see(&NODES[2..], &in_block(&reward, 100));
    assert_eq!(federation.state_of(&vend), PaymentSeen);
}

#[test]
fn backends_that_disagree_make_nothing_seen() {
    let mut federation = Federation::new();
    let vend = federation.quote();
    for (node, block) in NODES.iter().zip([99, 100, 101, 102]) {
        let view = in_block(&payment(&vend, 1, PRICE), block);
        federation.see(&[*node], &view);
        federation.submit(*node, &tip(block)).unwrap();
    }
    assert_eq!(
        federation.state_of(&vend),
        PaymentSeen,
        "no block is agreed"
    );
    federation.see(&NODES[..1], &in_block(&payment(&vend, 1, PRICE), 100));
    assert_eq!(federation.state_of(&vend), Dispatched);
}

#[test]
fn a_stall_of_the_federation_extends_the_quote() {
    // Hours pass outside, but the next block's time is what counts.
    let mut federation = Federation::new();
    let vend = federation.quote();
    federation.now_ms = vend.expires_at_ms - 10;
    let paid = payment(&vend, 1, PRICE);
    federation.confirm(&paid, 100);
    assert_eq!(federation.state_of(&vend), Dispatched);
}

#[test]
fn money_for_a_vend_that_waits_for_its_machine_is_taken_out_again() {
    let mut federation = with_money(PRICE, MoneyPolicy::default());
    let first = federation.dispatched();
    let second = federation.quote();
    let paid = federation.pay(&second, 9, PRICE + 100);
    assert_eq!(federation.state_of(&second), Authorised);
    federation.see(&NODES, &absent(&paid));
    let balances = [("asset:bitcoin", 1500), (TAB, 0), (DEBT, 0)];
    expect(&federation, &second, Reserved, balances);
    federation.finish(&first, Outcome::Dispensed);
    assert_eq!(federation.state_of(&second), Reserved);
}

#[test]
fn a_reorganisation_at_any_step_of_a_vend_loses_and_makes_nothing() {
    for (step, depth, gone) in (0..6)
        .flat_map(|step| [1, 6, 100].map(|depth| (step, depth)))
        .flat_map(|(step, depth)| [false, true].map(|gone| (step, depth, gone)))
    {
        let mut federation = Federation::new();
        let vend = federation.quote();
        let paid = payment(&vend, 1, PRICE + 50);
        if step == 0 {
            federation.see(&NODES, &in_block(&paid, 100));
        } else {
            federation.confirm(&paid, 100);
        }
        match step {
            2 => drop(federation.accept(&vend).unwrap()),
            3 => drop(federation.finish(&vend, Outcome::Dispensed)),
            4 => drop(federation.finish(&vend, Outcome::Failed)),
            5 => drop(federation.finish(&vend, Outcome::Unknown)),
            _ => {}
        }
        federation.tip(99 + depth);
        let before = if gone { absent(&paid) } else { paid.clone() };
        federation.see(&NODES, &before);
        assert_eq!(federation.balance("asset:bitcoin"), 0);
        federation.confirm(&paid, 100 + depth);
        let at = format!("step {step}, depth {depth}, gone {gone}");
        assert_eq!(federation.balance("asset:bitcoin"), 1550, "{at}");
        assert_eq!(federation.balance("asset:unconfirmed"), 0, "{at}");
        assert_eq!(federation.balance(DEBT), 0, "{at}");
    }
}
