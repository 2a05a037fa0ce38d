//! Mutated PSBTs: whatever comes back, no signature is taken that a copayer
//! has not made for exactly this transaction.

#![allow(clippy::unwrap_used, reason = "a failure in a test is a panic")]

use std::str::FromStr;

use bitcoin::bip32::{DerivationPath, Xpriv, Xpub};
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Network, OutPoint, Psbt, Txid};
use dctrl_wallet::{
    Chain, Coin, Plan, Recipient, Terms, Wallet, check_returned, finish, plan, plan_over,
};
use miniscript::{Descriptor, DescriptorPublicKey};

fn master(seed: u8) -> Xpriv {
    Xpriv::new_master(Network::Regtest, &[seed; 32]).unwrap()
}

fn wallet() -> Wallet {
    let curve = Secp256k1::new();
    let keys: Vec<String> = [1, 2, 3]
        .into_iter()
        .map(|seed| {
            let path = DerivationPath::from_str("48h/1h/0h/2h").unwrap();
            let account = master(seed).derive_priv(&curve, &path).unwrap();
            let fingerprint = master(seed).fingerprint(&curve);
            let xpub = Xpub::from_priv(&curve, &account);
            format!("[{fingerprint}/48h/1h/0h/2h]{xpub}/0/*")
        })
        .collect();
    let text = format!("wsh(sortedmulti(2,{}))", keys.join(","));
    let text = Descriptor::<DescriptorPublicKey>::from_str(&text).unwrap();
    Wallet::parse(&text.to_string(), Network::Regtest).unwrap()
}

fn coins(sats: &[u64]) -> Vec<Coin> {
    let coin = |(index, sats): (u32, &u64)| Coin {
        outpoint: OutPoint::new(Txid::from_byte_array([9; 32]), index),
        sats: *sats,
        chain: if index % 2 == 0 {
            Chain::Payments
        } else {
            Chain::Change
        },
        index,
    };
    (0..).zip(sats).map(coin).collect()
}

fn terms(sats: u64) -> Terms {
    Terms {
        recipients: vec![Recipient {
            script: wallet().script(Chain::Payments, 1_000),
            sats,
        }],
        fee_rate: 2_000,
        fee_sats_min: 0,
        fee_sats_max: 100_000,
        fee_bps_max: 10_000,
        change_index: 5,
        lock_time: 100,
    }
}

fn signed(plan: &Plan, seed: u8) -> Vec<u8> {
    let mut psbt = plan.psbt.clone();
    psbt.sign(&master(seed), &Secp256k1::new()).unwrap();
    psbt.serialize()
}

/// A small generator of Marsaglia's, so that every run is the same.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap()).unwrap()
    }
}

/// Changes, inserts, removes or doubles some bytes.
fn mutate(draw: &mut Draw, bytes: &mut Vec<u8>) {
    for _ in 0..=draw.below(3) {
        let at = draw.below(bytes.len());
        match draw.below(5) {
            0 => bytes[at] ^= 1 << draw.below(8),
            1 => bytes[at] = u8::try_from(draw.below(256)).unwrap(),
            2 => bytes.insert(at, u8::try_from(draw.below(256)).unwrap()),
            3 => drop(bytes.remove(at)),
            _ => {
                let end = (at + draw.below(40)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
}

fn fuzz(cases: u32) {
    let wallet = wallet();
    let plan = plan(&wallet, &coins(&[40_000, 41_000]), &terms(70_000)).unwrap();
    let good = signed(&plan, 1);
    let expected = check_returned(&plan.psbt, &good).unwrap();
    let mut draw = Draw(0x9e37_79b9_7f4a_7c15);
    let mut taken = 0;
    for case in 0..cases {
        let mut bytes = good.clone();
        mutate(&mut draw, &mut bytes);
        if let Ok(found) = check_returned(&plan.psbt, &bytes) {
            assert_eq!(found, expected, "case {case} took another signature");
            taken += 1;
        }
    }
    // Some changes are none, and some drop a field that may be missing.
    assert!(taken < cases / 10, "{taken} of {cases} were taken");
}

#[test]
fn no_mutated_psbt_brings_a_signature_that_was_not_made() {
    fuzz(100_000);
}

#[test]
#[ignore = "minutes in a debug build: the long form of the test above"]
fn no_mutated_psbt_of_a_million_brings_a_signature_that_was_not_made() {
    fuzz(1_000_000);
}

#[test]
fn the_same_coins_and_terms_make_the_same_bytes() {
    let wallet = wallet();
    let mut all = coins(&[40_000, 41_000, 7_000, 90_000]);
    let first = plan(&wallet, &all, &terms(70_000)).unwrap();
    all.reverse();
    let second = plan(&wallet, &all, &terms(70_000)).unwrap();
    assert_eq!(first.psbt.serialize(), second.psbt.serialize());
    let (change, _) = first.change.unwrap_or_default();
    let again = Plan::again(&wallet, &first.inputs, &terms(70_000), change).unwrap();
    assert_eq!(again.psbt.serialize(), first.psbt.serialize());
    assert_eq!(again.fee_sats, first.fee_sats);
}

#[test]
fn a_replacement_spends_all_that_was_spent_and_pays_at_least_its_least_fee() {
    let wallet = wallet();
    let all = coins(&[40_000, 41_000, 7_000, 90_000]);
    let first = plan(&wallet, &all, &terms(39_000)).unwrap();
    let mut more = terms(39_000);
    more.fee_rate = 3_000;
    more.fee_sats_min = first.fee_sats + 5_000;
    let second = plan_over(&wallet, &first.inputs, &all, &more).unwrap();
    assert!(first.inputs.iter().all(|coin| second.inputs.contains(coin)));
    assert!(second.fee_sats >= more.fee_sats_min);
}

#[test]
fn signatures_in_any_order_make_one_transaction() {
    let wallet = wallet();
    let plan = plan(&wallet, &coins(&[40_000, 41_000]), &terms(70_000)).unwrap();
    let taken = |seed| check_returned(&plan.psbt, &signed(&plan, seed)).unwrap();
    let (one, two) = (taken(1), taken(2));
    assert_eq!(finish(&plan.psbt, &one, 2), None);
    let forwards = finish(&plan.psbt, &[one.clone(), two.clone()].concat(), 2).unwrap();
    let backwards = finish(&plan.psbt, &[two, one].concat(), 2).unwrap();
    assert_eq!(forwards, backwards);
    assert_eq!(forwards.compute_txid(), plan.txid);
}

#[test]
fn the_multipath_descriptor_derives_both_chains() {
    let wallet = wallet();
    let text = wallet.multipath().unwrap();
    assert!(text.contains("/<0;1>/*"), "{text}");
    let both = Descriptor::<DescriptorPublicKey>::from_str(&text).unwrap();
    let both = both.into_single_descriptors().unwrap();
    for (chain, single) in [Chain::Payments, Chain::Change].into_iter().zip(both) {
        let derived = single.at_derivation_index(7).unwrap();
        assert_eq!(derived.script_pubkey(), wallet.script(chain, 7));
    }
    assert!(Psbt::deserialize(&[]).is_err());
}
