//! Who may propose and approve what, and what a genesis's rules must be.

use dctrl_proto::v1::{
    FeeObserve, Genesis, MemberSet, PayoutAllow, PayoutApprove, PayoutCancel, PayoutPropose,
    PayoutRecipient, PayoutReject, PayoutState,
};

use crate::common::genesis::genesis;
use crate::common::nodes::rule;
use crate::common::payouts::{
    CAROL, DAVE, DAY, ERIN, LARGE, PROPOSAL_MS, SMALL, newest, stranger, with_payouts,
};
use crate::common::{ALICE, Federation, Key, NODES, OPERATOR, STAFF};

#[test]
fn the_creator_is_never_the_only_one_who_approves() {
    let mut federation = Federation::rich(&[60_000]);
    let payout = federation.propose_payout(CAROL, &[20_000]).unwrap();
    let payout = federation.approve_payout(CAROL, &payout).unwrap();
    assert_eq!(payout.state(), PayoutState::Proposed);
    assert_eq!(payout.awaited, ["member/dave", "member/erin"]);
    assert_eq!(
        rule(federation.approve_payout(CAROL, &payout)),
        "payout.approved"
    );
    let payout = federation.approve_payout(ERIN, &payout).unwrap();
    assert_eq!(payout.state(), PayoutState::Approved);
}

#[test]
fn only_copayers_approve_and_only_what_they_have_seen() {
    let mut federation = Federation::rich(&[60_000]);
    let payout = federation.propose_payout(OPERATOR, &[20_000]).unwrap();
    for seed in [OPERATOR, STAFF, ALICE, NODES[0]] {
        assert_eq!(
            rule(federation.approve_payout(seed, &payout)),
            "action.role"
        );
    }
    let approve = PayoutApprove {
        payout_id: payout.id.clone(),
        txid: vec![1; 32],
    };
    assert_eq!(rule(federation.submit(CAROL, &approve)), "payout.txid");
    for seed in [STAFF, ALICE] {
        assert_eq!(
            rule(federation.propose_payout(seed, &[20_000])),
            "action.role"
        );
    }
}

#[test]
fn an_operator_cannot_make_copayers_that_approve() {
    let mut federation = Federation::rich(&[60_000]);
    let payout = federation.propose_payout(OPERATOR, &[20_000]).unwrap();
    let mut puppet = genesis().members.remove(0);
    puppet.id = "puppet".into();
    puppet.key = Key::new(77).public();
    puppet.roles = vec!["copayer".into()];
    let set = MemberSet {
        member: Some(puppet),
    };
    federation.submit(OPERATOR, &set).unwrap();
    assert_eq!(
        rule(federation.approve_payout(77, &payout)),
        "payout.copayer"
    );
    // Nor put an own key into a copayer's place.
    let mut carol = dctrl_ledger::query::member(&federation.state, "carol").unwrap();
    carol.key = Key::new(78).public();
    let set = MemberSet {
        member: Some(carol),
    };
    federation.submit(OPERATOR, &set).unwrap();
    assert_eq!(
        rule(federation.approve_payout(78, &payout)),
        "payout.copayer"
    );
}

#[test]
fn larger_amounts_need_more_approvals_and_too_large_ones_are_refused() {
    let mut federation = Federation::rich(&[900_000, 900_000]);
    let large = federation.propose_payout(CAROL, &[SMALL + 1]).unwrap();
    let large = federation.approve_payout(DAVE, &large).unwrap();
    assert_eq!(large.state(), PayoutState::Proposed);
    assert_eq!(large.awaits, "1 more approval(s)");
    let large = federation.approve_payout(ERIN, &large).unwrap();
    assert_eq!(large.state(), PayoutState::Approved);
    let refused = federation.propose_payout(CAROL, &[LARGE, 1_000]);
    assert_eq!(rule(refused), "payout.tier");
}

#[test]
fn a_days_limit_counts_what_was_proposed_and_not_what_was_dropped() {
    let mut federation = Federation::rich(&[900_000, 900_000, 900_000]);
    let first = federation.propose_payout(CAROL, &[800_000]).unwrap();
    let over = DAY - 800_000 + 1_000;
    assert_eq!(rule(federation.propose_payout(DAVE, &[over])), "payout.day");
    let cancel = PayoutCancel {
        payout_id: first.id,
        reason: "typo".into(),
    };
    federation.submit(CAROL, &cancel).unwrap();
    federation.propose_payout(DAVE, &[over]).unwrap();
    assert_eq!(
        rule(federation.propose_payout(DAVE, &[800_000])),
        "payout.day"
    );
    // Within a day the rest of that proposal's time has passed as well.
    federation.wait(24 * 60 * 60 * 1000);
    federation.propose_payout(DAVE, &[800_000]).unwrap();
}

#[test]
fn an_address_may_be_paid_a_while_after_it_came_onto_the_list() {
    let mut federation = Federation::with(|genesis| {
        with_payouts(genesis);
        let rules = genesis.payouts.as_mut().unwrap();
        rules.allow_list = true;
        rules.allow_delay_ms = 10_000;
    });
    federation.earn(&[60_000]);
    assert_eq!(
        rule(federation.propose_payout(CAROL, &[20_000])),
        "payout.allow_list"
    );
    let mut allow = PayoutAllow {
        address: stranger(0),
        name: "Hackers e. V.".into(),
        remove: false,
    };
    federation.submit(DAVE, &allow).unwrap();
    assert_eq!(rule(federation.submit(DAVE, &allow)), "payout.allow_list");
    assert_eq!(
        rule(federation.propose_payout(CAROL, &[20_000])),
        "payout.allow_delay"
    );
    federation.wait(10_000);
    federation.propose_payout(CAROL, &[20_000]).unwrap();
    allow.remove = true;
    federation.submit(ERIN, &allow).unwrap();
    assert_eq!(
        rule(federation.propose_payout(CAROL, &[20_000])),
        "payout.allow_list"
    );
}

#[test]
fn a_proposal_that_is_not_approved_expires_and_its_coins_come_free() {
    let mut federation = Federation::rich(&[60_000]);
    let payout = federation.propose_payout(CAROL, &[50_000]).unwrap();
    assert_eq!(
        rule(federation.propose_payout(CAROL, &[50_000])),
        "payout.funds"
    );
    federation.wait(PROPOSAL_MS);
    let payout = federation.payout(&payout.id);
    assert_eq!(payout.state(), PayoutState::Expired);
    assert_eq!(
        rule(federation.approve_payout(DAVE, &payout)),
        "payout.state"
    );
    assert_eq!(
        federation.balance(&format!("liability:payout:{}", payout.id)),
        0
    );
    federation.propose_payout(CAROL, &[50_000]).unwrap();
}

#[test]
fn what_was_approved_does_not_expire() {
    let mut federation = Federation::rich(&[60_000]);
    let payout = federation.approved(&[20_000]);
    federation.wait(PROPOSAL_MS);
    let payout = federation.payout(&payout.id);
    assert_eq!(payout.state(), PayoutState::Approved);
}

#[test]
fn two_rejections_of_three_are_the_end_and_one_is_not() {
    let mut federation = Federation::rich(&[400_000]);
    let payout = federation.propose_payout(OPERATOR, &[SMALL + 1]).unwrap();
    let reject = PayoutReject {
        payout_id: payout.id.clone(),
        reason: "too much".into(),
    };
    federation.submit(DAVE, &reject).unwrap();
    assert_eq!(federation.payout(&payout.id).state(), PayoutState::Proposed);
    assert_eq!(rule(federation.submit(DAVE, &reject)), "payout.rejected");
    federation.submit(ERIN, &reject).unwrap();
    let payout = federation.payout(&payout.id);
    assert_eq!(payout.state(), PayoutState::Rejected);
    assert_eq!(payout.rejections.len(), 2);
}

fn proposed(address: &str, sats: u64) -> PayoutPropose {
    PayoutPropose {
        recipients: vec![PayoutRecipient {
            address: address.into(),
            amount_sats: sats,
        }],
        ..PayoutPropose::default()
    }
}

#[test]
fn wrong_addresses_dust_and_impossible_amounts_are_refused() {
    let mut federation = Federation::rich(&[60_000]);
    let mainnet = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
    for (address, sats, expected) in [
        (mainnet, 20_000, "payout.address"),
        ("", 20_000, "payout.address"),
        ("bcrt1qqqq", 20_000, "payout.address"),
        (
            stranger(0).to_uppercase().as_str(),
            20_000,
            "payout.address",
        ),
        (stranger(0).as_str(), 293, "payout.dust"),
        (stranger(0).as_str(), 0, "payout.amount"),
        (stranger(0).as_str(), u64::MAX, "payout.amount"),
        (stranger(0).as_str(), 60_000, "payout.funds"),
    ] {
        let refused = federation.submit(CAROL, &proposed(address, sats));
        assert_eq!(rule(refused), expected, "{address} {sats}");
    }
    let nobody = PayoutPropose::default();
    assert_eq!(rule(federation.submit(CAROL, &nobody)), "payout.recipients");
}

#[test]
fn the_fee_rate_is_the_median_of_a_quorum_within_bounds_and_else_the_lowest() {
    let mut federation = Federation::rich(&[60_000, 60_000, 60_000, 60_000]);
    let observe = |federation: &mut Federation, rates: &[u64]| {
        for (node, rate) in NODES.into_iter().zip(rates) {
            federation
                .submit(node, &FeeObserve { fee_rate: *rate })
                .unwrap();
        }
    };
    observe(&mut federation, &[9_000, 9_000]);
    let payout = federation.propose_payout(CAROL, &[20_000]).unwrap();
    assert_eq!(newest(&payout).fee_rate, 1_000);
    assert!(newest(&payout).fee_note.contains("2 of 3"));
    // A liar cannot move it out of what the honest ones say.
    observe(&mut federation, &[9_000, 10_000, 11_000, 100_000_000]);
    let payout = federation.propose_payout(CAROL, &[20_000]).unwrap();
    assert_eq!(newest(&payout).fee_rate, 10_000);
    observe(&mut federation, &[900_000, 900_000, 900_000]);
    let refused = federation.propose_payout(DAVE, &[20_000]);
    assert_eq!(
        rule(refused),
        "payout.fee",
        "a third of the amount is too much"
    );
    federation.wait(60 * 60 * 1000);
    let payout = federation.propose_payout(DAVE, &[20_000]).unwrap();
    assert_eq!(newest(&payout).fee_rate, 1_000);
}

fn problems(change: impl FnOnce(&mut Genesis)) -> Vec<String> {
    let mut genesis = genesis();
    with_payouts(&mut genesis);
    change(&mut genesis);
    let refusals = dctrl_ledger::genesis(&genesis).err().unwrap_or_default();
    refusals.into_iter().map(|one| one.field).collect()
}

#[test]
fn a_genesis_whose_rules_contradict_its_wallet_or_members_is_refused() {
    let rules = |genesis: &mut Genesis| genesis.payouts.clone().unwrap();
    assert_eq!(problems(|_| {}), [""; 0]);
    let none = |genesis: &mut Genesis| genesis.payouts.as_mut().unwrap().copayers.truncate(2);
    assert_eq!(problems(none), ["payouts.copayers"]);
    let stranger = |genesis: &mut Genesis| {
        genesis.payouts.as_mut().unwrap().copayers[0].fingerprint = vec![1; 4];
    };
    assert_eq!(problems(stranger), ["payouts.copayers[0].fingerprint"]);
    let member = |genesis: &mut Genesis| {
        genesis.payouts.as_mut().unwrap().copayers[0].member_id = "alice".into();
    };
    assert_eq!(problems(member), ["payouts.copayers[0].member_id"]);
    let tiers = |genesis: &mut Genesis| {
        let mut all = rules(genesis);
        all.tiers.reverse();
        genesis.payouts = Some(all);
    };
    assert_eq!(problems(tiers), ["payouts.tiers"]);
    let approvals = |genesis: &mut Genesis| {
        genesis.payouts.as_mut().unwrap().tiers[1].approvals = 4;
    };
    assert_eq!(problems(approvals), ["payouts.tiers"]);
}

#[test]
fn without_rules_in_the_genesis_nothing_is_paid() {
    let mut federation = Federation::new();
    assert_eq!(
        rule(federation.propose_payout(OPERATOR, &[20_000])),
        "payout.rules"
    );
}
