//! From a proposal to six confirmations, and the money on its way.

use bitcoin::consensus::encode::serialize;
use bitcoin::{Psbt, Script, TxOut, Witness};
use dctrl_ledger::{BlockInput, MemoryState, apply, query};
use dctrl_proto::v1::{PaymentView, PayoutState};
use miniscript::Interpreter;
use proptest::prelude::*;

use crate::common::payouts::{
    CAROL, DAVE, ERIN, SMALL, newest, propose, signed, transaction, waiting,
};
use crate::common::{Federation, NODES};

#[test]
fn a_payout_is_proposed_approved_signed_sent_confirmed_and_settled() {
    let mut federation = Federation::rich(&[60_000, 70_000]);
    let before = federation.balance("asset:bitcoin");
    let payout = federation.propose_payout(CAROL, &[20_000, 30_000]).unwrap();
    assert_eq!(payout.state(), PayoutState::Proposed);
    assert_eq!(
        payout.awaited,
        ["member/carol", "member/dave", "member/erin"]
    );
    let version = newest(&payout).clone();
    let owed = format!("liability:payout:{}", payout.id);
    let fee = i64::try_from(version.fee_sats).unwrap();
    assert_eq!(federation.balance(&owed), -50_000 - fee);

    let payout = federation.approve_payout(DAVE, &payout).unwrap();
    assert_eq!(payout.state(), PayoutState::Approved);
    let payout = federation.signed_by(&payout, &[2]);
    assert_eq!(payout.state(), PayoutState::Signing);
    assert_eq!(payout.awaited, ["member/carol", "member/dave"]);
    let payout = federation.signed_by(&payout, &[0]);
    assert_eq!(payout.state(), PayoutState::Ready);
    assert_eq!(payout.awaited.len(), NODES.len());
    let version = newest(&payout).clone();
    assert_eq!(
        transaction(&version).compute_txid().to_string(),
        hex::encode(&version.txid),
        "signing has not changed the id that was ordered"
    );

    let payout = federation.see_payout(&NODES[..2], &waiting(&payout, &version.txid));
    assert_eq!(payout.state(), PayoutState::Broadcast);
    let payout = federation.mined(&payout, &version.txid, 111, 115);
    assert_eq!(payout.state(), PayoutState::Confirmed);
    assert!(!payout.settled);
    assert_eq!(payout.awaits, "1 more confirmation(s)");
    federation.tip(116);
    let payout = federation.payout(&payout.id);
    assert!(payout.settled);
    assert_eq!(federation.balance(&owed), 0);
    assert_eq!(federation.balance("expense:payouts"), 50_000);
    assert_eq!(federation.balance("expense:network-fees"), fee);
    assert_eq!(federation.balance("asset:bitcoin"), before - 50_000 - fee);
}

#[test]
fn the_finished_transaction_satisfies_the_scripts_that_it_spends() {
    let mut federation = Federation::rich(&[30_000, 31_000, 32_000]);
    let payout = federation.ready(&[80_000]);
    let version = newest(&payout);
    let ordered = Psbt::deserialize(&version.psbt).unwrap();
    let spent: Vec<TxOut> = ordered
        .inputs
        .iter()
        .map(|input| input.witness_utxo.clone().unwrap())
        .collect();
    let transaction = transaction(version);
    assert_eq!(transaction.input.len(), 3);
    let curve = bitcoin::secp256k1::Secp256k1::new();
    for (position, input) in transaction.input.iter().enumerate() {
        let interpreter = Interpreter::from_txdata(
            &spent[position].script_pubkey,
            Script::new(),
            &input.witness,
            input.sequence,
            transaction.lock_time,
        )
        .unwrap();
        let prevouts = bitcoin::sighash::Prevouts::All(&spent);
        for step in interpreter.iter(&curve, &transaction, position, &prevouts) {
            step.unwrap();
        }
    }
    assert!(
        transaction.vsize() <= usize::try_from(version.virtual_size).unwrap(),
        "the size that the fee was counted for is an upper bound"
    );
    let pays: u64 = transaction
        .output
        .iter()
        .map(|one| one.value.to_sat())
        .sum();
    assert_eq!(93_000 - pays, version.fee_sats);
}

#[test]
fn any_two_copayers_in_any_order_make_the_transaction() {
    let mut made = Vec::new();
    for pair in [[0, 1], [1, 0], [0, 2], [2, 0], [1, 2], [2, 1]] {
        let mut federation = Federation::rich(&[60_000, 70_000]);
        let payout = federation.approved(&[20_000, 30_000]);
        let payout = federation.signed_by(&payout, &pair);
        assert_eq!(payout.state(), PayoutState::Ready, "{pair:?}");
        made.push(newest(&payout).transaction.clone());
    }
    assert_eq!(made[0], made[1]);
    assert_eq!(made[2], made[3]);
    assert_eq!(made[4], made[5]);
    assert_ne!(made[0], made[2]);
}

#[test]
fn one_returned_psbt_may_carry_the_signatures_of_several() {
    let mut federation = Federation::rich(&[60_000]);
    let payout = federation.approved(&[20_000]);
    let mut both = Psbt::deserialize(&signed(newest(&payout), 0)).unwrap();
    let second = Psbt::deserialize(&signed(newest(&payout), 1)).unwrap();
    both.combine(second).unwrap();
    let payout = federation.hand_in(&payout, both.serialize()).unwrap();
    assert_eq!(payout.state(), PayoutState::Ready);
    assert_eq!(newest(&payout).signers.len(), 2);
}

#[test]
fn change_becomes_a_coin_and_its_address_is_never_used_twice() {
    let mut federation = Federation::rich(&[90_000]);
    let first = federation.ready(&[20_000]);
    let version = newest(&first).clone();
    assert!(version.change_sats > 0);
    assert_eq!(version.change_index, 0);
    federation.mined(&first, &version.txid, 111, 120);
    let second = federation.ready(&[30_000]);
    let input = &newest(&second).inputs[0];
    assert!(input.change);
    assert_eq!(input.outpoint.clone().unwrap().txid, version.txid);
    assert_eq!(newest(&second).change_index, 1);
}

#[test]
fn a_coin_is_locked_to_one_payout() {
    let mut federation = Federation::rich(&[60_000, 70_000]);
    let first = federation.propose_payout(CAROL, &[50_000]).unwrap();
    let second = federation.propose_payout(ERIN, &[50_000]).unwrap();
    let inputs = |payout: &dctrl_proto::v1::Payout| newest(payout).inputs.clone();
    assert!(
        inputs(&first)
            .iter()
            .all(|one| !inputs(&second).contains(one))
    );
    let third = federation.propose_payout(CAROL, &[1_000]).unwrap_err();
    assert_eq!(third.rule, "payout.funds");
}

#[test]
fn every_copy_of_the_transaction_names_who_broadcasts_and_in_which_order() {
    let mut federation = Federation::rich(&[60_000]);
    let payout = federation.ready(&[20_000]);
    let mut seats = newest(&payout).executors.clone();
    seats.sort_unstable();
    assert_eq!(seats, [0, 1, 2, 3]);
    assert_eq!(payout.seen.map(|seen| seen.view()), None::<PaymentView>);
}

/// The coins' payments in the order `order`, then one proposal: its PSBT.
fn psbt_after(order: &[usize]) -> (Vec<u8>, [u8; 32]) {
    let coins = [21_000u64, 22_000, 33_000, 44_000, 55_000];
    let mut federation = Federation::with(crate::common::payouts::with_payouts);
    let vends: Vec<_> = coins.iter().map(|_| federation.guest_quote()).collect();
    for position in order {
        let number = u8::try_from(50 + position).unwrap();
        let payment = crate::common::payment(&vends[*position], number, coins[*position]);
        for node in NODES {
            let payment = crate::common::in_block(&payment, 100);
            federation.submit(node, &payment).unwrap();
        }
    }
    federation.tip(110);
    let action = federation.action(CAROL, &propose(&[30_000, SMALL - 40_000]));
    let receipt = federation.block(&[action]).remove(0);
    assert_eq!(receipt.refusal, None);
    let payout = federation.payout(&receipt.subject);
    // Another node that replays the same blocks has the same state.
    let mut replica = MemoryState::default();
    let mut genesis = crate::common::genesis::genesis();
    crate::common::payouts::with_payouts(&mut genesis);
    replica.apply(&dctrl_ledger::genesis(&genesis).unwrap().changes);
    for (height, (time_ms, transactions)) in (1..).zip(&federation.log) {
        let transactions: Vec<&[u8]> = transactions.iter().map(Vec::as_slice).collect();
        let block = BlockInput {
            height,
            time_ms: *time_ms,
            transactions: &transactions,
        };
        replica.apply(&apply(&replica, &block).changes);
    }
    assert_eq!(
        query::state_digest(&replica),
        query::state_digest(&federation.state)
    );
    assert_eq!(query::payout(&replica, &payout.id).unwrap(), payout);
    (newest(&payout).psbt.clone(), query::state_digest(&replica))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn the_psbt_is_the_same_bytes_in_whatever_order_its_coins_came(
        order in Just(vec![0usize, 1, 2, 3, 4]).prop_shuffle()
    ) {
        let (psbt, _) = psbt_after(&order);
        let (again, _) = psbt_after(&[0, 1, 2, 3, 4]);
        prop_assert_eq!(hex::encode(psbt), hex::encode(again));
    }
}

#[test]
fn inputs_and_outputs_are_sorted_as_bip_69_says_and_may_be_replaced() {
    let mut federation = Federation::rich(&[40_000, 41_000, 42_000]);
    let payout = federation.propose_payout(CAROL, &[50_000, 20_000]).unwrap();
    let psbt = Psbt::deserialize(&newest(&payout).psbt).unwrap();
    let transaction = &psbt.unsigned_tx;
    let amounts: Vec<u64> = transaction
        .output
        .iter()
        .map(|one| one.value.to_sat())
        .collect();
    assert!(amounts.is_sorted());
    let inputs = &newest(&payout).inputs;
    assert!(inputs.is_sorted_by_key(|one| one.outpoint.clone().unwrap().txid));
    assert!(
        transaction
            .input
            .iter()
            .all(|one| one.sequence.0 == 0xffff_fffd)
    );
    assert_eq!(transaction.version.0, 2);
    let lock = transaction.lock_time.to_consensus_u32();
    assert!((11..=110).contains(&lock), "{lock}");
    assert!(
        transaction
            .input
            .iter()
            .all(|one| one.witness == Witness::new())
    );
    assert!(!serialize(transaction).is_empty());
}
