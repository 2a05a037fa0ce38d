//! Envelopes: who may say what, once, in time.

use crate::common::{ALICE, Federation, MACHINE, NODES, OPERATOR, PRICE, payment};
use dctrl_ledger::{admit, query};
use dctrl_proto::action::body;
use dctrl_proto::v1::bus_body::Event;
use dctrl_proto::v1::{Member, MemberSet, MemberStatus, SignedAction, TimeTick, VendQuote};
use prost::Message;

fn quote() -> VendQuote {
    VendQuote {
        machine_id: "m1".into(),
        slot: "A1".into(),
        member_id: "alice".into(),
        ..VendQuote::default()
    }
}

/// The rule by which the guard refuses `action`.
fn refused(federation: &Federation, action: &SignedAction) -> String {
    let refusal = admit(&federation.state, federation.now_ms, action);
    refusal.unwrap_err().rule
}

/// Applies bytes that nobody of the federation signed, and expects that only
/// the count of refusals shows it.
fn leaves_no_trace(federation: &mut Federation, bytes: &[u8]) {
    let digest_of_rest = |federation: &Federation| {
        let vends = query::vends(&federation.state, 0, "", "").unwrap();
        (vends, query::machines(&federation.state, 0, "", 0).rows)
    };
    let before = digest_of_rest(federation);
    let applied = federation.raw_block(&[bytes]);
    assert!(applied.receipts.is_empty());
    assert_eq!(digest_of_rest(federation), before);
    let outputs = federation.outputs();
    assert_eq!(outputs.len(), 1);
    match &outputs[0].event {
        Some(Event::Block(block)) => assert_eq!((block.actions, block.refused), (1, 1)),
        other => panic!("not the end of a block: {other:?}"),
    }
}

#[test]
fn a_wrong_signature_is_refused_and_leaves_no_trace() {
    let mut federation = Federation::new();
    let mut action = federation.action(ALICE, &quote());
    action.signature[5] ^= 1;
    assert_eq!(refused(&federation, &action), "action.signature");
    leaves_no_trace(&mut federation, &action.encode_to_vec());
    let mut moved = federation.action(ALICE, &quote());
    moved.key = federation.action(OPERATOR, &quote()).key;
    assert_eq!(refused(&federation, &moved), "action.signature");
}

#[test]
fn an_action_for_another_cluster_is_refused_and_leaves_no_trace() {
    let mut federation = Federation::new();
    let other = body(&[1; 32], [1; 16], federation.now_ms + 1000, &quote());
    let action = federation.sign(ALICE, other.encode_to_vec());
    assert_eq!(refused(&federation, &action), "action.cluster");
    leaves_no_trace(&mut federation, &action.encode_to_vec());
}

#[test]
fn a_strangers_action_is_refused_and_leaves_no_trace() {
    let mut federation = Federation::new();
    let action = federation.action(99, &quote());
    assert_eq!(refused(&federation, &action), "action.key");
    leaves_no_trace(&mut federation, &action.encode_to_vec());
}

#[test]
fn garbage_and_oversize_are_refused_and_leave_no_trace() {
    let mut federation = Federation::new();
    leaves_no_trace(&mut federation, &[0xff; 40]);
    leaves_no_trace(&mut federation, &[]);
    let mut action = federation.action(ALICE, &quote());
    action.body = vec![0; 64 * 1024];
    assert_eq!(refused(&federation, &action), "action.size");
    leaves_no_trace(&mut federation, &action.encode_to_vec());
    let mut action = federation.action(ALICE, &quote());
    action.key.pop();
    assert_eq!(refused(&federation, &action), "action.envelope");
}

#[test]
fn an_unknown_action_is_answered_with_the_nearest_name() {
    let mut federation = Federation::new();
    let mut unknown = body(
        &federation.cluster,
        [9; 16],
        federation.now_ms + 1000,
        &quote(),
    );
    unknown.name = "vend.quota".into();
    let action = federation.sign(ALICE, unknown.encode_to_vec());
    assert_eq!(refused(&federation, &action), "action.name");
    let receipt = federation.block(&[action]).remove(0);
    let refusal = receipt.refusal.unwrap();
    assert_eq!(refusal.code().as_str_name(), "NOTFOUND");
    assert!(refusal.message.contains("vend.quote"), "{refusal}");
}

#[test]
fn a_payload_that_does_not_decode_is_refused() {
    let federation = Federation::new();
    let mut bad = body(
        &federation.cluster,
        [9; 16],
        federation.now_ms + 1000,
        &quote(),
    );
    bad.payload = vec![0xff; 9];
    let action = federation.sign(ALICE, bad.encode_to_vec());
    assert_eq!(refused(&federation, &action), "action.payload");
}

#[test]
fn the_same_action_twice_has_one_effect_and_one_receipt() {
    let mut federation = Federation::new();
    let action = federation.action(ALICE, &quote());
    let receipts = federation.block(&[action.clone(), action.clone()]);
    assert_eq!(receipts.len(), 1);
    assert_eq!(federation.stock(), (9, 1, 0));
    let admitted = admit(&federation.state, federation.now_ms, &action).unwrap();
    assert_eq!(admitted.already.as_ref(), Some(&receipts[0]));
    assert!(federation.block(std::slice::from_ref(&action)).is_empty());
    // Long after its expiry, the answer is still the same.
    federation.now_ms += 100_000_000;
    let admitted = admit(&federation.state, federation.now_ms, &action).unwrap();
    assert_eq!(admitted.already.as_ref(), Some(&receipts[0]));
    let stored = query::receipt(&federation.state, &receipts[0].action_id);
    assert_eq!(stored, Some(receipts[0].clone()));
}

#[test]
fn another_action_under_the_same_request_id_is_refused() {
    let mut federation = Federation::new();
    let first = federation.action(ALICE, &quote());
    let request_id = [7; 16];
    let of = |federation: &Federation, expires_at_ms| {
        let body = body(&federation.cluster, request_id, expires_at_ms, &quote());
        federation.sign(ALICE, body.encode_to_vec())
    };
    let one = of(&federation, federation.now_ms + 1000);
    let other = of(&federation, federation.now_ms + 1001);
    assert_ne!(one, first);
    assert!(federation.block(&[one])[0].refusal.is_none());
    assert_eq!(refused(&federation, &other), "action.request_id");
    let refusal = federation.block(&[other]).remove(0).refusal.unwrap();
    assert_eq!(refusal.code().as_str_name(), "EXISTS");
    assert_eq!(refusal.field, "request_id");
}

#[test]
fn an_action_is_good_until_its_expiry_and_for_a_day_at_most() {
    let mut federation = Federation::new();
    let at = |federation: &Federation, request, expires_at_ms| {
        let body = body(
            &federation.cluster,
            [request; 16],
            expires_at_ms,
            &TimeTick {},
        );
        federation.sign(NODES[0], body.encode_to_vec())
    };
    let now_ms = federation.now_ms;
    let day_ms = 24 * 60 * 60 * 1000;
    assert_eq!(
        refused(&federation, &at(&federation, 1, now_ms)),
        "action.expired"
    );
    let far = at(&federation, 2, now_ms + day_ms + 60_000);
    assert_eq!(refused(&federation, &far), "action.expiry");
    let good = at(&federation, 3, now_ms + 2);
    assert!(admit(&federation.state, now_ms, &good).is_ok());
    // Consensus time decides in the block, not the clock of the admitting node.
    federation.now_ms += 2;
    assert!(federation.block(&[good]).is_empty(), "it leaves no trace");
    // A lying node orders what no honest one lets in.
    let refusal = federation.block(&[far]).remove(0).refusal.unwrap();
    assert_eq!(refusal.rule, "action.expiry");
    for (request, expires_at_ms) in [(4, now_ms + 3 * day_ms), (5, u64::MAX)] {
        let for_ever = at(&federation, request, expires_at_ms);
        assert!(federation.block(&[for_ever]).is_empty(), "nor does this");
    }
}

#[test]
fn roles_are_asked_for_on_every_action() {
    let mut federation = Federation::new();
    let vend = federation.quote();
    let paid = payment(&vend, 1, PRICE);
    for stranger in [ALICE, OPERATOR, MACHINE] {
        let refusal = federation.submit(stranger, &paid).unwrap_err();
        assert_eq!(refusal.rule, "action.role");
    }
    let member = MemberSet {
        member: Some(Member::default()),
    };
    let refusal = federation.submit(ALICE, &member).unwrap_err();
    assert_eq!(refusal.code().as_str_name(), "DENIED");
}

#[test]
fn a_suspended_member_buys_nothing() {
    let mut federation = Federation::new();
    let page = query::members(&federation.state, 0, "");
    let mut alice = page.rows.into_iter().find(|one| one.id == "alice").unwrap();
    alice.set_status(MemberStatus::Suspended);
    let member = Some(alice);
    federation.submit(OPERATOR, &MemberSet { member }).unwrap();
    let refusal = federation.try_quote("A1").unwrap_err();
    assert_eq!(refusal.rule, "member.status");
    let for_alice = federation.submit(OPERATOR, &quote()).unwrap_err();
    assert_eq!(for_alice.rule, "member.status");
}
