//! Many small coins become one: nobody is paid, and the fee is booked.

use dctrl_proto::v1::{FeeObserve, Payout, PayoutKind, PayoutPropose, PayoutState, Refusal};

use super::chain::{bump, cancel};
use super::room::with_coins;
use crate::common::payouts::{
    CAROL, DAVE, ERIN, newest, propose, transaction, waiting, with_payouts,
};
use crate::common::{Federation, NODES};

fn consolidation() -> PayoutPropose {
    PayoutPropose {
        consolidate: true,
        ..PayoutPropose::default()
    }
}

fn consolidate(federation: &mut Federation) -> Result<Payout, Refusal> {
    let id = federation.submit(CAROL, &consolidation())?;
    Ok(federation.payout(&id))
}

fn rule<T>(result: Result<T, Refusal>) -> String {
    result.map(|_| ()).unwrap_err().rule
}

pub(super) fn fee_rate(federation: &mut Federation, fee_rate: u64) {
    for node in NODES {
        federation.submit(node, &FeeObserve { fee_rate }).unwrap();
    }
}

#[test]
fn the_smallest_coins_become_one_for_the_fee_alone() {
    let mut federation = with_coins(88, 1_500);
    let vend = federation.quote();
    federation.pay(&vend, 200, 400_000);
    federation.pay(&vend, 201, 300_000);
    federation.tip(110);
    let before = federation.balance("asset:bitcoin");
    let payout = consolidate(&mut federation).unwrap();
    assert_eq!((payout.amount_sats, payout.approvals_needed), (0, 1));
    let version = newest(&payout);
    assert_eq!(version.kind(), PayoutKind::Consolidation);
    assert_eq!(version.inputs.len(), 88);
    assert!(
        version
            .inputs
            .iter()
            .all(|input| input.amount_sats == 1_500)
    );
    assert_eq!(version.change_sats, 88 * 1_500 - version.fee_sats);
    let of_the_others = consolidate(&mut federation).unwrap();
    assert_eq!(rule(consolidate(&mut federation)), "payout.coins");
    cancel(&mut federation, &of_the_others.id).unwrap();

    let payout = federation.approve_payout(DAVE, &payout).unwrap();
    let payout = federation.signed_by(&payout, &[0, 1]);
    assert_eq!(payout.state(), PayoutState::Ready);
    let version = newest(&payout).clone();
    assert_eq!(transaction(&version).output.len(), 1);
    let payout = federation.mined(&payout, &version.txid, 111, 116);
    assert!(payout.settled);
    let fee = i64::try_from(version.fee_sats).unwrap();
    assert_eq!(federation.balance("expense:network-fees"), fee);
    assert_eq!(federation.balance("expense:payouts"), 0);
    assert_eq!(federation.balance("asset:bitcoin"), before - fee);
    let spent = propose(&[version.change_sats - 1_000]);
    let id = federation.submit(ERIN, &spent).unwrap();
    assert_eq!(newest(&federation.payout(&id)).inputs.len(), 1);
}

#[test]
fn it_holds_its_coins_until_it_is_dropped() {
    let mut federation = with_coins(3, 20_000);
    let payout = consolidate(&mut federation).unwrap();
    assert_eq!(
        rule(federation.propose_payout(CAROL, &[5_000])),
        "payout.funds"
    );
    cancel(&mut federation, &payout.id).unwrap();
    let payout = federation.payout(&payout.id);
    assert_eq!(payout.state(), PayoutState::Cancelled);
    federation.propose_payout(CAROL, &[50_000]).unwrap();
}

#[test]
fn what_would_cost_more_than_it_saves_is_refused() {
    let mut federation = Federation::with(with_payouts);
    assert_eq!(rule(consolidate(&mut federation)), "payout.coins");
    let mut federation = with_coins(88, 1_500);
    fee_rate(&mut federation, 6_000);
    assert_eq!(rule(consolidate(&mut federation)), "payout.fee");
    // One input costs more than a coin is worth.
    fee_rate(&mut federation, 20_000);
    let refused = consolidate(&mut federation).unwrap_err();
    assert_eq!(refused.rule, "payout.coins");
    assert!(refused.message.contains("2120 sats"), "{refused:?}");
    // Two are worth it, and nothing but dust would be left.
    let mut federation = with_coins(2, 1_500);
    fee_rate(&mut federation, 13_000);
    assert_eq!(rule(consolidate(&mut federation)), "payout.funds");
}

#[test]
fn it_goes_with_no_recipient_and_no_amount() {
    let mut federation = with_coins(3, 20_000);
    for wrong in [
        PayoutPropose {
            recipients: propose(&[1_000]).recipients,
            ..consolidation()
        },
        PayoutPropose {
            refunds: true,
            ..consolidation()
        },
        PayoutPropose {
            sats_max: 1,
            ..consolidation()
        },
    ] {
        assert_eq!(rule(federation.submit(CAROL, &wrong)), "payout.source");
    }
}

#[test]
fn its_fee_is_raised_and_a_child_lifts_it_but_there_is_nothing_to_take_back() {
    let mut federation = with_coins(3, 20_000);
    let payout = consolidate(&mut federation).unwrap();
    let payout = federation.approve_payout(DAVE, &payout).unwrap();
    assert_eq!(
        rule(cancel(&mut federation, &payout.id)),
        "payout.consolidation"
    );
    bump(&mut federation, &payout.id, 0).unwrap();
    let payout = federation.payout(&payout.id);
    let [first, second] = &payout.versions[..] else {
        panic!("it has two transactions");
    };
    assert_eq!(second.kind(), PayoutKind::Consolidation);
    assert_eq!(second.inputs, first.inputs);
    assert!(second.fee_sats > first.fee_sats);
    assert_eq!(
        rule(cancel(&mut federation, &payout.id)),
        "payout.consolidation"
    );
    let payout = federation.signed_by(&payout, &[0, 2]);
    let txid = newest(&payout).txid.clone();
    let payout = federation.see_payout(&NODES[..2], &waiting(&payout, &txid));
    let lift = dctrl_proto::v1::PayoutLift {
        payout_id: payout.id.clone(),
        fee_rate: 0,
    };
    let child = federation.submit(CAROL, &lift).unwrap();
    let child = federation.payout(&child);
    assert_eq!(child.parent.unwrap().payout_id, payout.id);
}
