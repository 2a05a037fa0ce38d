//! Tabs: where a balance comes from, what can be done with it, and every way
//! in which it must be refused.

use crate::common::{
    ALICE, Federation, MACHINE, NODES, OPERATOR, STAFF, absent, in_block, payment, tip,
};
use dctrl_ledger::query;
use dctrl_proto::v1::VendState::{Authorised, Credited, Dispatched, Dispensed, Failed, Uncertain};
use dctrl_proto::v1::{
    Member, MemberSet, MemberStatus, MoneyPolicy, Outcome, PaymentObserve, RefundRequest,
    RefundWithdraw, Refusal, RefusalCode, TabCash, TabLimit, TabTopUp, TabTransfer, TopUp, Vend,
    VendQuote, VendResolve,
};

pub(crate) const TAB: &str = "liability:tab:alice";
const DEBT: &str = "asset:debt:tab:alice";
const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
pub(crate) const DAY_MS: u64 = 24 * 3600 * 1000;

pub(crate) fn cash(
    federation: &mut Federation,
    member: &str,
    sats: u64,
) -> Result<String, Refusal> {
    let entry = TabCash {
        member_id: member.into(),
        sats,
        paid_out: false,
        reason: "coins in the jar".into(),
    };
    federation.submit(STAFF, &entry)
}

pub(crate) fn buy(federation: &mut Federation) -> Result<Vend, Refusal> {
    let quote = VendQuote {
        machine_id: "m1".into(),
        slot: "A1".into(),
        member_id: "alice".into(),
        from_tab: true,
        ..VendQuote::default()
    };
    let id = federation.submit(ALICE, &quote)?;
    Ok(federation.vend(&id))
}

fn transfer(federation: &mut Federation, to: &str, sats: u64) -> Result<String, Refusal> {
    let transfer = TabTransfer {
        to_member_id: to.into(),
        sats,
        text: "thanks".into(),
    };
    federation.submit(ALICE, &transfer)
}

fn limit(federation: &mut Federation, sats: u64) -> Result<String, Refusal> {
    let limit = TabLimit {
        member_id: "alice".into(),
        credit_limit_sats: sats,
        ..TabLimit::default()
    };
    federation.submit(OPERATOR, &limit)
}

pub(crate) fn top_up(federation: &mut Federation) -> TopUp {
    federation.submit(ALICE, &TabTopUp {}).unwrap();
    let tab = query::tab(&federation.state, "alice").unwrap().tab.unwrap();
    query::top_up(&federation.state, tab.address_index).unwrap()
}

/// A payment to a member's own address, in the mempool.
pub(crate) fn paying(top_up: &TopUp, number: u8, sats: u64) -> PaymentObserve {
    let at = Vend {
        address_index: top_up.address_index,
        ..Vend::default()
    };
    payment(&at, number, sats)
}

fn rule(result: Result<impl std::fmt::Debug, Refusal>) -> (RefusalCode, String) {
    let refusal = result.unwrap_err();
    (refusal.code(), refusal.rule)
}

fn refused(code: RefusalCode, rule: &str) -> (RefusalCode, String) {
    (code, rule.to_owned())
}

#[test]
fn a_top_up_is_credited_when_it_is_deep_and_never_before() {
    let mut federation = Federation::with(|genesis| {
        genesis.policy.as_mut().unwrap().zero_conf_sats_max = 1_000_000;
    });
    let address = top_up(&mut federation);
    let paid = paying(&address, 1, 5000);
    federation.see(&NODES, &paid);
    federation.wait(60_000);
    assert_eq!(federation.balance(TAB), 0, "nothing is trusted unconfirmed");
    federation.confirm(&paid, 100);
    assert_eq!(federation.balance(TAB), -5000);
    assert_eq!(federation.balance("asset:bitcoin"), 5000);
    federation.see(&NODES, &in_block(&paid, 100));
    assert_eq!(federation.balance(TAB), -5000, "once");
}

#[test]
fn an_address_is_given_again_until_it_is_paid_and_stays_the_members() {
    let mut federation = Federation::new();
    let first = top_up(&mut federation);
    assert_eq!(top_up(&mut federation), first);
    federation.confirm(&paying(&first, 1, 700), 100);
    let second = top_up(&mut federation);
    assert_ne!(second.address, first.address);
    federation.confirm(&paying(&first, 2, 800), 100);
    federation.confirm(&paying(&second, 3, 900), 100);
    assert_eq!(federation.balance(TAB), -2400);
}

#[test]
fn a_top_up_that_vanishes_is_taken_back_and_what_was_spent_is_owed() {
    let mut federation = Federation::new();
    let address = top_up(&mut federation);
    let paid = paying(&address, 1, 2000);
    federation.confirm(&paid, 100);
    let vend = buy(&mut federation).unwrap();
    federation.finish(&vend, Outcome::Dispensed);
    federation.see(&NODES, &absent(&paid));
    assert_eq!(federation.balance(TAB), 0);
    assert_eq!(federation.balance(DEBT), 1500);
    assert_eq!(
        rule(buy(&mut federation)),
        refused(RefusalCode::Denied, "tab.frozen")
    );
    assert_eq!(
        rule(transfer(&mut federation, "olga", 1)),
        refused(RefusalCode::Denied, "tab.frozen")
    );
    cash(&mut federation, "alice", 1600).unwrap();
    assert_eq!(federation.balance(DEBT), 0);
    assert_eq!(federation.balance(TAB), -100);
    federation.confirm(&paid, 101);
    assert_eq!(federation.balance(TAB), -2100, "it came back after all");
}

#[test]
fn a_tab_holds_the_price_and_is_charged_when_the_machine_dispenses() {
    let mut federation = Federation::new();
    cash(&mut federation, "alice", 2000).unwrap();
    let vend = buy(&mut federation).unwrap();
    assert_eq!(vend.state(), Dispatched);
    assert!(vend.address.is_empty(), "nobody is to pay it");
    assert_eq!(federation.balance(TAB), -500);
    let held = format!("liability:vend:{}", vend.id);
    assert_eq!(federation.balance(&held), -1500);
    federation.finish(&vend, Outcome::Dispensed);
    assert_eq!(federation.balance(&held), 0);
    assert_eq!(federation.balance("income:sales"), -1500);
    assert_eq!(federation.balance("asset:cash:stefan"), 2000);
}

#[test]
fn a_hold_is_released_when_the_machine_fails_or_is_not_free_in_time() {
    let mut federation = Federation::new();
    cash(&mut federation, "alice", 3000).unwrap();
    let first = buy(&mut federation).unwrap();
    let second = buy(&mut federation).unwrap();
    assert_eq!(second.state(), Authorised);
    federation.finish(&first, Outcome::Failed);
    assert_eq!(federation.state_of(&first), Credited);
    assert_eq!(federation.balance(TAB), -1500);
    let third = buy(&mut federation).unwrap();
    federation.wait(11 * 60 * 1000);
    assert_eq!(federation.state_of(&third), Credited, "it waited in vain");
    assert_eq!(federation.state_of(&second), Uncertain);
    assert_eq!(federation.balance(TAB), -1500);
    let path = federation.path(&third);
    assert!(path.ends_with(&[Failed, Credited]), "{path:?}");
}

#[test]
fn what_is_captured_once_is_not_captured_again() {
    let mut federation = Federation::new();
    cash(&mut federation, "alice", 1500).unwrap();
    let vend = buy(&mut federation).unwrap();
    let receipt = federation.finish(&vend, Outcome::Dispensed);
    federation.submit(MACHINE, &receipt).unwrap();
    for outcome in [Dispensed, Credited] {
        let resolve = VendResolve {
            vend_id: vend.id.clone(),
            outcome: outcome.into(),
            reason: "again".into(),
        };
        assert_eq!(
            rule(federation.submit(OPERATOR, &resolve)),
            refused(RefusalCode::Exists, "vend.state")
        );
    }
    assert_eq!(federation.balance("income:sales"), -1500);
    assert_eq!(federation.balance(TAB), 0);
}

#[test]
fn two_taps_with_money_for_one_make_one_vend() {
    let mut federation = Federation::new();
    cash(&mut federation, "alice", 2000).unwrap();
    buy(&mut federation).unwrap();
    assert_eq!(
        rule(buy(&mut federation)),
        refused(RefusalCode::Precond, "tab.balance")
    );
}

#[test]
fn only_the_member_buys_on_the_tab() {
    let mut federation = Federation::new();
    cash(&mut federation, "alice", 5000).unwrap();
    let mut quote = VendQuote {
        machine_id: "m1".into(),
        slot: "A1".into(),
        member_id: "alice".into(),
        from_tab: true,
        ..VendQuote::default()
    };
    for seed in [MACHINE, OPERATOR, STAFF, NODES[0]] {
        assert_eq!(
            rule(federation.submit(seed, &quote)),
            refused(RefusalCode::Denied, "vend.tab")
        );
    }
    quote.member_id.clear();
    assert_eq!(
        rule(federation.submit(ALICE, &quote)),
        refused(RefusalCode::Invalid, "vend.from_tab")
    );
    assert_eq!(federation.balance(TAB), -5000);
}

#[test]
fn a_credit_limit_is_for_buying_and_nobody_goes_beyond_it() {
    let mut federation = Federation::new();
    limit(&mut federation, 2000).unwrap();
    let vend = buy(&mut federation).unwrap();
    assert_eq!(federation.balance(TAB), 1500, "owed within the limit");
    assert_eq!(
        rule(buy(&mut federation)),
        refused(RefusalCode::Precond, "tab.balance")
    );
    assert_eq!(
        rule(transfer(&mut federation, "olga", 1)),
        refused(RefusalCode::Precond, "tab.balance")
    );
    assert_eq!(
        rule(limit(&mut federation, 1499)),
        refused(RefusalCode::Precond, "tab.overdrawn")
    );
    limit(&mut federation, 1500).unwrap();
    assert_eq!(
        rule(limit(&mut federation, 100_001)),
        refused(RefusalCode::Exhausted, "tab.credit_max")
    );
    federation.finish(&vend, Outcome::Dispensed);
    let address = top_up(&mut federation);
    federation.confirm(&paying(&address, 1, 1600), 100);
    assert_eq!(federation.balance(TAB), -100);
}

#[test]
fn a_transfer_moves_what_is_there_and_nothing_else() {
    let mut federation = Federation::new();
    cash(&mut federation, "alice", 1000).unwrap();
    transfer(&mut federation, "olga", 400).unwrap();
    assert_eq!(federation.balance(TAB), -600);
    assert_eq!(federation.balance("liability:tab:olga"), -400);
    let cases = [
        ("olga", 0, RefusalCode::Invalid, "tab.amount"),
        ("olga", u64::MAX, RefusalCode::Invalid, "tab.amount"),
        ("olga", 601, RefusalCode::Precond, "tab.balance"),
        ("alice", 1, RefusalCode::Invalid, "tab.self"),
        ("nobody", 1, RefusalCode::Notfound, "member"),
        ("no/body", 1, RefusalCode::Invalid, "id.format"),
    ];
    let before = query::balances(&federation.state, "");
    for (to, sats, code, name) in cases {
        assert_eq!(
            rule(transfer(&mut federation, to, sats)),
            refused(code, name)
        );
    }
    let bob = MemberSet {
        member: Some(Member {
            id: "bob".into(),
            name: "Bob".into(),
            key: crate::common::Key::new(77).public(),
            roles: vec!["member".into()],
            status: MemberStatus::Suspended.into(),
        }),
    };
    federation.submit(OPERATOR, &bob).unwrap();
    assert_eq!(
        rule(transfer(&mut federation, "bob", 1)),
        refused(RefusalCode::Denied, "member.status")
    );
    assert_eq!(query::balances(&federation.state, ""), before);
}

#[test]
fn cash_is_recorded_for_others_only_with_a_reason_and_within_limits() {
    let mut federation = Federation::with(|genesis| {
        genesis.policy.as_mut().unwrap().money = Some(MoneyPolicy {
            cash_sats_max: Some(1000),
            cash_day_sats_max: Some(2500),
            ..MoneyPolicy::default()
        });
    });
    let entry = |member: &str, sats, reason: &str, paid_out| TabCash {
        member_id: member.into(),
        sats,
        reason: reason.into(),
        paid_out,
    };
    let cases = [
        (STAFF, entry("alice", 1, "", false), "tab.reason"),
        (STAFF, entry("alice", 0, "jar", false), "tab.amount"),
        (STAFF, entry("alice", 1001, "jar", false), "tab.cash_max"),
        (STAFF, entry("stefan", 1, "jar", false), "tab.own"),
        (STAFF, entry("nobody", 1, "jar", false), "member"),
        (STAFF, entry("alice", 1, "jar", true), "tab.balance"),
        (ALICE, entry("olga", 1, "jar", false), "action.role"),
    ];
    for (seed, entry, name) in cases {
        assert_eq!(federation.submit(seed, &entry).unwrap_err().rule, name);
    }
    for _ in 0..2 {
        cash(&mut federation, "alice", 1000).unwrap();
    }
    assert_eq!(
        rule(cash(&mut federation, "alice", 501)),
        refused(RefusalCode::Exhausted, "tab.cash_day")
    );
    federation.wait(DAY_MS);
    let out = entry("alice", 600, "gave it back", true);
    federation.submit(STAFF, &out).unwrap();
    assert_eq!(federation.balance(TAB), -1400);
    assert_eq!(federation.balance("asset:cash:stefan"), 1400);
    let other = federation.submit(OPERATOR, &out);
    assert_eq!(other.unwrap_err().rule, "tab.till", "another's till");
}

#[test]
fn more_than_there_will_ever_be_never_comes_onto_a_tab() {
    let all = 21_000_000 * 100_000_000;
    let mut federation = Federation::with(|genesis| {
        genesis.policy.as_mut().unwrap().money = Some(MoneyPolicy {
            cash_sats_max: Some(all),
            cash_day_sats_max: Some(all),
            ..MoneyPolicy::default()
        });
    });
    cash(&mut federation, "alice", all).unwrap();
    federation.wait(DAY_MS);
    assert_eq!(
        rule(cash(&mut federation, "alice", 1)),
        refused(RefusalCode::Precond, "tab.overflow")
    );
}

#[test]
fn a_refund_is_set_aside_for_a_signed_address_and_can_be_taken_back() {
    let mut federation = Federation::new();
    cash(&mut federation, "alice", 2000).unwrap();
    let ask = |sats, address: &str| RefundRequest {
        sats,
        address: address.into(),
        ..RefundRequest::default()
    };
    let mainnet = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
    for (request, name) in [
        (ask(545, ADDRESS), "refund.dust"),
        (ask(2001, ADDRESS), "tab.balance"),
        (ask(1000, mainnet), "refund.address"),
        (ask(1000, "nowhere"), "refund.address"),
    ] {
        let refusal = federation.submit(ALICE, &request).unwrap_err();
        assert_eq!(refusal.rule, name);
    }
    let id = federation.submit(ALICE, &ask(1200, ADDRESS)).unwrap();
    assert_eq!(federation.balance(TAB), -800);
    assert_eq!(federation.balance(&format!("liability:refund:{id}")), -1200);
    let refund = query::refunds(&federation.state, 10, "").rows.remove(0);
    assert_eq!((refund.sats, &*refund.address), (1200, ADDRESS));
    assert_eq!(refund.asked_by, "member/alice");
    let withdraw = RefundWithdraw { refund_id: id };
    let other = federation.submit(OPERATOR, &withdraw);
    assert_eq!(other.unwrap_err().rule, "refund.own");
    federation.submit(ALICE, &withdraw).unwrap();
    assert_eq!(federation.balance(TAB), -2000);
    let again = federation.submit(ALICE, &withdraw).unwrap_err();
    assert_eq!(again.rule, "refund.state");
}

#[test]
fn a_suspended_member_spends_nothing() {
    let mut federation = Federation::new();
    cash(&mut federation, "alice", 5000).unwrap();
    let mut alice = query::member(&federation.state, "alice").unwrap();
    alice.set_status(MemberStatus::Suspended);
    let set = MemberSet {
        member: Some(alice),
    };
    federation.submit(OPERATOR, &set).unwrap();
    let expected = refused(RefusalCode::Denied, "member.status");
    assert_eq!(rule(buy(&mut federation)), expected);
    assert_eq!(rule(transfer(&mut federation, "olga", 1)), expected);
    assert_eq!(rule(federation.submit(ALICE, &TabTopUp {})), expected);
}

#[test]
fn a_tip_alone_makes_a_top_up_final() {
    let mut federation = Federation::new();
    let address = top_up(&mut federation);
    let paid = paying(&address, 1, 500_000);
    federation.confirm(&paid, 100);
    assert_eq!(federation.balance(TAB), 0, "so much needs three blocks");
    for height in 101..=102 {
        for node in NODES {
            federation.submit(node, &tip(height)).unwrap();
        }
    }
    assert_eq!(federation.balance(TAB), -500_000);
}
