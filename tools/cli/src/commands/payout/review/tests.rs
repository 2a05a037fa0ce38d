use dctrl_proto::v1::{Outpoint, PayoutInput, PayoutParent, PayoutRecipient};
use dctrl_wallet::plan;

use super::*;
use crate::testnet::wallet::Wallet as Keys;

pub(in crate::commands::payout) fn genesis() -> Genesis {
    Genesis {
        network: "regtest".into(),
        descriptor: Keys::from_seeds(&[[1; 32], [2; 32], [3; 32]])
            .unwrap()
            .descriptor,
        ..Genesis::default()
    }
}

/// A payout as an honest ledger builds it.
pub(in crate::commands::payout) fn honest() -> Payout {
    let wallet = wallet(&genesis()).unwrap();
    let address = wallet.address(Chain::Payments, 900).to_string();
    let coin = Coin {
        outpoint: OutPoint::new(Txid::from_byte_array([9; 32]), 1),
        sats: 60_000,
        chain: Chain::Payments,
        index: 4,
    };
    let terms = Terms {
        recipients: vec![Recipient {
            script: wallet.script(Chain::Payments, 900),
            sats: 20_000,
        }],
        fee_rate: 1_000,
        fee_sats_min: 0,
        fee_sats_max: 10_000,
        fee_bps_max: 10_000,
        change_index: 3,
        lock_time: 100,
    };
    let plan = plan(&wallet, &[coin], &terms).unwrap();
    let (change_sats, change_vout) = plan.change.unwrap();
    let mut txid = plan.txid.to_byte_array().to_vec();
    txid.reverse();
    let version = PayoutVersion {
        number: 1,
        kind: PayoutKind::Payment.into(),
        txid,
        psbt: plan.psbt.serialize(),
        inputs: vec![PayoutInput {
            outpoint: Some(Outpoint {
                txid: vec![9; 32],
                vout: 1,
            }),
            amount_sats: 60_000,
            change: false,
            address_index: 4,
        }],
        fee_sats: plan.fee_sats,
        fee_rate: 1_000,
        change_sats,
        change_index: 3,
        change_vout,
        ..PayoutVersion::default()
    };
    Payout {
        id: "p1".into(),
        recipients: vec![PayoutRecipient {
            address,
            amount_sats: 20_000,
        }],
        amount_sats: 20_000,
        versions: vec![version],
        ..Payout::default()
    }
}

fn checked(change: impl FnOnce(&mut Payout)) -> Result<Review, Failure> {
    let mut payout = honest();
    change(&mut payout);
    check(&genesis(), &payout, Signatures { signed: 3, of: 4 })
}

fn refused(change: impl FnOnce(&mut Payout)) -> &'static str {
    match checked(change) {
        Err(Failure::Unverified { rule, .. }) => rule,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_honest_payout_is_said_in_words_with_its_change_proven() {
    let review = checked(|_| {}).unwrap();
    let words = review.words();
    assert!(words.contains("pays     20,000 sats to bcrt1q"), "{words}");
    assert!(
        words.contains("derived from the descriptor: change 3"),
        "{words}"
    );
    assert!(words.contains("final (3 of 4 signatures)"), "{words}");
    assert!(words.contains("UNUSUAL  it is not approved yet"), "{words}");
}

/// A child that lifts the honest payout.
fn child() -> Payout {
    let wallet = wallet(&genesis()).unwrap();
    let parent = honest();
    let of = &parent.versions[0];
    let input = PayoutInput {
        outpoint: Some(Outpoint {
            txid: of.txid.clone(),
            vout: of.change_vout,
        }),
        amount_sats: of.change_sats,
        change: true,
        address_index: of.change_index,
    };
    let terms = Terms {
        recipients: Vec::new(),
        fee_rate: 9_000,
        fee_sats_min: 0,
        fee_sats_max: 10_000,
        fee_bps_max: 10_000,
        change_index: 7,
        lock_time: 100,
    };
    let waits = dctrl_wallet::Parent {
        change: coin(&input).unwrap(),
        fee_sats: of.fee_sats,
        virtual_size: 200,
    };
    let plan = dctrl_wallet::child(&wallet, &waits, &terms);
    let plan = plan.unwrap().unwrap();
    let (change_sats, change_vout) = plan.change.unwrap();
    let mut txid = plan.txid.to_byte_array().to_vec();
    txid.reverse();
    Payout {
        id: "p2".into(),
        sign_from_ms: 1,
        parent: Some(PayoutParent {
            payout_id: "p1".into(),
            version: 1,
            txid: of.txid.clone(),
            fee_sats: of.fee_sats,
            virtual_size: 200,
        }),
        versions: vec![PayoutVersion {
            number: 1,
            kind: PayoutKind::Child.into(),
            txid,
            psbt: plan.psbt.serialize(),
            inputs: vec![input],
            fee_sats: plan.fee_sats,
            fee_rate: 9_000,
            change_sats,
            change_index: 7,
            change_vout,
            ..PayoutVersion::default()
        }],
        ..Payout::default()
    }
}

#[test]
fn a_child_is_said_to_pay_only_ourselves_and_which_transaction_it_lifts_to_what_rate() {
    let review = checked(|one| *one = child()).unwrap();
    let words = review.words();
    let txid = hex::encode(&honest().versions[0].txid);
    let lifts = format!("lifts    version 1 of payout p1 ({txid})");
    assert!(words.contains(&lifts), "{words}");
    assert!(
        words.contains("to 9000 sats") || words.contains("to 9001 sats"),
        "{words}"
    );
    assert!(words.contains("nobody but the wallet itself"), "{words}");
    assert!(
        words.contains("derived from the descriptor: change 7"),
        "{words}"
    );
}

#[test]
fn what_is_said_to_be_a_child_and_is_none_is_refused() {
    let as_child = |change: fn(&mut Payout)| {
        refused(|one| {
            *one = child();
            change(one);
        })
    };
    assert_eq!(
        as_child(|one| one.recipients = honest().recipients),
        "payout.plan"
    );
    assert_eq!(as_child(|one| one.parent = None), "payout.child");
    let other = |one: &mut Payout| one.parent.as_mut().unwrap().txid = vec![8; 32];
    assert_eq!(as_child(other), "payout.child");
    assert_eq!(refused(|one| one.parent = child().parent), "payout.child");
}

#[test]
fn whatever_the_words_and_the_psbt_do_not_agree_on_is_refused() {
    assert_eq!(
        refused(|one| one.recipients[0].amount_sats -= 1),
        "payout.psbt"
    );
    let other = wallet(&genesis()).unwrap().address(Chain::Payments, 901);
    assert_eq!(
        refused(|one| one.recipients[0].address = other.to_string()),
        "payout.psbt"
    );
    assert_eq!(
        refused(|one| one.versions[0].change_index = 4),
        "payout.psbt"
    );
    assert_eq!(
        refused(|one| one.versions[0].change_sats -= 1),
        "payout.psbt"
    );
    assert_eq!(
        refused(|one| one.versions[0].inputs[0].address_index = 5),
        "payout.psbt"
    );
    assert_eq!(
        refused(|one| one.versions[0].inputs[0].amount_sats += 1),
        "payout.psbt"
    );
    assert_eq!(refused(|one| one.versions[0].fee_sats -= 1), "payout.txid");
    assert_eq!(refused(|one| one.versions[0].txid[0] ^= 1), "payout.txid");
    assert_eq!(
        refused(|one| one.versions[0].psbt.truncate(90)),
        "payout.psbt"
    );
    assert_eq!(refused(|one| one.versions.clear()), "payout.version");
}

#[test]
fn a_second_version_that_leaves_an_input_out_is_refused() {
    let rule = refused(|one| {
        let mut first = one.versions[0].clone();
        first.inputs[0].address_index = 77;
        one.versions.insert(0, first);
    });
    assert_eq!(rule, "payout.inputs");
}
