//! Votes and thresholds follow the nodes: whoever has gone does not count,
//! whoever joined does.

use dctrl_ledger::query;
use dctrl_proto::v1::{Payment, PaymentObserve, PaymentState, PriceObserve};

use crate::common::nodes::{ALPHA, BRAVO, CHARLIE, DELTA, ECHO, FOXTROT, GOLF, remove, replace};
use crate::common::{Federation, NODES, PRICE, in_block, payment, tip};

fn price(federation: &mut Federation, seed: u8, minor_per_bitcoin: u64) {
    let observed = PriceObserve {
        currency: "EUR".into(),
        minor_per_bitcoin,
        sources: 1,
    };
    federation.submit(seed, &observed).unwrap();
}

fn kept(federation: &Federation, seen: &PaymentObserve) -> Payment {
    query::payment(&federation.state, seen.outpoint.as_ref().unwrap()).unwrap()
}

fn voters(payment: &Payment) -> Vec<u32> {
    payment.votes.iter().map(|vote| vote.node).collect()
}

#[test]
fn a_price_needs_a_quorum_of_the_present_nodes() {
    let mut federation = Federation::new();
    for seed in [ALPHA, BRAVO, DELTA] {
        price(&mut federation, seed, 6_000_000);
    }
    assert!(federation.try_quote("A2").is_ok());
    federation.decide(replace(DELTA, ECHO), &[ALPHA, BRAVO, CHARLIE]);
    let refusal = federation.try_quote("A2").unwrap_err();
    assert_eq!(refusal.rule, "price.stale", "two of four are fresh");
    price(&mut federation, ECHO, 6_000_000);
    assert!(federation.try_quote("A2").is_ok());
}

#[test]
fn the_agreed_price_is_that_of_the_present_nodes() {
    let mut federation = Federation::new();
    for (seed, minor) in [(ALPHA, 5), (BRAVO, 6), (CHARLIE, 7), (DELTA, 1)] {
        price(&mut federation, seed, minor * 1_000_000);
    }
    assert_eq!(
        query::rates(&federation.state)[0].minor_per_bitcoin,
        5_000_000
    );
    federation.decide(remove(DELTA), &[ALPHA, BRAVO, CHARLIE]);
    assert_eq!(
        query::rates(&federation.state)[0].minor_per_bitcoin,
        5_000_000
    );
    federation.wait(1);
    assert_eq!(
        query::rates(&federation.state)[0].minor_per_bitcoin,
        6_000_000
    );
}

#[test]
fn the_tip_is_agreed_by_the_present_nodes() {
    let mut federation = Federation::new();
    for (seed, height) in [(ALPHA, 101), (BRAVO, 101), (CHARLIE, 101), (DELTA, 99)] {
        federation.submit(seed, &tip(height)).unwrap();
    }
    for (seed, height) in [(ALPHA, 110), (BRAVO, 110)] {
        federation.submit(seed, &tip(height)).unwrap();
    }
    assert_eq!(query::chain_tip(&federation.state).height, 101);
    federation.decide(replace(CHARLIE, ECHO), &[ALPHA, BRAVO, DELTA]);
    federation.submit(ECHO, &tip(110)).unwrap();
    let tip = query::chain_tip(&federation.state);
    assert_eq!(tip.height, 110);
    let voters: Vec<u32> = tip.votes.iter().map(|vote| vote.node).collect();
    assert_eq!(voters, [0, 1, 3, 4], "node-2 has gone");
}

#[test]
fn a_report_of_a_node_that_has_gone_does_not_count_and_is_dropped() {
    let mut federation = Federation::new();
    let vend = federation.quote();
    let seen = payment(&vend, 1, PRICE);
    federation.see(&[DELTA], &seen);
    assert_eq!(voters(&kept(&federation, &seen)), [3]);
    federation.decide(replace(DELTA, ECHO), &[ALPHA, BRAVO, CHARLIE]);
    federation.wait(1);
    let outpoint = seen.outpoint.as_ref().unwrap();
    assert_eq!(query::payment(&federation.state, outpoint), None);
    federation.see(&[ALPHA], &seen);
    assert_eq!(kept(&federation, &seen).state(), PaymentState::Reported);
    federation.see(&[ECHO], &seen);
    assert_eq!(kept(&federation, &seen).state(), PaymentState::Seen);
}

#[test]
fn a_vote_for_a_payment_in_a_block_is_dropped_with_its_node() {
    let mut federation = Federation::new();
    let vend = federation.quote();
    let seen = payment(&vend, 1, PRICE);
    federation.see(&NODES, &seen);
    federation.see(&[ALPHA, BRAVO, DELTA], &in_block(&seen, 100));
    federation.decide(remove(DELTA), &[ALPHA, BRAVO, CHARLIE]);
    federation.wait(1);
    let payment = kept(&federation, &seen);
    assert_eq!(voters(&payment), [0, 1, 2]);
    assert_eq!(payment.state(), PaymentState::Confirmed);
}

#[test]
fn fewer_nodes_make_a_payment_believed_that_was_not() {
    let mut federation = Federation::of(7);
    let vend = federation.quote();
    let seen = payment(&vend, 1, PRICE);
    federation.see(&[ALPHA, BRAVO], &seen);
    assert_eq!(kept(&federation, &seen).state(), PaymentState::Reported);
    federation.decide(remove(DELTA), &[ALPHA, BRAVO, CHARLIE, FOXTROT, GOLF]);
    assert_eq!(kept(&federation, &seen).state(), PaymentState::Reported);
    federation.wait(1);
    assert_eq!(kept(&federation, &seen).state(), PaymentState::Seen);
}

#[test]
fn a_report_that_others_share_passes_to_one_of_them() {
    let mut federation = Federation::of(7);
    let vend = federation.quote();
    let seen = payment(&vend, 1, PRICE);
    federation.see(&[DELTA, CHARLIE], &seen);
    let by = [ALPHA, BRAVO, CHARLIE, FOXTROT, GOLF];
    federation.decide(replace(DELTA, ECHO + 9), &by);
    federation.wait(1);
    let payment = kept(&federation, &seen);
    assert_eq!(
        (payment.state(), voters(&payment)),
        (PaymentState::Reported, vec![2])
    );
    // The audit after each block sees to whose account it is now.
    federation.see(&[CHARLIE], &crate::common::absent(&seen));
    let outpoint = seen.outpoint.as_ref().unwrap();
    assert_eq!(query::payment(&federation.state, outpoint), None);
}

#[test]
fn an_order_names_the_roster_that_signs_its_block() {
    let mut federation = Federation::new();
    let first = federation.dispatched();
    assert_eq!(federation.order().roster_epoch, 0);
    federation.finish(&first, dctrl_proto::v1::Outcome::Dispensed);
    federation.decide(replace(DELTA, ECHO), &[ALPHA, BRAVO, CHARLIE]);
    let second = federation.quote();
    let seen = payment(&second, 99, PRICE);
    let present = [ALPHA, BRAVO, CHARLIE, ECHO];
    federation.see(&present, &in_block(&seen, 100));
    for seed in present {
        federation.submit(seed, &tip(100)).unwrap();
    }
    assert_eq!(federation.order().roster_epoch, 1);
}
