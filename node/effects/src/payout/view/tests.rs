use std::sync::Arc;

use dctrl_proto::v1::{Outpoint, PaymentDoubts, PayoutInput, PayoutOrigin, PayoutVote};

use super::*;
use crate::chain::{Block, Output, Tip, Transaction, model::SimChain};

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
    payouts.take_due(0);
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
fn behind_a_break_that_all_had_only_the_first_executor_acts_at_once() {
    let due = |seat: u32, back_ms: u64, now_ms: u64| {
        let mut payouts = Payouts::new(Arc::new(move || Some(seat)), 10_000);
        payouts.told(ready(&[2, 0]));
        payouts.interrupted();
        let at_once = !payouts.take_due(back_ms).is_empty();
        (at_once, !payouts.take_due(now_ms).is_empty())
    };
    // It has been ready for longer than all take-overs together.
    assert_eq!(due(2, 90_000, 91_000), (true, false));
    assert_eq!(due(0, 90_000, 99_999), (false, false));
    assert_eq!(due(0, 90_000, 100_000), (false, true));
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

#[test]
fn a_settled_payout_that_the_chain_has_undone_is_sent_again() {
    let mut payouts = Payouts::new(Arc::new(|| Some(2)), 10_000);
    let settled = Payout {
        settled: true,
        settled_txid: vec![7; 32],
        ..ready(&[2])
    };
    payouts.told(settled.clone());
    assert!(payouts.take_due(50_000).is_empty(), "it is in the chain");
    payouts.told(Payout {
        frozen: true,
        ..settled
    });
    let orders = payouts.take_due(60_000);
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].txid, [7; 32]);
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

/// A chain in which a payout is settled, and the payout as the ledger tells it to a
/// node that has voted for it.
fn chain_with_a_settled_payout() -> (SimChain, Payout) {
    let (mut chain, coin) = chain_with_a_coin();
    chain.submit(spend(transaction_of(1), coin)).unwrap();
    let block = chain.mine(1).unwrap();
    chain.mine(5).unwrap();
    let mut payout = settled(spending(1, coin), block.height);
    payout.settled_txid = transaction_of(1).0.to_vec();
    if let Some(seen) = &mut payout.seen {
        seen.block_hash = block.hash.0.to_vec();
        payout.votes.push(PayoutVote {
            node: 2,
            spend: Some(PayoutSpend {
                confirmations: 0,
                ..seen.clone()
            }),
        });
    }
    (chain, payout)
}

#[test]
fn a_node_that_begins_again_finds_a_settled_payout_however_old_it_is() {
    let (mut chain, payout) = chain_with_a_settled_payout();
    chain.mine(50).unwrap();
    let mut payouts = Payouts::new(Arc::new(|| Some(2)), 10_000);
    payouts.told(payout.clone());
    payouts.look(&chain).unwrap();
    assert!(payouts.unsaid().is_empty());
    assert!(!payouts.is_empty(), "not buried yet");
    for _ in 0..3 {
        chain.mine(800).unwrap();
    }
    let mut payouts = Payouts::new(Arc::new(|| Some(2)), 10_000);
    payouts.told(payout);
    payouts.look(&chain).unwrap();
    assert!(payouts.unsaid().is_empty());
    assert!(payouts.is_empty(), "buried");
}

#[test]
fn a_settled_payout_whose_block_is_gone_is_looked_for_again() {
    let (mut chain, payout) = chain_with_a_settled_payout();
    let mut payouts = Payouts::new(Arc::new(|| Some(2)), 10_000);
    payouts.told(payout);
    payouts.look(&chain).unwrap();
    assert!(payouts.unsaid().is_empty());
    chain.reorganise(7, true).unwrap();
    chain.mine(7).unwrap();
    payouts.look(&chain).unwrap();
    let said = payouts.unsaid();
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].1.view(), PaymentView::Absent);
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

/// A backend that takes a transaction right after it was asked for it.
struct Late(SimChain);

impl ChainSource for Late {
    fn tip(&self) -> Result<Tip, ChainError> {
        ChainSource::tip(&self.0)
    }
    fn hash_at(&self, height: u32) -> Result<Hash, ChainError> {
        self.0.hash_at(height)
    }
    fn block(&self, height: u32, hash: Hash) -> Result<Block, ChainError> {
        ChainSource::block(&self.0, height, hash)
    }
    fn knows_block(&self, block: Tip) -> Result<bool, ChainError> {
        self.0.knows_block(block)
    }
    fn mempool(&self) -> Result<Vec<Hash>, ChainError> {
        ChainSource::mempool(&self.0)
    }
    fn in_mempool(&self, _: Hash) -> Result<Option<PaymentDoubts>, ChainError> {
        Ok(None)
    }
    fn mempool_transaction(&self, txid: Hash) -> Result<Option<Transaction>, ChainError> {
        self.0.mempool_transaction(txid)
    }
    fn mempool_spenders(&self, outputs: &[(Hash, u32)]) -> Result<Vec<Hash>, ChainError> {
        self.0.mempool_spenders(outputs)
    }
}

#[test]
fn a_transaction_of_ours_that_is_broadcast_while_it_is_looked_for_is_no_conflict() {
    let (mut chain, coin) = chain_with_a_coin();
    let mut payouts = Payouts::new(Arc::new(|| Some(2)), 10_000);
    payouts.told(spending(1, coin));
    chain.submit(spend(transaction_of(1), coin)).unwrap();
    payouts.look(&Late(chain)).unwrap();
    let (_, said) = &payouts.unsaid()[0];
    assert_eq!(said.txid, transaction_of(1).0);
    // The ledger refuses inputs that are named of a transaction of ours.
    assert!(said.spends.is_empty());
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

/// A transaction of a payer that spends one of their own coins.
fn of_payer(txid: Hash, coin: Hash, script: u8) -> Transaction {
    let mut transaction = spend(txid, coin);
    transaction.outputs[0].script = vec![script];
    transaction
}

/// A chain in which a payer's coin has made the deposit that a payout spends;
/// and the payout.
fn chain_with_a_deposit() -> (SimChain, Hash, Payout) {
    let (mut chain, coin) = chain_with_a_coin();
    let deposit = Hash([5; 32]);
    chain.mine(9).unwrap();
    chain.submit(of_payer(deposit, coin, 3)).unwrap();
    assert_eq!(chain.mine(1).unwrap().height, 11);
    chain.mine(6).unwrap();
    let payout = Payout {
        chain_height: 17,
        sign_from_ms: 1,
        origins: vec![PayoutOrigin {
            txid: deposit.0.to_vec(),
            block_height: 11,
            block_hash: ChainSource::hash_at(&chain, 11).unwrap().0.to_vec(),
            ..PayoutOrigin::default()
        }],
        ..spending(1, deposit)
    };
    (chain, coin, payout)
}

fn replace_deposit(chain: &mut SimChain, coin: Hash) -> Hash {
    let replacement = Hash([6; 32]);
    chain.reorganise(8, true).unwrap();
    chain.submit(of_payer(replacement, coin, 4)).unwrap();
    chain.mine(9).unwrap();
    replacement
}

#[test]
fn what_has_replaced_a_deposit_is_named_with_the_input_that_is_gone() {
    let (mut chain, coin, payout) = chain_with_a_deposit();
    let mut payouts = Payouts::new(Arc::new(|| Some(2)), 10_000);
    payouts.told(payout.clone());
    payouts.look(&chain).unwrap();
    assert!(
        payouts.unsaid().is_empty(),
        "the deposit itself is no conflict"
    );
    let replacement = replace_deposit(&mut chain, coin);
    payouts.look(&chain).unwrap();
    let (_, said) = payouts.unsaid().remove(0);
    assert_eq!(said.view(), PaymentView::InBlock);
    assert_eq!(said.txid, replacement.0);
    assert!(said.spends.is_empty());
    let input = payout.versions[0].inputs[0].outpoint.clone();
    assert_eq!(said.gone, Vec::from_iter(input));
    assert_eq!(said.block_height, 10);
}

#[test]
fn a_node_that_begins_behind_that_reads_the_deposit_in_the_block_that_is_gone() {
    let (mut chain, coin, payout) = chain_with_a_deposit();
    let replacement = replace_deposit(&mut chain, coin);
    let mut payouts = Payouts::new(Arc::new(|| Some(2)), 10_000);
    payouts.told(payout);
    payouts.look(&chain).unwrap();
    assert_eq!(payouts.unsaid()[0].1.txid, replacement.0);
}

#[test]
fn a_node_that_hears_of_a_payout_behind_that_looks_at_blocks_again_that_it_knows() {
    let (mut chain, coin, payout) = chain_with_a_deposit();
    let mut payouts = Payouts::new(Arc::new(|| Some(2)), 10_000);
    payouts.told(Payout {
        chain_height: payout.chain_height,
        ..spending(2, Hash([9; 32]))
    });
    let replacement = replace_deposit(&mut chain, coin);
    payouts.look(&chain).unwrap();
    // Proposed by a ledger that has not seen the reorganisation yet.
    payouts.told(Payout {
        sign_from_ms: 0,
        ..payout
    });
    payouts.look(&chain).unwrap();
    let said = payouts.unsaid();
    let named: Vec<&[u8]> = said.iter().map(|(_, one)| &one.txid[..]).collect();
    assert_eq!(named, [&replacement.0[..]]);
}
