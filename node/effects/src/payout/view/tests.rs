use std::sync::Arc;

use dctrl_proto::v1::PayoutInput;

use super::*;
use crate::chain::{Output, Transaction, model::SimChain};

fn ready(executors: &[u32]) -> Payout {
    Payout {
        id: "p1".into(),
        versions: vec![PayoutVersion {
            txid: vec![7; 32],
            transaction: vec![1],
            ready_at_ms: 1_000,
            executors: executors.to_vec(),
            ..PayoutVersion::default()
        }],
        ..Payout::default()
    }
}

fn sends(seat: u32, now_ms: u64) -> Option<usize> {
    let mut payouts = Payouts::new(Arc::new(move || Some(seat)), 10_000);
    payouts.told(ready(&[2, 0, 3, 1]));
    payouts.take_due(now_ms).first().map(|order| order.rank)
}

#[test]
fn the_first_executor_acts_at_once_and_the_others_take_over_in_their_order() {
    assert_eq!(sends(2, 1_000), Some(0));
    assert_eq!(sends(0, 10_999), None);
    assert_eq!(sends(0, 11_000), Some(1));
    assert_eq!(sends(3, 20_999), None);
    assert_eq!(sends(3, 21_000), Some(2));
    assert_eq!(sends(9, 90_000), None, "no executor");
}

#[test]
fn what_is_seen_is_not_sent_and_what_was_sent_is_sent_again_only_later() {
    let mut payouts = Payouts::new(Arc::new(|| Some(2)), 10_000);
    payouts.told(ready(&[2]));
    assert_eq!(payouts.take_due(1_000).len(), 1);
    assert!(payouts.take_due(2_000).is_empty());
    assert_eq!(payouts.take_due(31_000).len(), 1);
    if let Some(watched) = payouts.open.get_mut("p1") {
        let mut seen = PayoutSpend {
            txid: vec![7; 32],
            ..PayoutSpend::default()
        };
        seen.set_view(PaymentView::InMempool);
        watched.seen = Some(seen);
    }
    assert!(payouts.take_due(90_000).is_empty());
    assert_eq!(payouts.unsaid().len(), 1);
}

/// A payout that spends `coin` by a transaction of its own id.
fn spending(number: u16, coin: Hash) -> Payout {
    let mut payout = ready(&[2]);
    payout.id = format!("p{number:03}");
    payout.versions[0].txid = transaction_of(number).0.to_vec();
    payout.versions[0].inputs = vec![PayoutInput {
        outpoint: Some(Outpoint {
            txid: coin.0.to_vec(),
            vout: 0,
        }),
        ..PayoutInput::default()
    }];
    payout
}

fn transaction_of(number: u16) -> Hash {
    let mut txid = [9; 32];
    txid[..2].copy_from_slice(&number.to_be_bytes());
    Hash(txid)
}

/// Settled in a block of this height, as the ledger tells it: it counts no
/// confirmations beyond the sixth.
fn settled(mut payout: Payout, block_height: u32) -> Payout {
    let mut seen = PayoutSpend {
        txid: payout.versions[0].txid.clone(),
        block_height,
        confirmations: 6,
        ..PayoutSpend::default()
    };
    seen.set_view(PaymentView::InBlock);
    payout.seen = Some(seen);
    payout.settled = true;
    payout
}

/// A transaction that spends a coin.
fn spend(txid: Hash, coin: Hash) -> Transaction {
    Transaction {
        txid,
        coinbase: false,
        inputs: vec![(coin, 0)],
        outputs: vec![Output {
            vout: 0,
            script: vec![2],
            amount_sats: 900,
        }],
    }
}

/// A chain with a coin in its first block.
fn chain_with_a_coin() -> (SimChain, Hash) {
    let mut chain = SimChain::default();
    let coin = chain.pay(vec![1], 1_000).unwrap().txid;
    chain.mine(1).unwrap();
    (chain, coin)
}

#[test]
fn behind_as_many_settled_payouts_as_a_node_watches_it_watches_and_sends_new_ones() {
    let mut payouts = Payouts::new(Arc::new(|| Some(2)), 10_000);
    let many = u16::try_from(PAYOUTS_MAX).unwrap();
    let coin = Hash([1; 32]);
    for number in 0..many + 3 {
        assert!(payouts.told(spending(number, coin)), "{number} is watched");
        let orders = payouts.take_due(1_000);
        assert_eq!(orders.len(), 1, "{number} is sent, and nothing else");
        assert_eq!(orders[0].txid, transaction_of(number).0);
        payouts.told(settled(spending(number, coin), u32::from(number)));
    }
    assert_eq!(payouts.open.len(), PAYOUTS_MAX);
    let first = payouts.open.keys().next().unwrap();
    assert_eq!(first, "p003", "those buried deepest made room");
}

#[test]
fn payouts_that_are_not_settled_make_no_room() {
    let mut payouts = Payouts::new(Arc::new(|| Some(2)), 10_000);
    let many = u16::try_from(PAYOUTS_MAX).unwrap();
    for number in 0..many {
        assert!(payouts.told(spending(number, Hash([1; 32]))));
    }
    assert!(!payouts.told(spending(many, Hash([1; 32]))));
    assert_eq!(payouts.take_due(1_000).len(), PAYOUTS_MAX);
}

#[test]
fn a_settled_payout_is_watched_until_a_hundred_blocks_bury_it() {
    let (mut chain, coin) = chain_with_a_coin();
    let mut payouts = Payouts::new(Arc::new(|| Some(2)), 10_000);
    payouts.told(spending(1, coin));
    chain.submit(spend(transaction_of(1), coin)).unwrap();
    chain.mine(6).unwrap();
    payouts.look(&chain).unwrap();
    payouts.told(settled(spending(1, coin), 2));
    chain.mine(93).unwrap();
    payouts.look(&chain).unwrap();
    payouts.said("p001");
    payouts.look(&chain).unwrap();
    assert!(!payouts.is_empty(), "99 confirmations");
    chain.mine(1).unwrap();
    payouts.look(&chain).unwrap();
    assert!(payouts.is_empty(), "100 confirmations");
}

#[test]
fn a_transaction_that_nobody_ordered_is_named_while_it_waits_for_its_block() {
    let (mut chain, coin) = chain_with_a_coin();
    let mut payouts = Payouts::new(Arc::new(|| Some(2)), 10_000);
    payouts.told(spending(1, coin));
    let thief = Hash([8; 32]);
    chain.submit(spend(thief, coin)).unwrap();
    payouts.look(&chain).unwrap();
    let said = payouts.unsaid();
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].1.view(), PaymentView::InMempool);
    assert_eq!(said[0].1.txid, thief.0);
    assert_eq!(said[0].1.spends.len(), 1);
}

#[test]
fn a_spend_that_a_reorganisation_has_put_below_the_proposal_is_seen() {
    let (mut chain, coin) = chain_with_a_coin();
    chain.mine(119).unwrap();
    let mut payouts = Payouts::new(Arc::new(|| Some(2)), 10_000);
    payouts.told(Payout {
        chain_height: 120,
        ..spending(1, coin)
    });
    payouts.look(&chain).unwrap();
    chain.submit(spend(transaction_of(1), coin)).unwrap();
    chain.mine(1).unwrap();
    payouts.look(&chain).unwrap();
    assert_eq!(payouts.unsaid()[0].1.block_height, 121);
    chain.reorganise(100, false).unwrap();
    chain.mine(101).unwrap();
    payouts.look(&chain).unwrap();
    assert_eq!(payouts.unsaid()[0].1.block_height, 22);
}

#[test]
fn a_node_that_begins_behind_the_reorganisation_sees_it_too() {
    let (mut chain, coin) = chain_with_a_coin();
    chain.mine(20).unwrap();
    chain.submit(spend(transaction_of(1), coin)).unwrap();
    chain.mine(10).unwrap();
    let mut payouts = Payouts::new(Arc::new(|| Some(2)), 10_000);
    payouts.told(Payout {
        chain_height: 25,
        sign_from_ms: 1,
        ..spending(1, coin)
    });
    payouts.look(&chain).unwrap();
    assert_eq!(payouts.unsaid()[0].1.block_height, 22);
}
