//! BIP-174: PSBTs of version 0, and what its roles make of them.

use std::str::FromStr;

use bitcoin::bip32::{DerivationPath, Xpriv};
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Psbt, Transaction, consensus};
use dctrl_wallet::read_psbt;
use miniscript::psbt::PsbtExt;

use super::bytes;

const VECTORS: &str = include_str!("../vectors/bip-174.txt");

/// The one vector of a name.
fn one(name: &str) -> Vec<u8> {
    let mut found = bytes(VECTORS, name);
    assert_eq!(found.len(), 1, "{name}");
    found.remove(0)
}

fn psbt(name: &str) -> Psbt {
    read_psbt(&one(name)).unwrap()
}

/// The master key that the BIP names for its workflow.
const MASTER: &str = "tprv8ZgxMBicQKsPd9TeAdPADNnSyH9SSUUbTVeFszDE23Ki6TBB5nCefAdHkK8Fm3qMQR6sHwA56zqRmKmxnHk37JkiFzvncDqoKmPWubu7hDF";

#[test]
fn valid_psbts_are_read_and_written_without_a_loss() {
    let valid = bytes(VECTORS, "valid");
    assert_eq!(valid.len(), 10);
    for (number, vector) in valid.iter().enumerate() {
        let psbt = read_psbt(vector).unwrap_or_else(|error| panic!("{number}: {error}"));
        assert_eq!(read_psbt(&psbt.serialize()).as_ref(), Ok(&psbt), "{number}");
    }
}

#[test]
fn invalid_psbts_are_refused() {
    let invalid = bytes(VECTORS, "invalid");
    assert_eq!(invalid.len(), 20);
    for (number, vector) in invalid.iter().enumerate() {
        assert!(read_psbt(vector).is_err(), "{number}");
    }
}

#[test]
fn the_signer_gives_the_bytes_of_the_standard() {
    let curve = Secp256k1::new();
    let master = Xpriv::from_str(MASTER).unwrap();
    for (paths, expected) in [
        (["m/0h/0h/0h", "m/0h/0h/2h"], "signed-1"),
        (["m/0h/0h/1h", "m/0h/0h/3h"], "signed-2"),
    ] {
        let keys = paths.map(|path| {
            let path = DerivationPath::from_str(path).unwrap();
            let key = master.derive_priv(&curve, &path).unwrap().to_priv();
            (key.public_key(&curve), key)
        });
        let mut psbt = psbt("sighash");
        psbt.sign(&std::collections::BTreeMap::from(keys), &curve)
            .unwrap();
        assert_eq!(psbt, self::psbt(expected));
    }
}

#[test]
fn the_combiner_finaliser_and_extractor_give_those_of_the_standard() {
    let mut combined = psbt("signed-1");
    combined.combine(psbt("signed-2")).unwrap();
    assert_eq!(combined, psbt("combined"));
    let finalized = combined.finalize(&Secp256k1::new()).unwrap();
    assert_eq!(finalized, psbt("finalized"));
    let transaction: Transaction = consensus::deserialize(&one("extracted")).unwrap();
    assert_eq!(finalized.extract_tx_unchecked_fee_rate(), transaction);
}

#[test]
fn the_combiner_keeps_what_it_does_not_know() {
    let mut combined = psbt("unknown-1");
    combined.combine(psbt("unknown-2")).unwrap();
    assert_eq!(combined, psbt("unknown-combined"));
}

#[test]
fn a_psbt_whose_scripts_do_not_fit_is_not_signed() {
    let curve = Secp256k1::new();
    let unsignable = bytes(VECTORS, "unsignable");
    assert_eq!(unsignable.len(), 4);
    for vector in &unsignable {
        // The wallet itself takes back only what it has ordered.
        let ordered = psbt("sighash");
        assert!(dctrl_wallet::check_returned(&ordered, vector).is_err());
        assert!(read_psbt(vector).unwrap().finalize(&curve).is_err());
    }
}
