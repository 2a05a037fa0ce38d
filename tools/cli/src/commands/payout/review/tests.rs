use dctrl_proto::v1::{
    AllowedAddress, Outpoint, PayoutInput, PayoutParent, PayoutRecipient, PayoutStanding,
};
use dctrl_wallet::plan;

use super::*;
use crate::testnet::wallet::Wallet as Keys;

/// 2000-02-29T00:00:00Z.
const NOW_MS: u64 = 951_782_400_000;
const DELAY_MS: u64 = 60_000;

pub(in crate::commands::payout) fn genesis() -> Genesis {
    Genesis {
        network: "regtest".into(),
        descriptor: Keys::from_seeds(&[[1; 32], [2; 32], [3; 32]])
            .unwrap()
            .descriptor,
        payouts: Some(PayoutRules {
            allow_delay_ms: DELAY_MS,
            ..PayoutRules::default()
        }),
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

const AS_OF: AsOf = AsOf {
    height: 12,
    time_ms: NOW_MS,
    signatures: Signatures { signed: 3, of: 4 },
};

fn checked(change: impl FnOnce(&mut Payout)) -> Result<Review, Failure> {
    let mut payout = honest();
    change(&mut payout);
    check(&genesis(), &payout, AS_OF)
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

/// Three coins that become one.
fn consolidation() -> Payout {
    let wallet = wallet(&genesis()).unwrap();
    let input = |vout| PayoutInput {
        outpoint: Some(Outpoint {
            txid: vec![9; 32],
            vout,
        }),
        amount_sats: 1_500,
        change: false,
        address_index: vout,
    };
    let inputs: Vec<PayoutInput> = (0..3).map(input).collect();
    let coins: Vec<Coin> = inputs.iter().map(|one| coin(one).unwrap()).collect();
    let terms = Terms {
        recipients: Vec::new(),
        fee_rate: 1_000,
        fee_sats_min: 0,
        fee_sats_max: 10_000,
        fee_bps_max: 10_000,
        change_index: 5,
        lock_time: 100,
    };
    let plan = dctrl_wallet::consolidate(&wallet, &coins, &terms).unwrap();
    let (change_sats, change_vout) = plan.change.unwrap();
    let mut txid = plan.txid.to_byte_array().to_vec();
    txid.reverse();
    Payout {
        id: "p3".into(),
        versions: vec![PayoutVersion {
            number: 1,
            kind: PayoutKind::Consolidation.into(),
            txid,
            psbt: plan.psbt.serialize(),
            inputs,
            fee_sats: plan.fee_sats,
            fee_rate: 1_000,
            change_sats,
            change_index: 5,
            change_vout,
            ..PayoutVersion::default()
        }],
        ..Payout::default()
    }
}

#[test]
fn a_consolidation_is_said_to_pay_nobody_and_how_many_coins_become_one() {
    let words = checked(|one| *one = consolidation()).unwrap().words();
    let said = "joins    3 coins of the wallet into one\n  pays     nobody but the wallet itself\n";
    assert!(words.contains(said), "{words}");
    assert!(!checked(|_| {}).unwrap().words().contains("nobody"));
    // It pays somebody as its PSBT says, too.
    let paying = |one: &mut Payout| one.versions[0].set_kind(PayoutKind::Consolidation);
    assert_eq!(refused(paying), "payout.consolidation");
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

/// A payout whose one recipient is known so.
fn known(usable_from_ms: Option<u64>, paid_before: bool) -> Payout {
    let mut payout = honest();
    payout.sign_from_ms = 1;
    payout.standings = vec![PayoutStanding {
        allowed: usable_from_ms.map(|usable_from_ms| AllowedAddress {
            address: payout.recipients[0].address.clone(),
            name: "Hackers\u{1b} e. V.".into(),
            added_by: "member/dave".into(),
            usable_from_ms,
        }),
        paid_before,
    }];
    payout
}

/// What stands below the amount, and what is unusual in it.
fn told(payout: Payout) -> (String, Vec<String>) {
    let address = payout.recipients[0].address.clone();
    let review = checked(|one| *one = payout).unwrap();
    let words = review.words();
    let mut lines = words.lines().skip_while(|line| !line.contains("  pays "));
    let below = lines.nth(1).unwrap().trim().to_owned();
    let of_it = review.unusual.iter().filter(|one| one.contains(&address));
    (below, of_it.map(|one| one.replace(&address, "X")).collect())
}

#[test]
fn a_recipient_on_the_list_that_was_paid_before_is_nothing_unusual() {
    let (below, unusual) = told(known(Some(NOW_MS), true));
    let since = "since 2000-02-28T23:59:00.000Z";
    assert!(
        below.starts_with("on the allow-list as Hackers") && below.contains(since),
        "{below}"
    );
    assert!(!below.contains('\u{1b}'), "{below}");
    assert!(
        below.ends_with("has been paid by this federation before"),
        "{below}"
    );
    assert_eq!(unusual, [""; 0]);
}

#[test]
fn a_recipient_that_is_not_listed_or_still_waits_or_is_new_is_named_as_unusual() {
    let never = "X has never been paid by this federation";
    let (below, unusual) = told(known(None, false));
    assert_eq!(
        below,
        "not on the allow-list; has never been paid by this federation"
    );
    assert_eq!(unusual, ["X is not on the allow-list", never]);
    let (below, unusual) = told(known(Some(NOW_MS + 1), false));
    let usable = ", usable from 2000-02-29T00:00:00.001Z";
    assert!(below.contains(usable), "{below}");
    assert!(
        unusual[0].starts_with("X is on the allow-list") && unusual[0].ends_with(usable),
        "{unusual:?}"
    );
    assert_eq!(unusual[1..], [never]);
}

#[test]
fn whom_the_ledger_names_itself_need_not_be_on_the_list() {
    let mut refund = known(None, false);
    refund.accounts = vec!["liability:refund:r1".into()];
    let (below, unusual) = told(refund);
    assert!(below.starts_with("not on the allow-list"), "{below}");
    assert_eq!(unusual, [""; 0]);
    let mut waits = known(Some(NOW_MS + 1), true);
    waits.accounts = vec!["liability:share:carol".into()];
    assert_eq!(told(waits).1.len(), 1, "a waiting time is said in any case");
}

#[test]
fn what_the_nodes_did_not_sign_is_said_to_be_unknown() {
    let (below, unusual) = told(honest());
    assert_eq!(
        below,
        "the nodes did not sign what they know of this address"
    );
    assert_eq!(unusual, [format!("X: {below}")]);
    let mut short = known(Some(NOW_MS), true);
    short.standings.clear();
    assert_eq!(told(short).0, below);
}

#[test]
fn the_block_that_the_words_rest_on_is_named_and_programs_get_the_same() {
    let review = checked(|one| *one = known(Some(NOW_MS), true)).unwrap();
    let as_of = "as of    block 12 of 2000-02-29T00:00:00.000Z";
    assert!(review.words().contains(as_of), "{}", review.words());
    let json = serde_json::to_value(&review).unwrap();
    assert_eq!(json["as_of"]["height"], 12);
    let known = &json["pays"][0]["known"];
    assert_eq!(known["paid_before"], true);
    assert_eq!(known["allow_list"]["since_ms"], NOW_MS - DELAY_MS);
    assert_eq!(known["allow_list"]["usable"], true);
    assert_eq!(json["final"]["signed"], 3);
}
