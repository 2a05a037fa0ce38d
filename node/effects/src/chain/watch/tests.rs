use dctrl_proto::v1::PaymentVote;

use super::*;

const SCRIPT: [u8; 3] = [1, 2, 3];

fn transaction(id: u8, coinbase: bool) -> Transaction {
    Transaction {
        txid: Hash([id; 32]),
        coinbase,
        inputs: Vec::new(),
        outputs: vec![Output {
            vout: 0,
            script: SCRIPT.to_vec(),
            amount_sats: 1_500,
        }],
    }
}

fn tip(height: u32) -> Tip {
    Tip {
        height,
        hash: Hash([u8::try_from(height % 256).unwrap(); 32]),
    }
}

fn block(height: u32, transactions: &[Transaction]) -> Block {
    Block {
        height,
        hash: tip(height).hash,
        previous: tip(height - 1).hash,
        transactions: transactions.to_vec(),
    }
}

/// A view that watches one address from block 0 on.
fn watching() -> Watch {
    let mut watch = Watch::default();
    watch.begin_above(tip(0));
    assert!(watch.watch(SCRIPT.to_vec(), 7));
    watch
}

/// What is said, as `view@height`; counts as said.
fn say(watch: &mut Watch) -> Vec<String> {
    let unsaid = watch.unsaid();
    unsaid
        .into_iter()
        .map(|(key, observation)| {
            watch.said(key);
            assert_eq!(
                (observation.address_index, observation.amount_sats),
                (7, 1_500)
            );
            format!(
                "{}@{}",
                observation.view().as_str_name(),
                observation.block_height
            )
        })
        .collect()
}

fn check(watch: &mut Watch, in_mempool: bool) {
    for txid in watch.unchecked() {
        watch.checked(txid, in_mempool.then(PaymentDoubts::default));
    }
}

#[test]
fn a_payment_is_said_once_in_the_mempool_and_once_in_its_block() {
    let mut watch = watching();
    let paid = transaction(1, false);
    watch.see(&paid);
    assert!(say(&mut watch).is_empty(), "a hint is no fact");
    check(&mut watch, true);
    assert_eq!(say(&mut watch), ["IN_MEMPOOL@0"]);
    watch.see(&paid);
    check(&mut watch, true);
    assert!(say(&mut watch).is_empty());
    watch.connect(&block(1, std::slice::from_ref(&paid)));
    assert_eq!(say(&mut watch), ["IN_BLOCK@1"]);
    watch.see(&paid);
    watch.connect(&block(2, &[]));
    check(&mut watch, false);
    assert!(say(&mut watch).is_empty());
}

#[test]
fn a_replaced_payment_is_said_to_be_absent() {
    let mut watch = watching();
    watch.see(&transaction(1, false));
    check(&mut watch, true);
    say(&mut watch);
    watch.removed(Hash([1; 32]));
    check(&mut watch, false);
    assert_eq!(say(&mut watch), ["ABSENT@0"]);
}

#[test]
fn a_payment_that_was_never_said_needs_no_absence() {
    let mut watch = watching();
    watch.see(&transaction(1, false));
    check(&mut watch, false);
    assert!(say(&mut watch).is_empty());
}

#[test]
fn a_mined_conflict_is_found_without_a_notice() {
    let mut watch = watching();
    watch.see(&transaction(1, false));
    check(&mut watch, true);
    say(&mut watch);
    watch.connect(&block(1, &[]));
    check(&mut watch, false);
    assert_eq!(say(&mut watch), ["ABSENT@0"]);
}

#[test]
fn a_reorganised_payment_is_said_again_where_it_is_now() {
    let mut watch = watching();
    watch.connect(&block(1, &[transaction(1, false), transaction(2, false)]));
    assert_eq!(say(&mut watch), ["IN_BLOCK@1", "IN_BLOCK@1"]);
    watch.disconnect();
    watch.checked(Hash([1; 32]), Some(PaymentDoubts::default()));
    watch.checked(Hash([2; 32]), None);
    assert_eq!(say(&mut watch), ["IN_MEMPOOL@0", "ABSENT@0"]);
    let mut other = block(1, &[transaction(1, false)]);
    other.hash = Hash([99; 32]);
    watch.connect(&other);
    assert_eq!(say(&mut watch), ["IN_BLOCK@1"]);
}

#[test]
fn a_payment_that_came_before_its_quote_is_found() {
    let mut watch = Watch::default();
    watch.begin_above(tip(0));
    watch.see(&transaction(1, false));
    watch.connect(&block(1, &[transaction(2, false)]));
    assert!(watch.unchecked().is_empty(), "nobody's payments");
    watch.watch(SCRIPT.to_vec(), 7);
    check(&mut watch, true);
    assert_eq!(say(&mut watch), ["IN_MEMPOOL@0", "IN_BLOCK@1"]);
}

#[test]
fn a_block_reward_is_said_to_be_one() {
    let mut watch = watching();
    watch.connect(&block(1, &[transaction(1, true)]));
    let unsaid = watch.unsaid();
    assert!(unsaid[0].1.coinbase, "the ledger waits longer for it");
}

#[test]
fn what_speaks_against_a_payment_is_said_and_taken_back() {
    let mut watch = watching();
    watch.see(&transaction(1, false));
    let doubts = PaymentDoubts {
        unconfirmed_parent: true,
        ..PaymentDoubts::default()
    };
    watch.checked(Hash([1; 32]), Some(doubts));
    assert_eq!(watch.unsaid()[0].1.doubts, Some(doubts));
    assert_eq!(say(&mut watch), ["IN_MEMPOOL@0"]);
    watch.recheck();
    watch.checked(Hash([1; 32]), Some(doubts));
    assert!(say(&mut watch).is_empty(), "nothing new");
    watch.recheck();
    check(&mut watch, true);
    assert_eq!(watch.unsaid()[0].1.doubts, None);
    assert_eq!(say(&mut watch), ["IN_MEMPOOL@0"], "its parent was mined");
}

/// The bus tells that node 2 had said this.
fn told(view: PaymentView, height: u32, node: u32) -> Payment {
    Payment {
        outpoint: Some(Outpoint {
            txid: vec![1; 32],
            vout: 0,
        }),
        address_index: 7,
        amount_sats: 1_500,
        votes: vec![PaymentVote {
            node,
            view: view.into(),
            block_height: height,
            block_hash: tip(height).hash.0.to_vec(),
            ..PaymentVote::default()
        }],
        ..Payment::default()
    }
}

#[test]
fn what_was_said_before_a_restart_is_not_said_again() {
    let mut watch = watching();
    watch.told(&told(PaymentView::InMempool, 0, 2), Some(2));
    watch.told(&told(PaymentView::InBlock, 1, 2), Some(2));
    watch.connect(&block(1, &[transaction(1, false)]));
    assert!(say(&mut watch).is_empty());
    assert!(
        watch.blocks_to_verify().is_empty(),
        "its block is among the kept"
    );
}

#[test]
fn what_another_node_said_does_not_count_as_said() {
    let mut watch = watching();
    watch.told(&told(PaymentView::InBlock, 1, 3), Some(2));
    watch.connect(&block(1, &[transaction(1, false)]));
    assert_eq!(say(&mut watch), ["IN_BLOCK@1"]);
}

#[test]
fn a_block_of_an_earlier_run_is_verified_and_its_loss_is_said() {
    let mut watch = Watch::default();
    watch.told(&told(PaymentView::InBlock, 1, 2), Some(2));
    watch.begin_above(tip(50));
    assert_eq!(watch.blocks_to_verify(), BTreeSet::from([(1, tip(1).hash)]));
    watch.not_in_chain(tip(1).hash);
    watch.verified();
    check(&mut watch, false);
    assert_eq!(say(&mut watch), ["ABSENT@0"]);
}

#[test]
fn an_older_frame_does_not_undo_what_was_said_since() {
    let mut watch = watching();
    watch.connect(&block(1, &[transaction(1, false)]));
    say(&mut watch);
    watch.told(&told(PaymentView::InMempool, 0, 2), Some(2));
    assert!(say(&mut watch).is_empty());
}

#[test]
fn a_view_that_was_lost_is_said_again_even_an_absence() {
    let mut watch = watching();
    watch.see(&transaction(1, false));
    check(&mut watch, true);
    say(&mut watch);
    watch.removed(Hash([1; 32]));
    check(&mut watch, false);
    assert_eq!(say(&mut watch), ["ABSENT@0"]);
    watch.unsay((Hash([1; 32]), 0));
    assert_eq!(say(&mut watch), ["ABSENT@0"]);
}

/// What others believe, confirmed in the block of that height on another branch.
fn believed(height: u32) -> Payment {
    let mut payment = told(PaymentView::InBlock, height, 3);
    payment.set_state(PaymentState::Final);
    payment.block_height = height;
    payment.block_hash = vec![0xee; 32];
    payment
}

#[test]
fn a_payment_that_others_believe_in_another_block_than_ours_is_said_to_be_absent() {
    let mut watch = watching();
    watch.connect(&block(1, &[]));
    watch.told(&believed(2), Some(2));
    assert!(
        watch.unchecked().is_empty(),
        "our chain may come to that block"
    );
    watch.connect(&block(2, &[]));
    check(&mut watch, false);
    assert_eq!(say(&mut watch), ["ABSENT@0"]);
    watch.connect(&block(3, &[]));
    assert!(say(&mut watch).is_empty(), "once");
    // Told behind our block, it is the same, but of blocks before the walk.
    let mut watch = watching();
    watch.begin_above(tip(5));
    watch.connect(&block(6, &[]));
    watch.told(&believed(4), Some(2));
    assert!(watch.unchecked().is_empty());
    watch.told(&believed(6), Some(2));
    check(&mut watch, false);
    assert_eq!(say(&mut watch), ["ABSENT@0"]);
}

#[test]
fn a_payment_in_a_block_that_our_chain_has_too_is_not_denied() {
    let mut watch = watching();
    let mut payment = believed(1);
    payment.block_hash = tip(1).hash.0.to_vec();
    watch.told(&payment, Some(2));
    watch.connect(&block(1, &[]));
    assert!(watch.unchecked().is_empty());
    // Until that block is undone.
    watch.disconnect();
    let mut other = block(1, &[]);
    other.hash = Hash([0xdd; 32]);
    watch.connect(&other);
    check(&mut watch, false);
    assert_eq!(say(&mut watch), ["ABSENT@0"]);
}

#[test]
fn a_payment_that_others_see_is_denied_once_a_block_has_come_and_it_has_not() {
    let mut watch = watching();
    watch.connect(&block(1, &[]));
    let mut payment = told(PaymentView::InMempool, 0, 3);
    payment.set_state(PaymentState::Seen);
    watch.told(&payment, Some(2));
    assert!(watch.unchecked().is_empty(), "it may be on its way");
    watch.connect(&block(2, &[]));
    check(&mut watch, false);
    assert_eq!(say(&mut watch), ["ABSENT@0"]);
}

#[test]
fn a_payment_that_others_see_is_looked_for_when_the_walk_begins() {
    for (is_there, say_of_it) in [(true, "IN_MEMPOOL@0"), (false, "ABSENT@0")] {
        let mut watch = Watch::default();
        let mut payment = told(PaymentView::InMempool, 0, 3);
        payment.set_state(PaymentState::Seen);
        watch.told(&payment, Some(2));
        watch.begin_above(tip(50));
        check(&mut watch, is_there);
        assert_eq!(say(&mut watch), [say_of_it]);
    }
}

#[test]
fn what_was_said_meanwhile_of_a_payment_that_others_see_stands() {
    let mut watch = watching();
    watch.connect(&block(1, &[]));
    let mut payment = told(PaymentView::InMempool, 0, 3);
    payment.set_state(PaymentState::Seen);
    watch.told(&payment, Some(2));
    watch.see(&transaction(1, false));
    check(&mut watch, true);
    assert_eq!(say(&mut watch), ["IN_MEMPOOL@0"]);
    watch.connect(&block(2, &[]));
    check(&mut watch, true);
    assert!(say(&mut watch).is_empty());
}

/// This node has seen a payment and lost it again, and the ledger has refused to
/// hear of its absence.
fn refused_absence(told_before: impl Fn(&mut Watch), told_behind: impl Fn(&mut Watch)) -> Watch {
    let mut watch = watching();
    watch.connect(&block(1, &[]));
    watch.see(&transaction(1, false));
    check(&mut watch, true);
    assert_eq!(say(&mut watch), ["IN_MEMPOOL@0"]);
    watch.recheck();
    check(&mut watch, false);
    assert_eq!(say(&mut watch), ["ABSENT@0"]);
    told_before(&mut watch);
    watch.refused((Hash([1; 32]), 0));
    told_behind(&mut watch);
    watch
}

#[test]
fn an_absence_that_was_ordered_before_what_it_takes_back_is_said_again() {
    // The sighting came to the ledger behind it: own vote, or only that of others.
    for node in [2, 3] {
        let tell = |watch: &mut Watch| {
            let mut payment = told(PaymentView::InMempool, 0, node);
            payment.set_state(PaymentState::Seen);
            watch.told(&payment, Some(2));
            watch.connect(&block(2, &[]));
        };
        let nothing = |_: &mut Watch| {};
        let mut watch = refused_absence(tell, nothing);
        assert_eq!(say(&mut watch), ["ABSENT@0"], "told before the refusal");
        watch.refused((Hash([1; 32]), 0));
        assert!(say(&mut watch).is_empty(), "and not for ever");
        let mut watch = refused_absence(nothing, tell);
        check(&mut watch, false);
        assert_eq!(say(&mut watch), ["ABSENT@0"], "told behind it");
    }
    let mut watch = refused_absence(|_| {}, |_| {});
    assert!(say(&mut watch).is_empty(), "nobody has heard of it");
}

#[test]
fn a_final_payment_is_looked_for_after_a_start_where_its_block_may_be_undone() {
    let kept = u32::try_from(BLOCKS_KEPT).unwrap();
    for (begun, looked_for) in [(10, true), (kept + 2, true), (kept + 3, false)] {
        let mut watch = Watch::default();
        let mut payment = told(PaymentView::InBlock, 3, 2);
        payment.set_state(PaymentState::Final);
        watch.told(&payment, Some(2));
        watch.begin_above(tip(begun));
        let asked = watch.blocks_to_verify();
        assert_eq!(asked.contains(&(3, tip(3).hash)), looked_for, "{begun}");
    }
}
