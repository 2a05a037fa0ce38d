use dctrl_proto::v1::{Outpoint, PayoutInput, PayoutRecipient};
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
