use super::*;

fn txids(transactions: &[Transaction]) -> Vec<Hash> {
    transactions.iter().map(|one| one.txid).collect()
}

#[test]
fn block_0_is_the_one_that_the_genesis_of_a_simulated_federation_names() {
    let tip = SimChain::default().tip();
    assert_eq!(tip.height, 0);
    assert_eq!(tip.hash.0, dctrl_proto::genesis::simulated_chain_genesis());
}

#[test]
fn two_equal_payments_are_two_transactions() {
    let mut chain = SimChain::default();
    let one = chain.pay(vec![1], 5).unwrap();
    let two = chain.pay(vec![1], 5).unwrap();
    assert_ne!(one.txid, two.txid);
    assert_eq!(txids(chain.mempool()), [one.txid, two.txid]);
}

#[test]
fn the_first_mined_block_takes_the_mempool_and_links_to_the_one_below() {
    let mut chain = SimChain::default();
    let paid = chain.pay(vec![1], 5).unwrap();
    let tip = chain.mine(2).unwrap();
    assert_eq!(tip.height, 2);
    assert!(chain.mempool().is_empty());
    let first = chain.block_at(1).unwrap();
    assert_eq!(txids(&first.transactions), [paid.txid]);
    assert_eq!(first.previous, genesis_hash());
    assert_eq!(chain.block_at(2).unwrap().previous, first.hash);
    assert_eq!(chain.block(&first.hash), Some(first));
}

#[test]
fn a_replaced_payment_is_gone_and_cannot_be_replaced_again() {
    let mut chain = SimChain::default();
    let first = chain.pay(vec![1], 5).unwrap();
    let second = chain.replace(&first.txid, vec![2], 4).unwrap();
    assert_eq!(txids(chain.mempool()), [second.txid]);
    assert_eq!(
        chain.replace(&first.txid, vec![3], 4),
        Err(SimError::NotInMempool(first.txid))
    );
}

#[test]
fn a_reorganisation_returns_the_transactions_and_remining_makes_other_blocks() {
    let mut chain = SimChain::default();
    let low = chain.pay(vec![1], 5).unwrap();
    chain.mine(1).unwrap();
    let high = chain.pay(vec![2], 6).unwrap();
    let before = chain.mine(1).unwrap();
    assert_eq!(chain.reorganise(2, false).unwrap().height, 0);
    assert_eq!(txids(chain.mempool()), [low.txid, high.txid]);
    let after = chain.mine(2).unwrap();
    assert_eq!(after.height, before.height);
    assert_ne!(after.hash, before.hash);
    assert!(
        chain.block(&before.hash).is_some(),
        "a stale block stays known"
    );
}

#[test]
fn a_reorganisation_can_lose_the_transactions() {
    let mut chain = SimChain::default();
    chain.pay(vec![1], 5).unwrap();
    chain.mine(1).unwrap();
    chain.reorganise(1, true).unwrap();
    chain.mine(1).unwrap();
    assert!(chain.block_at(1).unwrap().transactions.is_empty());
}

#[test]
fn notices_are_numbered_without_gaps_and_tell_everything_in_order() {
    let mut chain = SimChain::default();
    let first = chain.pay(vec![1], 5).unwrap();
    let second = chain.replace(&first.txid, vec![1], 6).unwrap();
    let tip = chain.mine(1).unwrap();
    chain.reorganise(1, false).unwrap();
    let notices = chain.take_notices();
    let numbers: Vec<u64> = notices.iter().map(|one| one.sequence).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    let events: Vec<Event> = notices.into_iter().map(|one| one.event).collect();
    assert_eq!(
        events,
        [
            Event::Added(first.clone()),
            Event::Removed(first.txid),
            Event::Added(second.clone()),
            Event::Connected(tip),
            Event::Disconnected(tip),
            Event::Added(second),
        ]
    );
    assert!(chain.take_notices().is_empty());
}

#[test]
fn what_is_out_of_range_is_refused_by_name() {
    let mut chain = SimChain::default();
    assert_eq!(chain.pay(vec![], 0), Err(SimError::Amount(0)));
    let too_much = AMOUNT_SATS_MAX + 1;
    assert_eq!(chain.pay(vec![], too_much), Err(SimError::Amount(too_much)));
    assert_eq!(chain.mine(0), Err(SimError::Blocks(0)));
    assert_eq!(chain.mine(1_001), Err(SimError::Blocks(1_001)));
    assert_eq!(
        chain.reorganise(1, false),
        Err(SimError::Depth { depth: 1, max: 0 })
    );
}

/// A transaction that spends the first outputs of these.
fn spending(id: u8, parents: &[&Transaction], amount_sats: u64) -> Transaction {
    Transaction {
        txid: Hash([id; 32]),
        coinbase: false,
        inputs: parents.iter().map(|parent| (parent.txid, 0)).collect(),
        outputs: vec![Output {
            vout: 0,
            script: vec![id],
            amount_sats,
        }],
    }
}

#[test]
fn an_output_is_spent_once_and_a_known_transaction_is_said_to_be_known() {
    let mut chain = SimChain::default();
    let coin = chain.pay(vec![1], 1_000).unwrap();
    chain.mine(1).unwrap();
    let first = chain.submit(spending(7, &[&coin], 900)).unwrap();
    let again = chain.submit(first.clone());
    assert_eq!(again, Err(SimError::Known(first.txid)));
    chain.mine(1).unwrap();
    assert_eq!(
        chain.submit(first.clone()),
        Err(SimError::Known(first.txid))
    );
    let second = chain.submit(spending(8, &[&coin], 900));
    assert_eq!(second, Err(SimError::Spent(coin.txid, 0)));
    let nothing = spending(9, &[&spending(99, &[], 5)], 1);
    assert!(matches!(chain.submit(nothing), Err(SimError::Spent(..))));
}

#[test]
fn a_higher_fee_replaces_what_waits_and_a_lower_one_does_not() {
    let mut chain = SimChain::default();
    let coin = chain.pay(vec![1], 1_000).unwrap();
    chain.mine(1).unwrap();
    let low = chain.submit(spending(7, &[&coin], 900)).unwrap();
    let lower = chain.submit(spending(8, &[&coin], 950));
    assert_eq!(lower, Err(SimError::Fee(low.txid)));
    let high = chain.submit(spending(9, &[&coin], 800)).unwrap();
    assert_eq!(chain.mempool(), std::slice::from_ref(&high));
    assert_eq!(
        chain.submit(spending(10, &[&coin], 2_000)),
        Err(SimError::Amount(2_000))
    );
    chain.mine(1).unwrap();
    chain.reorganise(1, false).unwrap();
    assert_eq!(chain.mempool(), [high]);
}
