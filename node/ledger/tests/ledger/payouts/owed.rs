//! Payouts of what is owed: refunds and shares of the revenue; and what may not
//! be paid out because it is owed.

use dctrl_ledger::query;
use dctrl_proto::v1::{
    FeeObserve, Outcome, Payout, PayoutCancel, PayoutPropose, PayoutState, Refund, RefundRequest,
    RefundState, RefundWithdraw, Refusal, Share, SiteShares,
};

use crate::common::nodes::rule;
use crate::common::payouts::{CAROL, DAVE, LARGE, newest, nowhere, stranger, with_payouts};
use crate::common::{ALICE, Federation, NODES};

fn ask(federation: &mut Federation, sats: u64, stranger_number: u8) -> String {
    let request = RefundRequest {
        sats,
        address: stranger(stranger_number),
        ..RefundRequest::default()
    };
    federation.submit(ALICE, &request).unwrap()
}

fn refund(federation: &Federation, id: &str) -> Refund {
    let all = query::refunds(&federation.state, 100, "").rows;
    all.into_iter().find(|one| one.id == id).unwrap()
}

fn propose(federation: &mut Federation, propose: &PayoutPropose) -> Result<Payout, Refusal> {
    let id = federation.submit(CAROL, propose)?;
    Ok(federation.payout(&id))
}

fn pay_refunds(federation: &mut Federation) -> Result<Payout, Refusal> {
    let refunds = PayoutPropose {
        refunds: true,
        ..PayoutPropose::default()
    };
    propose(federation, &refunds)
}

fn pay_split(federation: &mut Federation) -> Result<Payout, Refusal> {
    let split = PayoutPropose {
        split: true,
        ..PayoutPropose::default()
    };
    propose(federation, &split)
}

fn cancel(federation: &mut Federation, payout: &Payout) {
    let cancel = PayoutCancel {
        payout_id: payout.id.clone(),
        reason: String::new(),
    };
    federation.submit(CAROL, &cancel).unwrap();
}

/// One unit is sold and dispensed.
fn sell(federation: &mut Federation) {
    let vend = federation.dispatched();
    federation.accept(&vend).unwrap();
    federation.finish(&vend, Outcome::Dispensed);
}

#[test]
fn refunds_are_paid_together_once_and_a_reorganisation_puts_them_back() {
    let mut federation = Federation::rich(&[60_000, 70_000]);
    let ids = [
        ask(&mut federation, 20_000, 7),
        ask(&mut federation, 9_000, 8),
    ];
    let payout = pay_refunds(&mut federation).unwrap();
    let paid: Vec<(String, u64)> = payout
        .recipients
        .iter()
        .map(|one| (one.address.clone(), one.amount_sats))
        .collect();
    assert_eq!(paid, [(stranger(7), 20_000), (stranger(8), 9_000)]);
    let withdraw = RefundWithdraw {
        refund_id: ids[0].clone(),
    };
    assert_eq!(rule(federation.submit(ALICE, &withdraw)), "refund.state");
    assert_eq!(rule(pay_refunds(&mut federation)), "payout.nothing");
    let payout = federation.approve_payout(DAVE, &payout).unwrap();
    let payout = federation.signed_by(&payout, &[0, 1]);
    let txid = newest(&payout).txid.clone();
    let payout = federation.mined(&payout, &txid, 111, 116);
    assert!(payout.settled);
    for id in &ids {
        let refund = refund(&federation, id);
        assert_eq!(refund.state(), RefundState::RefundPaid);
        assert_eq!(
            (refund.txid, refund.payout_id),
            (txid.clone(), payout.id.clone())
        );
    }
    assert_eq!(federation.balance("expense:payouts"), 0, "it was owed");
    federation.see_payout(&NODES, &nowhere(&payout));
    let back = refund(&federation, &ids[0]);
    assert_eq!(back.state(), RefundState::RefundInPayout);
    assert!(back.txid.is_empty());
    federation.mined(&payout, &txid, 112, 118);
    let again = refund(&federation, &ids[0]);
    assert_eq!(again.state(), RefundState::RefundPaid);
    assert_eq!(rule(pay_refunds(&mut federation)), "payout.nothing");
}

#[test]
fn a_refund_that_does_not_fit_keeps_no_other_one_back() {
    let mut federation = Federation::rich(&[600_000, 700_000]);
    let most = LARGE;
    let large = RefundRequest {
        sats: most + 1,
        address: stranger(7),
        ..RefundRequest::default()
    };
    assert_eq!(rule(federation.submit(ALICE, &large)), "refund.tier");
    for sats in [most, 20_000, 700, 9_000] {
        ask(&mut federation, sats, 7);
    }
    let limited = |sats_max| PayoutPropose {
        refunds: true,
        sats_max,
        ..PayoutPropose::default()
    };
    // 700 sats are not worth 148 virtual bytes at 5 sats each.
    for node in NODES {
        let observed = FeeObserve { fee_rate: 5_000 };
        federation.submit(node, &observed).unwrap();
    }
    let amounts = |payout: &Payout| -> Vec<u64> {
        let paid = payout.recipients.iter();
        paid.map(|one| one.amount_sats).collect()
    };
    let payout = propose(&mut federation, &limited(25_000)).unwrap();
    assert_eq!(amounts(&payout), [20_000]);
    let payout = propose(&mut federation, &limited(25_000)).unwrap();
    assert_eq!(amounts(&payout), [9_000]);
    let nothing = propose(&mut federation, &limited(5_000));
    assert_eq!(rule(nothing), "payout.nothing");
    let typed = PayoutPropose {
        refunds: false,
        recipients: payout.recipients.clone(),
        ..limited(1)
    };
    assert_eq!(rule(propose(&mut federation, &typed)), "payout.source");
}

#[test]
fn a_dropped_payout_lets_its_refunds_go() {
    let mut federation = Federation::rich(&[60_000]);
    let id = ask(&mut federation, 20_000, 7);
    let payout = pay_refunds(&mut federation).unwrap();
    cancel(&mut federation, &payout);
    assert_eq!(refund(&federation, &id).state(), RefundState::RefundOpen);
    let again = pay_refunds(&mut federation).unwrap();
    assert_eq!(refund(&federation, &id).payout_id, again.id);
}

#[test]
fn a_cancelled_payout_lets_its_refunds_go_only_when_its_coins_are_back() {
    let mut federation = Federation::rich(&[60_000, 70_000]);
    let id = ask(&mut federation, 20_000, 7);
    let owed = format!("liability:refund:{id}");
    let payout = pay_refunds(&mut federation).unwrap();
    let payout = federation.approve_payout(DAVE, &payout).unwrap();
    assert_eq!(federation.balance(&owed), 0);
    cancel(&mut federation, &payout);
    assert_eq!(federation.balance(&owed), -20_000, "it is owed again");
    assert_eq!(
        refund(&federation, &id).state(),
        RefundState::RefundInPayout
    );
    assert_eq!(rule(pay_refunds(&mut federation)), "payout.nothing");
    let payout = federation.signed_by(&payout, &[0, 1]);
    let back = newest(&payout).txid.clone();
    let payout = federation.mined(&payout, &back, 111, 116);
    assert_eq!(payout.state(), PayoutState::Cancelled);
    assert_eq!(refund(&federation, &id).state(), RefundState::RefundOpen);
    pay_refunds(&mut federation).unwrap();
}

#[test]
fn sales_accrue_to_their_sharers_and_a_payout_pays_exactly_that() {
    let share = |member: &str, number, per_mille| Share {
        member_id: member.into(),
        address: stranger(number),
        per_mille,
    };
    let mut federation = Federation::with(|genesis| {
        with_payouts(genesis);
        let rules = genesis.payouts.as_mut().unwrap();
        rules.shares = vec![SiteShares {
            site: "the hall".into(),
            shares: vec![share("stefan", 20, 333), share("olga", 21, 333)],
        }];
    });
    assert_eq!(rule(pay_split(&mut federation)), "payout.nothing");
    for _ in 0..3 {
        sell(&mut federation);
    }
    // 999 of 1,500 sats are shared, 499.5 each: the first in the list gets more.
    assert_eq!(federation.balance("liability:share:stefan"), -1_500);
    assert_eq!(federation.balance("liability:share:olga"), -1_497);
    assert_eq!(federation.balance("expense:shares"), 2_997);
    federation.earn(&[60_000]);
    let paid = |payout: &Payout| -> Vec<u64> {
        let paid = payout.recipients.iter();
        paid.map(|one| one.amount_sats).collect()
    };
    let half = PayoutPropose {
        split: true,
        sats_max: 1_500,
        ..PayoutPropose::default()
    };
    let payout = propose(&mut federation, &half).unwrap();
    assert_eq!(paid(&payout), [749, 750], "the same part of each");
    assert_eq!(federation.balance("liability:share:olga"), -748);
    cancel(&mut federation, &payout);
    let payout = pay_split(&mut federation).unwrap();
    assert_eq!(paid(&payout), [1_497, 1_500], "by member");
    assert_eq!(federation.balance("liability:share:olga"), 0);
    let payout = federation.approve_payout(DAVE, &payout).unwrap();
    let payout = federation.signed_by(&payout, &[0, 1]);
    let txid = newest(&payout).txid.clone();
    assert!(federation.mined(&payout, &txid, 111, 116).settled);
    assert_eq!(federation.balance("expense:payouts"), 0, "it was owed");
    assert_eq!(federation.balance("expense:shares"), 2_997);
}

#[test]
fn what_is_owed_to_members_cannot_be_paid_out_to_others() {
    let mut federation = Federation::with(|genesis| {
        with_payouts(genesis);
        genesis.payouts.as_mut().unwrap().cover_liabilities = true;
    });
    sell(&mut federation);
    federation.earn(&[60_000]);
    // 60,000 sats are Alice's or lie for her vend; one sale was earned.
    let refused = federation.propose_payout(CAROL, &[20_000]);
    assert_eq!(rule(refused), "payout.liabilities");
    let refused = federation.propose_payout(CAROL, &[1_500]);
    assert_eq!(rule(refused), "payout.liabilities", "the fee counts, too");
    let payout = federation.propose_payout(CAROL, &[1_000]).unwrap();
    cancel(&mut federation, &payout);
    // What is owed to her may be paid to her.
    ask(&mut federation, 20_000, 7);
    pay_refunds(&mut federation).unwrap();
}

#[test]
fn a_proposal_says_one_thing() {
    let mut federation = Federation::rich(&[60_000]);
    let both = PayoutPropose {
        refunds: true,
        split: true,
        ..PayoutPropose::default()
    };
    assert_eq!(rule(propose(&mut federation, &both)), "payout.source");
}

#[test]
fn shares_of_more_than_the_whole_or_for_strangers_are_refused() {
    let mut genesis = crate::common::genesis::genesis();
    with_payouts(&mut genesis);
    let share = |member: &str, number, per_mille| Share {
        member_id: member.into(),
        address: stranger(number),
        per_mille,
    };
    genesis.payouts.as_mut().unwrap().shares = vec![SiteShares {
        site: String::new(),
        shares: vec![
            share("olga", 20, 600),
            share("stefan", 21, 500),
            share("nobody", 22, 1),
        ],
    }];
    let problems = dctrl_ledger::genesis(&genesis).unwrap_err();
    let fields: Vec<&str> = problems.iter().map(|one| one.field.as_str()).collect();
    let expected = [
        "payouts.shares[0].shares",
        "payouts.shares[0].shares[2].member_id",
    ];
    assert_eq!(fields, expected);
}
