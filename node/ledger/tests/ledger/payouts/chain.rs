//! What the chain does to payouts: confirmations, reorganisations, conflicts,
//! replacements.

use dctrl_ledger::audit;
use dctrl_proto::v1::{PayoutBump, PayoutCancel, PayoutKind, PayoutState, Refusal};

use crate::common::nodes::rule;
use crate::common::payouts::{
    CAROL, DAVE, conflict, mined_at, newest, nowhere, signed, transaction, waiting,
};
use crate::common::{Federation, NODES};

pub(super) fn bump(
    federation: &mut Federation,
    id: &str,
    fee_rate: u64,
) -> Result<String, Refusal> {
    let payout_id = id.to_owned();
    federation.submit(
        CAROL,
        &PayoutBump {
            payout_id,
            fee_rate,
        },
    )
}

pub(super) fn cancel(federation: &mut Federation, id: &str) -> Result<String, Refusal> {
    let payout_id = id.to_owned();
    let reason = "wrong account".to_owned();
    federation.submit(CAROL, &PayoutCancel { payout_id, reason })
}

#[test]
fn one_node_alone_moves_nothing() {
    let mut federation = Federation::rich(&[60_000]);
    let payout = federation.ready(&[20_000]);
    let txid = newest(&payout).txid.clone();
    let seen = federation.see_payout(&NODES[..1], &mined_at(&payout, &txid, 111));
    assert_eq!(seen.state(), PayoutState::Ready);
    // Two see it in a block, but only a quorum settles it.
    let seen = federation.see_payout(&NODES[1..2], &mined_at(&payout, &txid, 111));
    assert_eq!(seen.state(), PayoutState::Confirmed);
    federation.tip(130);
    assert!(!federation.payout(&payout.id).settled);
    let seen = federation.see_payout(&NODES[2..3], &mined_at(&payout, &txid, 111));
    assert!(seen.settled);
}

#[test]
fn a_reorganisation_before_the_end_takes_it_back_to_the_mempool_and_on_again() {
    for depth in 1..6 {
        let mut federation = Federation::rich(&[60_000]);
        let payout = federation.ready(&[20_000]);
        let txid = newest(&payout).txid.clone();
        let payout = federation.mined(&payout, &txid, 111, 110 + depth);
        assert_eq!(payout.state(), PayoutState::Confirmed, "depth {depth}");
        let payout = federation.see_payout(&NODES, &waiting(&payout, &txid));
        assert_eq!(payout.state(), PayoutState::Broadcast, "depth {depth}");
        let payout = federation.see_payout(&NODES, &nowhere(&payout));
        assert_eq!(payout.state(), PayoutState::Ready, "it is sent again");
        let payout = federation.mined(&payout, &txid, 112, 117);
        assert!(payout.settled);
        assert_eq!(federation.balance("expense:payouts"), 20_000);
    }
}

#[test]
fn a_reorganisation_after_the_end_freezes_it_for_people() {
    let mut federation = Federation::rich(&[60_000]);
    let payout = federation.ready(&[20_000]);
    let txid = newest(&payout).txid.clone();
    let payout = federation.mined(&payout, &txid, 111, 116);
    assert!(payout.settled && !payout.frozen);
    let payout = federation.see_payout(&NODES, &nowhere(&payout));
    assert!(payout.frozen);
    assert!(payout.awaits.starts_with("people"));
    let payout = federation.mined(&payout, &txid, 112, 118);
    assert!(!payout.frozen, "the same transaction is in a block again");
    assert_eq!(federation.balance("expense:payouts"), 20_000);
}

#[test]
fn change_waits_while_its_transaction_is_undone_and_is_counted_from_its_new_block() {
    let mut federation = Federation::rich(&[60_000]);
    let payout = federation.ready(&[20_000]);
    let txid = newest(&payout).txid.clone();
    let payout = federation.mined(&payout, &txid, 111, 116);
    assert!(payout.settled);
    let payout = federation.see_payout(&NODES, &nowhere(&payout));
    let refused = |federation: &mut Federation| rule(federation.propose_payout(DAVE, &[5_000]));
    assert_eq!(refused(&mut federation), "payout.funds");
    federation.mined(&payout, &txid, 114, 118);
    assert_eq!(refused(&mut federation), "payout.funds", "five deep");
    federation.tip(119);
    let next = federation.propose_payout(DAVE, &[5_000]).unwrap();
    assert_eq!(next.origins[0].txid, txid);
    assert_eq!(next.origins[0].block_height, 114);
    audit::full(&federation.state).unwrap();
}

#[test]
fn an_input_spent_by_a_stranger_invalidates_it_and_names_the_transaction() {
    let mut federation = Federation::rich(&[60_000]);
    let before = federation.balance("asset:bitcoin");
    let payout = federation.ready(&[20_000]);
    let payout = federation.see_payout(&NODES, &conflict(&payout, 111));
    assert_eq!(payout.state(), PayoutState::Invalidated);
    assert_eq!(payout.seen.clone().unwrap().txid, [0xcc; 32]);
    let psbt = signed(newest(&payout), 2);
    assert_eq!(rule(federation.hand_in(&payout, psbt)), "payout.state");
    // The chain may still change its mind,
    let payout = federation.see_payout(&NODES, &nowhere(&payout));
    assert_eq!(payout.state(), PayoutState::Ready);
    // and when it does not, the loss is in the books.
    federation.see_payout(&NODES, &conflict(&payout, 112));
    federation.tip(117);
    let payout = federation.payout(&payout.id);
    assert_eq!(payout.state(), PayoutState::Invalidated);
    assert!(payout.settled);
    assert_eq!(federation.balance("expense:unexplained"), 60_000);
    assert_eq!(federation.balance("expense:payouts"), 0);
    assert_eq!(federation.balance("asset:bitcoin"), before - 60_000);
}

#[test]
fn a_single_copayer_voids_nobodys_signatures() {
    let mut federation = Federation::rich(&[60_000]);
    let payout = federation.approved(&[20_000]);
    let payout = federation.signed_by(&payout, &[0]);
    let id = payout.id.clone();
    let by = |seed: u8, federation: &mut Federation| {
        let bump = PayoutBump {
            payout_id: id.clone(),
            fee_rate: 9_000,
        };
        let cancel = PayoutCancel {
            payout_id: id.clone(),
            reason: "no".to_owned(),
        };
        let bumped = federation.submit(seed, &bump);
        [bumped, federation.submit(seed, &cancel)].map(rule)
    };
    assert_eq!(by(DAVE, &mut federation), ["payout.creator"; 2]);
    let payout = federation.signed_by(&payout, &[1]);
    assert_eq!(payout.state(), PayoutState::Ready);
    assert_eq!(by(DAVE, &mut federation), ["payout.creator"; 2]);
    // Nor keeps it from being sent again, where mempools have dropped it.
    let txid = newest(&payout).txid.clone();
    federation.see_payout(&NODES, &waiting(&payout, &txid));
    assert_eq!(by(DAVE, &mut federation), ["payout.creator"; 2]);
}

#[test]
fn a_broadcast_outside_the_federation_is_noticed() {
    let mut federation = Federation::rich(&[60_000]);
    let payout = federation.approved(&[20_000]);
    let payout = federation.signed_by(&payout, &[0]);
    let txid = newest(&payout).txid.clone();
    let payout = federation.see_payout(&NODES, &waiting(&payout, &txid));
    assert_eq!(payout.state(), PayoutState::Broadcast);
    let told = &payout.history.last().unwrap().detail;
    assert!(told.contains("was broadcast outside"), "{told}");
    let payout = federation.mined(&payout, &txid, 111, 116);
    assert!(payout.settled);
}

#[test]
fn a_bump_spends_the_same_coins_pays_the_same_people_and_more_fee() {
    let mut federation = Federation::rich(&[60_000, 70_000]);
    let payout = federation.ready(&[20_000, 21_000]);
    let first = newest(&payout).clone();
    federation.see_payout(&NODES, &waiting(&payout, &first.txid));
    bump(&mut federation, &payout.id, 5_000).unwrap();
    let payout = federation.payout(&payout.id);
    assert_eq!(payout.versions.len(), 2);
    assert_eq!(
        payout.state(),
        PayoutState::Broadcast,
        "the first one still waits"
    );
    assert!(payout.awaits.contains("signature"), "{}", payout.awaits);
    let second = newest(&payout).clone();
    assert!(first.inputs.iter().all(|one| second.inputs.contains(one)));
    assert!(second.fee_sats > first.fee_sats);
    let payout = federation.signed_by(&payout, &[1, 2]);
    let (old, new) = (transaction(&first), transaction(newest(&payout)));
    let pays = |amount: u64| {
        let to = |tx: &bitcoin::Transaction| {
            let mut outputs = tx.output.iter();
            outputs.find(|one| one.value.to_sat() == amount).cloned()
        };
        to(&old).is_some() && to(&old) == to(&new)
    };
    assert!(pays(20_000) && pays(21_000));
    // Either may be mined; the other one is then impossible.
    let payout = federation.mined(&payout, &first.txid, 111, 116);
    assert!(payout.settled);
    assert_eq!(payout.settled_txid, first.txid);
    let fee = i64::try_from(first.fee_sats).unwrap();
    assert_eq!(federation.balance("expense:network-fees"), fee);
    assert_eq!(federation.balance("expense:payouts"), 41_000);
}

#[test]
fn a_bump_takes_more_coins_where_its_own_do_not_suffice() {
    let mut federation = Federation::rich(&[20_400, 70_000]);
    let payout = federation.approved(&[20_100]);
    assert_eq!(newest(&payout).inputs.len(), 1);
    bump(&mut federation, &payout.id, 4_000).unwrap();
    let payout = federation.payout(&payout.id);
    assert_eq!(newest(&payout).inputs.len(), 2);
    let shared = payout.versions[0].inputs[0].clone();
    assert!(newest(&payout).inputs.contains(&shared));
}

#[test]
fn a_bump_must_pay_more_and_not_too_much() {
    let mut federation = Federation::rich(&[60_000]);
    let payout = federation.propose_payout(CAROL, &[20_000]).unwrap();
    assert_eq!(
        rule(bump(&mut federation, &payout.id, 5_000)),
        "payout.state"
    );
    federation.approve_payout(DAVE, &payout).unwrap();
    assert_eq!(
        rule(bump(&mut federation, &payout.id, 1_000)),
        "payout.fee_rate"
    );
    assert_eq!(
        rule(bump(&mut federation, &payout.id, 100_001)),
        "payout.fee_rate"
    );
    assert_eq!(
        rule(bump(&mut federation, &payout.id, 90_000)),
        "payout.fee"
    );
    for _ in 1..7 {
        bump(&mut federation, &payout.id, 0).unwrap();
    }
    assert_eq!(
        rule(bump(&mut federation, &payout.id, 0)),
        "payout.versions"
    );
    cancel(&mut federation, &payout.id).unwrap();
}

#[test]
fn whatever_fee_a_payout_was_made_to_pay_it_can_be_taken_back() {
    let mut federation = Federation::rich(&[600_000]);
    let payout = federation.approved(&[100_000]);
    bump(&mut federation, &payout.id, 100_000).unwrap();
    let payout = federation.payout(&payout.id);
    assert_eq!(
        newest(&payout).fee_rate,
        100_000,
        "the highest there may be"
    );
    cancel(&mut federation, &payout.id).unwrap();
    let payout = federation.payout(&payout.id);
    assert!(newest(&payout).fee_sats > payout.versions[1].fee_sats);
    let size = |at: usize| u64::from(payout.versions[at].virtual_size);
    let rate = |at: usize| payout.versions[at].fee_sats * 1_000 / size(at);
    assert!(rate(2) > rate(1), "miners prefer it");
}

#[test]
fn before_its_approval_a_payout_is_simply_dropped() {
    let mut federation = Federation::rich(&[60_000]);
    let payout = federation.propose_payout(CAROL, &[50_000]).unwrap();
    let foreign = PayoutCancel {
        payout_id: payout.id.clone(),
        reason: String::new(),
    };
    assert_eq!(rule(federation.submit(DAVE, &foreign)), "payout.creator");
    cancel(&mut federation, &payout.id).unwrap();
    assert_eq!(
        federation.payout(&payout.id).state(),
        PayoutState::Cancelled
    );
    federation.propose_payout(CAROL, &[50_000]).unwrap();
}

#[test]
fn afterwards_its_coins_come_free_only_when_they_are_spent_back_and_buried() {
    let mut federation = Federation::rich(&[60_000]);
    let payout = federation.ready(&[20_000]);
    let first = newest(&payout).clone();
    cancel(&mut federation, &payout.id).unwrap();
    assert_eq!(rule(cancel(&mut federation, &payout.id)), "payout.state");
    let payout = federation.payout(&payout.id);
    let back = newest(&payout).clone();
    assert_eq!(back.kind(), PayoutKind::Cancel);
    assert_eq!(back.inputs, first.inputs);
    assert_eq!(back.change_sats + back.fee_sats, 60_000);
    assert_eq!(
        rule(federation.propose_payout(DAVE, &[20_000])),
        "payout.funds"
    );
    let payout = federation.signed_by(&payout, &[0, 1]);
    assert_eq!(payout.state(), PayoutState::Ready);
    let payout = federation.mined(&payout, &back.txid, 111, 115);
    assert_eq!(payout.state(), PayoutState::Confirmed);
    assert_eq!(
        rule(federation.propose_payout(DAVE, &[20_000])),
        "payout.funds"
    );
    federation.tip(116);
    assert_eq!(
        federation.payout(&payout.id).state(),
        PayoutState::Cancelled
    );
    assert_eq!(federation.balance("expense:payouts"), 0);
    let fee = i64::try_from(back.fee_sats).unwrap();
    assert_eq!(federation.balance("expense:network-fees"), fee);
    federation.propose_payout(DAVE, &[20_000]).unwrap();
}

#[test]
fn a_payment_that_is_mined_in_spite_of_its_cancellation_is_booked_as_paid() {
    let mut federation = Federation::rich(&[60_000]);
    let payout = federation.ready(&[20_000]);
    let first = newest(&payout).clone();
    cancel(&mut federation, &payout.id).unwrap();
    assert_eq!(federation.balance("expense:payouts"), 0);
    let payout = federation.mined(&payout, &first.txid, 111, 116);
    assert_eq!(payout.state(), PayoutState::Confirmed);
    assert!(payout.settled);
    assert_eq!(federation.balance("expense:payouts"), 20_000);
}

#[test]
fn a_node_cannot_say_of_a_strangers_transaction_what_is_no_input() {
    let mut federation = Federation::rich(&[60_000]);
    let payout = federation.ready(&[20_000]);
    let mut lie = conflict(&payout, 111);
    lie.spends[0].vout += 1;
    assert_eq!(rule(federation.submit(NODES[0], &lie)), "payout.spends");
    lie.spends.clear();
    assert_eq!(rule(federation.submit(NODES[0], &lie)), "payout.spends");
    assert_eq!(
        rule(federation.submit(CAROL, &nowhere(&payout))),
        "action.role"
    );
}
