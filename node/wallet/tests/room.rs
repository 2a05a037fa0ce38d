//! How many coins fit: with the most recipients and the longest signatures of
//! all copayers as many as the bytes of an action allow, and not one more.

#![allow(clippy::unwrap_used, reason = "a failure in a test is a panic")]

use bitcoin::bip32::{DerivationPath, Xpriv, Xpub};
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::{Secp256k1, ecdsa::Signature};
use bitcoin::sighash::EcdsaSighashType;
use bitcoin::{
    Network, OutPoint, Psbt, PublicKey, ScriptBuf, Txid, WitnessProgram, WitnessVersion, ecdsa,
};
use dctrl_wallet::{
    Chain, Coin, INPUTS_MAX, Key, Plan, PlanError, RECIPIENTS_MAX, Recipient, SIGNED_BYTES_MAX,
    Terms, Wallet, plan, plan_over,
};

fn wallet(threshold: usize, keys: u8) -> Wallet {
    let curve = Secp256k1::new();
    let path: DerivationPath = "48h/1h/0h/2h".parse().unwrap();
    let key = |seed| {
        let master = Xpriv::new_master(Network::Regtest, &[seed; 32]).unwrap();
        let account = master.derive_priv(&curve, &path).unwrap();
        Key {
            fingerprint: master.fingerprint(&curve),
            path: path.clone(),
            xpub: Xpub::from_priv(&curve, &account),
        }
    };
    let keys: Vec<Key> = (1..=keys).map(key).collect();
    Wallet::of(threshold, &keys, Network::Regtest).unwrap()
}

fn coins(count: usize, sats: u64) -> Vec<Coin> {
    let coin = |index: usize| Coin {
        outpoint: OutPoint::new(
            Txid::from_byte_array([9; 32]),
            u32::try_from(index).unwrap(),
        ),
        sats,
        chain: Chain::Payments,
        index: u32::try_from(index).unwrap(),
    };
    (0..count).map(coin).collect()
}

/// The most recipients, each with the longest script.
fn terms(sats: u64) -> Terms {
    let program = WitnessProgram::new(WitnessVersion::V16, &[7; 40]).unwrap();
    let recipient = Recipient {
        script: ScriptBuf::new_witness_program(&program),
        sats,
    };
    Terms {
        recipients: vec![recipient; RECIPIENTS_MAX],
        fee_rate: 1_000,
        fee_sats_min: 0,
        fee_sats_max: 1_000_000,
        fee_bps_max: 10_000,
        change_index: 7,
        lock_time: 100,
    }
}

/// A transaction with so many inputs, and change.
fn with_inputs(wallet: &Wallet, inputs: usize) -> Plan {
    let plan = plan_over(wallet, &coins(inputs, 100_000), &[], &terms(1_000)).unwrap();
    assert_eq!((plan.inputs.len(), plan.change.is_some()), (inputs, true));
    plan
}

/// Bytes of the PSBT with signatures of all keys, each as long as one with a
/// low S can be.
fn signed_bytes(mut psbt: Psbt) -> u64 {
    let numbers = [[0x81; 32], [0x71; 32]].concat();
    let signature = ecdsa::Signature {
        signature: Signature::from_compact(&numbers).unwrap(),
        sighash_type: EcdsaSighashType::All,
    };
    assert_eq!(signature.to_vec().len(), 72);
    for input in &mut psbt.inputs {
        let keys = input.bip32_derivation.keys();
        let signed = keys.map(|key| (PublicKey::new(*key), signature));
        input.partial_sigs = signed.collect();
    }
    psbt.serialize().len() as u64
}

#[test]
fn all_signatures_fit_and_with_one_more_coin_they_would_not() {
    for (threshold, keys, expected) in [
        (1, 1, INPUTS_MAX),
        (1, 2, INPUTS_MAX),
        (2, 3, 88),
        (3, 5, 56),
        (8, 15, 19),
        (15, 15, 19),
        (11, 20, 14),
        (20, 20, 14),
    ] {
        let wallet = wallet(threshold, keys);
        let most = wallet.inputs_max();
        assert_eq!(most, expected, "{threshold} of {keys}");
        let plan = with_inputs(&wallet, most);
        let fits = signed_bytes(plan.psbt);
        assert!(fits <= SIGNED_BYTES_MAX, "{threshold} of {keys}: {fits}");
        // Nodes pass on no more than 400,000 weight units.
        assert!(plan.virtual_size < 100_000);
        if most < INPUTS_MAX {
            let more = signed_bytes(with_inputs(&wallet, most + 1).psbt);
            assert!(more > SIGNED_BYTES_MAX, "{threshold} of {keys}: {more}");
        }
    }
}

#[test]
fn many_small_coins_are_paid_out_at_once() {
    let wallet = wallet(2, 3);
    let cans = coins(200, 1_500);
    // What 20 coins are worth is paid four times over.
    let plan = plan(&wallet, &cans, &terms(6_050)).unwrap();
    assert_eq!(plan.inputs.len(), 88);
    let refused = dctrl_wallet::plan(&wallet, &cans, &terms(6_500)).unwrap_err();
    let expected = PlanError::Funds {
        have: 88 * 1_500,
        coins_max: 88,
        need: 130_000,
    };
    assert_eq!(refused, expected);
    assert!(refused.to_string().contains("in at most 88 coins"));
}

#[test]
fn a_sum_without_change_gives_way_where_its_coins_cost_too_much() {
    let wallet = wallet(2, 3);
    let mut all = coins(40, 2_000);
    all[0].sats = 60_000;
    let mut terms = terms(0);
    terms.recipients.truncate(1);
    // 30 of the small coins make the sum to the satoshi.
    terms.recipients[0].sats = 30 * (2_000 - 105) - 118;
    let exact = plan(&wallet, &all[1..], &terms).unwrap();
    assert_eq!((exact.inputs.len(), exact.change), (30, None));
    let large = plan(&wallet, &all, &terms).unwrap();
    assert_eq!(large.inputs.len(), 30);
    terms.fee_sats_max = 1_000;
    let large = plan(&wallet, &all, &terms).unwrap();
    assert_eq!(large.inputs, [all[0]]);
}
