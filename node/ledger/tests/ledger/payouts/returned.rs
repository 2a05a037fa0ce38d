//! What signers give back: signatures, or nothing that is taken.

use bitcoin::psbt::PsbtSighashType;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::{Amount, Network, Psbt, PublicKey};
use dctrl_proto::v1::{Payout, PayoutState};

use crate::common::Federation;
use crate::common::nodes::rule;
use crate::common::payouts::{CAROL, DAVE, DELAY_MS, SMALL, master, newest, signed};

/// A signed PSBT with one thing changed is refused for that, and nothing of
/// it is kept.
fn refused(change: impl FnOnce(&mut Psbt)) -> String {
    let mut federation = Federation::rich(&[60_000, 70_000]);
    let payout = federation.approved(&[20_000, 70_000]);
    let mut psbt = Psbt::deserialize(&signed(newest(&payout), 0)).unwrap();
    change(&mut psbt);
    let refusal = federation.hand_in(&payout, psbt.serialize()).unwrap_err();
    assert_eq!(federation.payout(&payout.id), payout, "something was kept");
    refusal.rule
}

fn refused_bytes(change: impl FnOnce(&Payout, Vec<u8>) -> Vec<u8>) -> String {
    let mut federation = Federation::rich(&[60_000]);
    let payout = federation.approved(&[20_000]);
    let psbt = change(&payout, signed(newest(&payout), 0));
    let refusal = federation.hand_in(&payout, psbt).unwrap_err();
    assert_eq!(federation.payout(&payout.id), payout, "something was kept");
    refusal.rule
}

#[test]
fn a_changed_output_is_refused() {
    assert_eq!(
        refused(|psbt| psbt.unsigned_tx.output[0].value += Amount::ONE_SAT),
        "psbt.output"
    );
    assert_eq!(
        refused(|psbt| {
            let first = psbt.unsigned_tx.output[0].script_pubkey.clone();
            psbt.unsigned_tx.output[1].script_pubkey = first;
        }),
        "psbt.output"
    );
}

#[test]
fn another_transaction_is_refused() {
    assert_eq!(
        refused(|psbt| psbt.unsigned_tx.input[0].previous_output.vout += 1),
        "psbt.txid"
    );
    assert_eq!(
        refused(|psbt| psbt.unsigned_tx.lock_time = bitcoin::absolute::LockTime::ZERO),
        "psbt.txid"
    );
}

#[test]
fn any_sighash_but_all_is_refused() {
    assert_eq!(
        refused(|psbt| {
            for signature in psbt.inputs[0].partial_sigs.values_mut() {
                signature.sighash_type = EcdsaSighashType::None;
            }
        }),
        "psbt.sighash"
    );
    assert_eq!(
        refused(|psbt| {
            let kind = EcdsaSighashType::AllPlusAnyoneCanPay;
            psbt.inputs[0].sighash_type = Some(PsbtSighashType::from(kind));
        }),
        "psbt.sighash"
    );
}

#[test]
fn an_unknown_key_is_refused_even_with_a_good_signature() {
    let curve = Secp256k1::new();
    let thief = master(99).private_key;
    assert_eq!(
        refused(|psbt| {
            let transaction = psbt.unsigned_tx.clone();
            let spent = psbt.inputs[0].witness_utxo.clone().unwrap();
            let script = psbt.inputs[0].witness_script.clone().unwrap();
            let digest = SighashCache::new(&transaction)
                .p2wsh_signature_hash(0, &script, spent.value, EcdsaSighashType::All)
                .unwrap();
            let signature = curve.sign_ecdsa(&digest.into(), &thief);
            psbt.inputs[0].partial_sigs.insert(
                PublicKey::new(thief.public_key(&curve)),
                bitcoin::ecdsa::Signature::sighash_all(signature),
            );
        }),
        "psbt.key"
    );
}

#[test]
fn a_signature_that_does_not_hold_is_refused() {
    assert_eq!(
        refused(|psbt| {
            let other = psbt.inputs[1]
                .partial_sigs
                .values()
                .next()
                .copied()
                .unwrap();
            for signature in psbt.inputs[0].partial_sigs.values_mut() {
                *signature = other;
            }
        }),
        "psbt.signature"
    );
}

#[test]
fn a_signature_for_some_inputs_only_is_refused() {
    assert_eq!(
        refused(|psbt| psbt.inputs[1].partial_sigs.clear()),
        "psbt.incomplete"
    );
}

#[test]
fn a_final_psbt_and_one_without_signatures_are_refused() {
    assert_eq!(
        refused(|psbt| {
            let script = psbt.inputs[0].witness_script.clone().unwrap();
            let witness = bitcoin::Witness::from_slice(&[script.as_bytes()]);
            psbt.inputs[0].final_script_witness = Some(witness);
        }),
        "psbt.final"
    );
    assert_eq!(
        refused(|psbt| {
            for input in &mut psbt.inputs {
                input.partial_sigs.clear();
            }
        }),
        "psbt.unsigned"
    );
}

#[test]
fn fields_that_were_not_ordered_are_refused() {
    let key = |kind| bitcoin::psbt::raw::Key {
        type_value: kind,
        key: vec![1],
    };
    assert_eq!(
        refused(|psbt| drop(psbt.unknown.insert(key(0xee), vec![1]))),
        "psbt.field"
    );
    assert_eq!(
        refused(|psbt| drop(psbt.inputs[0].unknown.insert(key(0xee), vec![1]))),
        "psbt.field"
    );
    assert_eq!(
        refused(|psbt| {
            let utxo = psbt.inputs[0].witness_utxo.as_mut().unwrap();
            utxo.value += Amount::ONE_SAT;
        }),
        "psbt.field"
    );
    assert_eq!(
        refused(|psbt| psbt.inputs[0].redeem_script = Some(bitcoin::ScriptBuf::new())),
        "psbt.field"
    );
    assert_eq!(
        refused(|psbt| {
            let source = psbt.inputs[0].bip32_derivation.values_mut().next().unwrap();
            source.0 = bitcoin::bip32::Fingerprint::from([9; 4]);
        }),
        "psbt.field"
    );
}

#[test]
fn what_is_cut_off_or_no_psbt_or_of_version_2_or_too_long_is_refused() {
    assert_eq!(
        refused_bytes(|_, mut psbt| {
            psbt.truncate(psbt.len() / 2);
            psbt
        }),
        "psbt.malformed"
    );
    assert_eq!(
        refused_bytes(|_, _| b"not a psbt".to_vec()),
        "psbt.malformed"
    );
    assert_eq!(refused_bytes(|_, _| Vec::new()), "psbt.malformed");
    assert_eq!(
        refused_bytes(|_, psbt| dctrl_wallet::to_version_2(&Psbt::deserialize(&psbt).unwrap())),
        "psbt.version"
    );
    // As long as an action can be: longer ones do not get into the ledger.
    assert_eq!(
        refused_bytes(|_, mut psbt| {
            psbt.resize(60_000, 0);
            psbt
        }),
        "psbt.malformed"
    );
    let ordered = {
        let mut federation = Federation::rich(&[60_000]);
        let payout = federation.approved(&[20_000]);
        Psbt::deserialize(&newest(&payout).psbt).unwrap()
    };
    let deviation = dctrl_wallet::check_returned(&ordered, &vec![0; 10 << 20]).unwrap_err();
    assert_eq!(deviation.rule(), "psbt.size");
}

#[test]
fn a_key_of_another_network_signs_nothing() {
    // The same seed on the main network has other paths, and so other keys.
    let other = bitcoin::bip32::Xpriv::new_master(Network::Bitcoin, &[1; 32]).unwrap();
    let path = "48'/0'/0'/2'/0/0"
        .parse::<bitcoin::bip32::DerivationPath>()
        .unwrap();
    let curve = Secp256k1::new();
    let key = other.derive_priv(&curve, &path).unwrap().private_key;
    assert_eq!(
        refused(|psbt| {
            let signature = *psbt.inputs[0].partial_sigs.values().next().unwrap();
            let public = PublicKey::new(key.public_key(&curve));
            psbt.inputs[0].partial_sigs.insert(public, signature);
        }),
        "psbt.key"
    );
}

#[test]
fn a_signature_from_another_payout_is_refused() {
    let mut federation = Federation::rich(&[60_000, 60_000]);
    let first = federation.approved(&[20_000]);
    let second = federation.approved(&[20_000]);
    let stolen = signed(newest(&first), 0);
    assert_eq!(
        rule(federation.hand_in(&second, stolen.clone())),
        "psbt.txid"
    );
    let mut moved = Psbt::deserialize(&newest(&second).psbt).unwrap();
    let signed = Psbt::deserialize(&stolen).unwrap();
    let signature = *signed.inputs[0].partial_sigs.values().next().unwrap();
    let curve = Secp256k1::new();
    let carol = moved.inputs[0]
        .bip32_derivation
        .iter()
        .find(|(_, (print, _))| *print == master(0).fingerprint(&curve))
        .map(|(key, _)| PublicKey::new(*key))
        .unwrap();
    moved.inputs[0].partial_sigs.insert(carol, signature);
    assert_eq!(
        rule(federation.hand_in(&second, moved.serialize())),
        "psbt.signature"
    );
}

#[test]
fn nobody_signs_before_the_approvals_or_within_the_delay_or_twice() {
    let mut federation = Federation::rich(&[400_000, 60_000]);
    let payout = federation.propose_payout(CAROL, &[SMALL + 1]).unwrap();
    let psbt = signed(newest(&payout), 0);
    assert_eq!(
        rule(federation.hand_in(&payout, psbt.clone())),
        "payout.approved"
    );
    federation.approve_payout(CAROL, &payout).unwrap();
    let payout = federation.approve_payout(DAVE, &payout).unwrap();
    assert_eq!(payout.state(), PayoutState::Approved);
    assert_eq!(
        rule(federation.hand_in(&payout, psbt.clone())),
        "payout.delay"
    );
    federation.wait(DELAY_MS);
    federation.hand_in(&payout, psbt.clone()).unwrap();
    assert_eq!(rule(federation.hand_in(&payout, psbt)), "payout.signed");
    let payout = federation.signed_by(&payout, &[2]);
    let late = signed(newest(&payout), 1);
    assert_eq!(rule(federation.hand_in(&payout, late)), "payout.complete");
}
