//! Payouts of many coins: how large their actions and they themselves become.

use bitcoin::Psbt;
use bitcoin::secp256k1::Secp256k1;
use dctrl_ledger::facts;
use dctrl_proto::action::{ACTION_BYTES_MAX, Payload};
use dctrl_proto::v1::{
    ActionBody, PaymentObserve, Payout, PayoutSign, PayoutState, PayoutVersion, SignedAction,
};
use dctrl_wallet::SIGNED_BYTES_MAX;
use prost::Message;

use super::chain::{bump, cancel};
use super::consolidation::fee_rate;
use crate::common::payouts::{
    CAROL, DAVE, DELAY_MS, ERIN, FEE_SATS_MAX, master, newest, with_payouts,
};
use crate::common::{Federation, NODES, in_block, payment};

/// What a message may have.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// The PSBT with the signatures of all copayers.
fn signed_by_all(version: &PayoutVersion) -> Vec<u8> {
    let mut psbt = Psbt::deserialize(&version.psbt).unwrap();
    for copayer in 0..3 {
        psbt.sign(&master(copayer), &Secp256k1::new()).unwrap();
    }
    psbt.serialize()
}

/// A federation with so many coins of this size, all paid to one address.
pub(super) fn with_coins(coins: u8, sats: u64) -> Federation {
    let mut federation = Federation::with(with_payouts);
    let vend = federation.quote();
    let paid: Vec<PaymentObserve> = (50..50 + coins)
        .map(|number| in_block(&payment(&vend, number, sats), 100))
        .collect();
    for node in NODES {
        let seen = paid.iter().map(|one| federation.action(node, one));
        let seen: Vec<SignedAction> = seen.collect();
        let receipts = federation.block(&seen);
        assert!(receipts.iter().all(|one| one.refusal.is_none()));
    }
    federation.tip(100);
    federation.tip(110);
    federation
}

/// A payout that all have approved and that may be signed.
fn large(federation: &mut Federation, sats: u64) -> Payout {
    let payout = federation.propose_payout(CAROL, &[sats]).unwrap();
    federation.approve_payout(DAVE, &payout).unwrap();
    let payout = federation.approve_payout(ERIN, &payout).unwrap();
    federation.wait(DELAY_MS);
    payout
}

#[test]
fn the_longest_signed_psbt_fits_into_an_action() {
    let sign = PayoutSign {
        payout_id: "p".repeat(32),
        psbt: vec![0xff; usize::try_from(SIGNED_BYTES_MAX).unwrap()],
    };
    let body = ActionBody {
        cluster: vec![0xff; 32],
        name: PayoutSign::NAME.into(),
        request_id: vec![0xff; 16],
        expires_at_ms: u64::MAX,
        payload: sign.encode_to_vec(),
    };
    let action = SignedAction {
        body: body.encode_to_vec(),
        key: vec![0xff; 32],
        signature: vec![0xff; 64],
    };
    assert!(action.encoded_len() <= ACTION_BYTES_MAX);
}

#[test]
fn what_eighty_cans_have_brought_is_paid_at_once_and_signed_by_all_in_one_action() {
    let mut federation = with_coins(90, 1_500);
    let payout = large(&mut federation, 121_300);
    let version = newest(&payout);
    assert_eq!(version.inputs.len(), 88);
    let psbt = signed_by_all(version);
    assert!(psbt.len() as u64 <= SIGNED_BYTES_MAX);
    let payout = federation.hand_in(&payout, psbt).unwrap();
    assert_eq!(payout.state(), PayoutState::Ready);
    assert_eq!(newest(&payout).signers.len(), 3);
    let more = federation.propose_payout(CAROL, &[200_000]).unwrap_err();
    assert_eq!(more.rule, "payout.funds");
    assert!(more.message.contains("in at most 88 coins"), "{more:?}");
}

#[test]
fn a_higher_fee_also_pays_for_the_coins_that_it_takes() {
    let mut federation = with_coins(90, 1_500);
    let payout = federation.approved(&[100_000]);
    bump(&mut federation, &payout.id, 0).unwrap();
    let payout = federation.payout(&payout.id);
    let [first, second] = &payout.versions[..] else {
        panic!("it has two transactions");
    };
    assert!(second.virtual_size > first.virtual_size + 400);
    // BIP-125: what the one before pays, and a satoshi for each virtual byte.
    let needed = first.fee_sats + u64::from(second.virtual_size);
    assert!(second.fee_sats >= needed, "{} {needed}", second.fee_sats);
}

#[test]
fn what_pays_almost_the_highest_fee_can_be_taken_back_for_the_highest() {
    let mut federation = with_coins(84, 10_000);
    fee_rate(&mut federation, 5_000);
    let payout = large(&mut federation, 790_000);
    let (paid, size) = (newest(&payout).fee_sats, newest(&payout).virtual_size);
    assert!(paid * 5 / 4 > FEE_SATS_MAX, "a quarter more is too much");
    cancel(&mut federation, &payout.id).unwrap();
    let back = newest(&federation.payout(&payout.id)).clone();
    let passed_on = paid + u64::from(size);
    assert!(back.fee_sats > passed_on, "nodes pass it on");
    assert!(back.fee_sats <= FEE_SATS_MAX.max(passed_on + 400));
    assert_eq!(back.fee_note, "the highest fee that taking back may have");
}

#[test]
fn however_often_the_fee_of_many_coins_is_raised_a_message_holds_the_payout() {
    let mut federation = with_coins(90, 10_000);
    let payout = large(&mut federation, 790_000);
    let refused = loop {
        let signed = signed_by_all(newest(&federation.payout(&payout.id)));
        federation.hand_in(&payout, signed).unwrap();
        if let Err(refused) = bump(&mut federation, &payout.id, 0) {
            break refused;
        }
    };
    assert_eq!(refused.rule, "payout.versions");
    assert!(refused.message.contains("many coins"), "{refused:?}");
    cancel(&mut federation, &payout.id).unwrap();
    let signed = signed_by_all(newest(&federation.payout(&payout.id)));
    let payout = federation.hand_in(&payout, signed).unwrap();
    assert!(payout.versions.len() > 4);
    assert!(newest(&payout).inputs.len() > 80);
    let bytes = payout.encoded_len();
    assert!(bytes < MESSAGE_BYTES_MAX * 6 / 10, "{bytes}");
    // Pages break before the event that would make them too long.
    let topics = ["payout".to_owned(), "payment".to_owned()];
    let mut cursor = Vec::new();
    loop {
        let page = facts::page(&federation.state, &topics, &cursor, 0).unwrap();
        let bytes: usize = page.events.iter().map(Message::encoded_len).sum();
        assert!(page.events.len() == 1 || bytes <= 512 * 1024, "{bytes}");
        cursor = page.next;
        if cursor.is_empty() {
            break;
        }
    }
}
