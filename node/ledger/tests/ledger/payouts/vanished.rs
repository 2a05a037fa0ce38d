//! Payouts whose coin is not there any more: a reorganisation has put another
//! transaction of its payer in the place of a deposit.

use dctrl_ledger::{audit, query};
use dctrl_proto::v1::{
    Outpoint, PaymentObserve, Payout, PayoutBump, PayoutInput, PayoutObserve, PayoutState,
};

use crate::common::nodes::rule;
use crate::common::payouts::{
    CAROL, DAVE, conflict, mined_at, newest, nowhere, waiting, with_payouts,
};
use crate::common::{Federation, NODES, absent};

/// What took the place of the deposit.
const REPLACEMENT: [u8; 32] = [0xdd; 32];

/// A federation with these coins, and the payments that made them.
fn rich(coins: &[u64]) -> (Federation, Vec<PaymentObserve>) {
    let mut federation = Federation::with(with_payouts);
    let pay = |(number, sats): (u8, &u64)| {
        let vend = federation.quote();
        let payment = federation.pay(&vend, number, *sats);
        federation.tip(110);
        payment
    };
    let payments = (50..).zip(coins).map(pay).collect();
    (federation, payments)
}

/// The inputs named are undone by a transaction in a block of this height.
fn undone(payout: &Payout, inputs: &[&PayoutInput], height: u32) -> PayoutObserve {
    let mut gone: Vec<Outpoint> = inputs.iter().flat_map(|one| one.outpoint.clone()).collect();
    gone.sort_by(|a, b| (&a.txid, a.vout).cmp(&(&b.txid, b.vout)));
    PayoutObserve {
        gone,
        ..mined_at(payout, &REPLACEMENT, height)
    }
}

fn bump(federation: &mut Federation, payout: &Payout) -> Payout {
    let bump = PayoutBump {
        payout_id: payout.id.clone(),
        fee_rate: 4_000,
    };
    federation.submit(CAROL, &bump).unwrap();
    federation.payout(&payout.id)
}

fn by_sats(payout: &Payout, sats: u64) -> PayoutInput {
    let mut inputs = newest(payout).inputs.iter();
    inputs.find(|one| one.amount_sats == sats).unwrap().clone()
}

#[test]
fn a_payout_remembers_where_its_coins_were_made() {
    let (mut federation, payments) = rich(&[60_000]);
    let payout = federation.approved(&[20_000]);
    assert_eq!(payout.origins.len(), 1);
    let origin = &payout.origins[0];
    assert_eq!(origin.txid, payments[0].outpoint.as_ref().unwrap().txid);
    assert_eq!(origin.block_height, 100);
    assert_eq!(origin.block_hash.len(), 32);
}

#[test]
fn a_deposit_that_is_replaced_for_good_ends_the_payout_and_frees_its_other_coin() {
    for payment_first in [true, false] {
        let (mut federation, payments) = rich(&[30_000, 31_000]);
        let payout = federation.ready(&[50_000]);
        assert_eq!(newest(&payout).inputs.len(), 2);
        let input = by_sats(&payout, 30_000);
        if payment_first {
            federation.see(&NODES, &absent(&payments[0]));
        }
        let payout = federation.see_payout(&NODES, &undone(&payout, &[&input], 108));
        assert_eq!(payout.state(), PayoutState::Invalidated);
        assert!(!payout.settled, "the chain may still change its mind");
        assert_eq!(
            rule(federation.propose_payout(DAVE, &[20_000])),
            "payout.funds"
        );
        federation.tip(113);
        let payout = federation.payout(&payout.id);
        assert_eq!(payout.state(), PayoutState::Invalidated);
        assert!(payout.settled && !payout.frozen);
        assert_eq!(payout.settled_txid, REPLACEMENT);
        assert_eq!(payout.lost_sats, 0, "nobody has spent anything of ours");
        if !payment_first {
            federation.see(&NODES, &absent(&payments[0]));
        }
        assert_eq!(federation.balance("asset:bitcoin"), 31_000);
        assert_eq!(federation.balance("expense:payouts"), 0);
        assert_eq!(federation.balance("expense:network-fees"), 0);
        audit::full(&federation.state).unwrap();
        let again = federation.propose_payout(DAVE, &[20_000]).unwrap();
        assert_eq!(newest(&again).inputs, [by_sats(&again, 31_000)]);
    }
}

#[test]
fn before_it_is_deep_the_chain_may_change_its_mind() {
    let (mut federation, _) = rich(&[60_000]);
    let payout = federation.ready(&[20_000]);
    let input = by_sats(&payout, 60_000);
    let payout = federation.see_payout(&NODES, &undone(&payout, &[&input], 108));
    federation.tip(112);
    let payout = federation.see_payout(&NODES, &nowhere(&payout));
    assert_eq!(payout.state(), PayoutState::Ready);
    let txid = newest(&payout).txid.clone();
    let payout = federation.mined(&payout, &txid, 113, 118);
    assert_eq!(payout.state(), PayoutState::Confirmed);
    assert!(payout.settled);
}

#[test]
fn fewer_nodes_than_a_quorum_undo_nothing() {
    let (mut federation, _) = rich(&[60_000]);
    let payout = federation.ready(&[20_000]);
    let input = by_sats(&payout, 60_000);
    let said = undone(&payout, &[&input], 108);
    let payout = federation.see_payout(&NODES[..1], &said);
    assert_eq!(payout.state(), PayoutState::Ready);
    federation.see_payout(&NODES[1..2], &said);
    federation.tip(130);
    assert!(!federation.payout(&payout.id).settled);
    let payout = federation.see_payout(&NODES[2..3], &said);
    assert!(payout.settled);
}

#[test]
fn where_only_a_later_version_needs_the_coin_the_one_before_is_made_again() {
    for stolen in [false, true] {
        let (mut federation, payments) = rich(&[20_400, 70_000]);
        let payout = federation.ready(&[20_100]);
        let first = newest(&payout).clone();
        let payout = bump(&mut federation, &payout);
        assert_eq!(newest(&payout).inputs.len(), 2);
        let input = by_sats(&payout, 70_000);
        let mut said = undone(&payout, &[&input], 108);
        if stolen {
            said.spends = std::mem::take(&mut said.gone);
        } else {
            federation.see(&NODES, &absent(&payments[1]));
        }
        federation.see_payout(&NODES, &said);
        federation.tip(113);
        let payout = federation.payout(&payout.id);
        assert_eq!(payout.state(), PayoutState::Ready);
        assert_eq!(payout.versions, std::slice::from_ref(&first));
        assert_eq!((payout.versions_dropped, payout.frozen), (1, false));
        assert_eq!(payout.lost_sats, if stolen { 70_000 } else { 0 });
        assert_eq!(federation.balance("asset:bitcoin"), 20_400);
        audit::full(&federation.state).unwrap();
        // The nodes look again and find nothing that speaks against it.
        let payout = federation.see_payout(&NODES, &waiting(&payout, &first.txid));
        assert_eq!(payout.state(), PayoutState::Broadcast);
        let payout = federation.mined(&payout, &first.txid, 114, 119);
        assert_eq!(payout.state(), PayoutState::Confirmed);
        assert_eq!(federation.balance("expense:payouts"), 20_100);
        audit::full(&federation.state).unwrap();
    }
}

#[test]
fn versions_made_after_some_were_dropped_have_new_numbers() {
    let (mut federation, _) = rich(&[20_400, 70_000]);
    let payout = federation.ready(&[20_100]);
    let payout = bump(&mut federation, &payout);
    let input = by_sats(&payout, 70_000);
    federation.see_payout(&NODES, &undone(&payout, &[&input], 108));
    let vend = federation.quote();
    federation.pay(&vend, 90, 40_000);
    federation.tip(120);
    let payout = federation.payout(&payout.id);
    assert_eq!(payout.versions_dropped, 1);
    let payout = bump(&mut federation, &payout);
    assert_eq!(newest(&payout).number, 3);
}

#[test]
fn a_coin_of_settled_change_that_is_gone_is_lost_in_the_books() {
    let (mut federation, _) = rich(&[60_000]);
    let payout = federation.ready(&[20_000]);
    let txid = newest(&payout).txid.clone();
    federation.mined(&payout, &txid, 111, 116);
    let change = newest(&payout).change_sats;
    let second = federation.ready(&[5_000]);
    let origin = &second.origins[0];
    assert_eq!((origin.txid.clone(), origin.block_height), (txid, 111));
    let input = by_sats(&second, change);
    federation.see_payout(&NODES, &undone(&second, &[&input], 112));
    federation.tip(120);
    let second = federation.payout(&second.id);
    assert_eq!(second.state(), PayoutState::Invalidated);
    assert_eq!(second.lost_sats, change);
    let lost = i64::try_from(change).unwrap();
    assert_eq!(federation.balance("expense:unexplained"), lost);
    audit::full(&federation.state).unwrap();
}

#[test]
fn a_node_cannot_say_that_what_is_no_input_is_gone() {
    let (mut federation, _) = rich(&[60_000]);
    let payout = federation.ready(&[20_000]);
    let input = by_sats(&payout, 60_000);
    let mut lie = undone(&payout, &[&input], 108);
    lie.gone[0].vout += 1;
    assert_eq!(rule(federation.submit(NODES[0], &lie)), "payout.spends");
    let mut twice = undone(&payout, &[&input, &input], 108);
    assert_eq!(rule(federation.submit(NODES[0], &twice)), "payout.spends");
    twice.gone.clear();
    assert_eq!(rule(federation.submit(NODES[0], &twice)), "payout.spends");
    let mut own = undone(&payout, &[&input], 108);
    own.txid.clone_from(&newest(&payout).txid);
    assert_eq!(rule(federation.submit(NODES[0], &own)), "payout.spends");
}

#[test]
fn votes_that_name_other_inputs_do_not_count_together() {
    let (mut federation, _) = rich(&[30_000, 31_000]);
    let payout = federation.ready(&[50_000]);
    let (a, b) = (by_sats(&payout, 30_000), by_sats(&payout, 31_000));
    federation.see_payout(&NODES[..2], &undone(&payout, &[&a], 108));
    federation.see_payout(&NODES[2..3], &undone(&payout, &[&b], 108));
    federation.see_payout(&NODES[3..], &conflict(&payout, 108));
    federation.tip(120);
    assert!(!federation.payout(&payout.id).settled);
    let rows = query::payouts(&federation.state, 10, "").unwrap().rows;
    assert_eq!(rows.len(), 1);
}
