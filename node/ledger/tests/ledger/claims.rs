//! Claims: what a guest's vend left over goes to whoever can show that it is
//! theirs, never to the next buyer.

use crate::common::{ALICE, Federation, MACHINE, NODES, OPERATOR, PRICE, absent};
use dctrl_ledger::query;
use dctrl_proto::claim::{ClaimKey, redeem_bytes, refund_bytes};
use dctrl_proto::v1::{
    ClaimRedeem, Outcome, RefundRequest, RefundWithdraw, Refusal, Vend, VendQuote,
};

const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

fn key(secret: u8) -> ClaimKey {
    ClaimKey::new(&[secret; 16]).unwrap()
}

/// A guest's vend, quoted by `seed`, with a claim code, that was overpaid.
fn overpaid(federation: &mut Federation, seed: u8) -> Vend {
    let quote = VendQuote {
        machine_id: "m1".into(),
        slot: "A1".into(),
        claim_key: key(1).public(),
        ..VendQuote::default()
    };
    let id = federation.submit(seed, &quote).unwrap();
    let vend = federation.vend(&id);
    federation.pay(&vend, 1, PRICE + 2000);
    federation.finish(&vend, Outcome::Dispensed);
    vend
}

fn claim(vend: &Vend) -> String {
    format!("liability:claim:{}", vend.id)
}

/// Redeems as `seed`, with a proof by `secret` for `member`.
fn redeem(
    federation: &mut Federation,
    seed: u8,
    vend: &Vend,
    secret: u8,
    member: &str,
) -> Result<String, Refusal> {
    let bytes = redeem_bytes(&federation.cluster, &vend.id, member);
    let redeem = ClaimRedeem {
        vend_id: vend.id.clone(),
        signature: key(secret).sign(&bytes),
    };
    federation.submit(seed, &redeem)
}

#[test]
fn a_claim_code_redeems_a_guests_credit_once() {
    let mut federation = Federation::new();
    let vend = overpaid(&mut federation, MACHINE);
    assert_eq!(federation.balance(&claim(&vend)), -2000);
    redeem(&mut federation, ALICE, &vend, 1, "alice").unwrap();
    assert_eq!(federation.balance(&claim(&vend)), 0);
    assert_eq!(federation.balance("liability:tab:alice"), -2000);
    let again = redeem(&mut federation, OPERATOR, &vend, 1, "olga");
    assert_eq!(again.unwrap_err().rule, "claim.redeemed");
}

#[test]
fn a_proof_is_for_one_member_one_vend_and_one_federation() {
    let mut federation = Federation::new();
    let vend = overpaid(&mut federation, MACHINE);
    let refused = |federation: &mut Federation, seed, secret, member: &str| {
        let result = redeem(federation, seed, &vend, secret, member);
        result.unwrap_err().rule
    };
    let bad = &mut federation;
    assert_eq!(
        refused(bad, ALICE, 2, "alice"),
        "claim.proof",
        "a wrong code"
    );
    assert_eq!(refused(bad, OPERATOR, 1, "alice"), "claim.proof", "stolen");
    let other = redeem_bytes(&[0; 32], &vend.id, "alice");
    let replayed = ClaimRedeem {
        vend_id: vend.id.clone(),
        signature: key(1).sign(&other),
    };
    assert_eq!(
        bad.submit(ALICE, &replayed).unwrap_err().rule,
        "claim.proof"
    );
    let none = ClaimRedeem {
        vend_id: vend.id.clone(),
        signature: Vec::new(),
    };
    assert_eq!(bad.submit(ALICE, &none).unwrap_err().rule, "claim.proof");
    assert_eq!(bad.submit(MACHINE, &none).unwrap_err().rule, "action.role");
    assert_eq!(bad.balance(&claim(&vend)), -2000, "nothing moved");
}

#[test]
fn the_member_who_asked_for_the_quote_needs_no_code() {
    let mut federation = Federation::new();
    let vend = overpaid(&mut federation, ALICE);
    let bare = ClaimRedeem {
        vend_id: vend.id.clone(),
        signature: Vec::new(),
    };
    let other = federation.submit(OPERATOR, &bare).unwrap_err();
    assert_eq!(other.rule, "claim.proof");
    federation.submit(ALICE, &bare).unwrap();
    assert_eq!(federation.balance("liability:tab:alice"), -2000);
}

#[test]
fn the_next_buyer_gets_nothing_of_it() {
    let mut federation = Federation::new();
    let vend = overpaid(&mut federation, MACHINE);
    let next = federation.guest_quote();
    federation.pay(&next, 2, PRICE);
    federation.finish(&next, Outcome::Dispensed);
    assert_eq!(federation.balance(&claim(&vend)), -2000);
    assert_eq!(federation.balance(&claim(&next)), 0);
}

#[test]
fn a_vend_without_credit_or_of_a_member_is_no_claim() {
    let mut federation = Federation::new();
    let empty = federation.guest_quote();
    let own = federation.quote();
    for (vend, rule) in [(empty, "claim.proof"), (own, "claim.member")] {
        let result = redeem(&mut federation, ALICE, &vend, 1, "alice");
        assert_eq!(result.unwrap_err().rule, rule);
    }
    let missing = Vend {
        id: "v0".into(),
        ..Vend::default()
    };
    let result = redeem(&mut federation, ALICE, &missing, 1, "alice");
    assert_eq!(result.unwrap_err().rule, "vend");
}

#[test]
fn what_comes_later_and_what_vanishes_follows_the_redeemer() {
    let mut federation = Federation::new();
    let vend = overpaid(&mut federation, MACHINE);
    redeem(&mut federation, ALICE, &vend, 1, "alice").unwrap();
    let later = federation.pay(&vend, 2, 700);
    assert_eq!(federation.balance("liability:tab:alice"), -2700);
    federation.see(&NODES, &absent(&later));
    assert_eq!(federation.balance("liability:tab:alice"), -2000);
}

#[test]
fn a_claim_can_be_refunded_to_the_address_that_its_code_signed() {
    let mut federation = Federation::new();
    let vend = overpaid(&mut federation, MACHINE);
    let bytes = refund_bytes(&federation.cluster, &vend.id, 1500, ADDRESS);
    let mut request = RefundRequest {
        vend_id: vend.id.clone(),
        sats: 1500,
        address: ADDRESS.into(),
        signature: key(2).sign(&bytes),
    };
    let refusal = federation.submit(MACHINE, &request).unwrap_err();
    assert_eq!(refusal.rule, "claim.proof");
    request.signature = key(1).sign(&bytes);
    let id = federation.submit(MACHINE, &request).unwrap();
    assert_eq!(federation.balance(&claim(&vend)), -500);
    assert_eq!(
        query::refunds(&federation.state, 9, "").rows[0].proof,
        request.signature
    );
    redeem(&mut federation, ALICE, &vend, 1, "alice").unwrap();
    let withdraw = RefundWithdraw { refund_id: id };
    federation.submit(MACHINE, &withdraw).unwrap();
    assert_eq!(federation.balance("liability:tab:alice"), -2000);
}
