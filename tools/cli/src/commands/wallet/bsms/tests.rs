use bitcoin::{PrivateKey, base64::Engine, secp256k1::ecdsa::Signature};

use super::*;

/// The vectors of BIP-129, as data: `key TOKEN WIF SEALED RECORD` and
/// `wallet TOKEN SEALED RECORD`, with | for the end of a line and - for
/// nothing.
const VECTORS: &str = include_str!("../../../../tests/vectors/bip-129.txt");

struct Vector {
    token: Token,
    sealed: Option<&'static str>,
    record: String,
    wif: Option<&'static str>,
}

fn vectors(kind: &'static str) -> impl Iterator<Item = Vector> {
    let lines = VECTORS
        .lines()
        .filter(move |line| line.split(' ').next() == Some(kind));
    lines.map(move |line| {
        let parts = if kind == "key" { 5 } else { 4 };
        let words: Vec<&str> = line.splitn(parts, ' ').collect();
        Vector {
            token: Token::parse(words[1]).unwrap(),
            wif: (kind == "key").then(|| words[2]),
            sealed: Some(words[parts - 2]).filter(|sealed| *sealed != "-"),
            record: words[parts - 1].replace('|', "\n"),
        }
    })
}

#[test]
fn records_are_sealed_and_opened_as_the_standard_says() {
    let mut sealed = 0;
    for vector in vectors("key").chain(vectors("wallet")) {
        let Some(expected) = vector.sealed else {
            assert_eq!(vector.token.seal(&vector.record), vector.record);
            continue;
        };
        assert_eq!(vector.token.seal(&vector.record), expected);
        assert_eq!(
            vector.token.open(expected.as_bytes()).unwrap(),
            vector.record
        );
        let changed = format!("{}00", &expected[..expected.len() - 2]);
        let opened = vector.token.open(changed.as_bytes());
        assert!(opened.is_err() || changed == expected);
        let other = Token::parse("0102030405060708").unwrap();
        assert!(other.open(expected.as_bytes()).is_err());
        sealed += 1;
    }
    assert_eq!(sealed, 9);
}

#[test]
fn key_records_are_read_and_their_signatures_checked() {
    let mut read = 0;
    for vector in vectors("key") {
        let found = KeyRecord::read(&vector.record, NetworkKind::Main);
        if !vector.record.contains("xpub") {
            assert!(found.is_err(), "a bare key is no account");
            continue;
        }
        let found = found.unwrap();
        assert_eq!(found.token, vector.token.hex());
        assert!(found.description.starts_with("Signer"));
        assert!(KeyRecord::read(&vector.record, NetworkKind::Test).is_err());
        for (from, to) in [
            ("Signer", "Signed"),
            ("BSMS 1.0", "BSMS 1.1"),
            ("/48'", "/49'"),
        ] {
            let changed = vector.record.replacen(from, to, 1);
            assert!(
                KeyRecord::read(&changed, NetworkKind::Main).is_err(),
                "{from}"
            );
        }
        read += 1;
    }
    assert_eq!(read, 7);
}

#[test]
fn a_signature_says_which_key_made_it_as_the_standards_do() {
    let curve = Secp256k1::new();
    for vector in vectors("key") {
        let (body, signature) = vector.record.rsplit_once('\n').unwrap();
        let key = PrivateKey::from_wif(vector.wif.unwrap()).unwrap();
        let public = key.inner.public_key(&curve);
        assert!(signature::holds(body, signature, &public));
        let bytes = bitcoin::base64::engine::general_purpose::STANDARD
            .decode(signature)
            .unwrap();
        let compact = Signature::from_compact(&bytes[1..]).unwrap();
        assert_eq!(
            signature::first_byte(body, &compact, &public),
            Some(bytes[0])
        );
        let ours = signature::sign(body, &key.inner).unwrap();
        assert!(signature::holds(body, &ours, &public));
        assert!(!signature::holds("another text", &ours, &public));
        assert!(!signature::holds(body, "AAAA", &public));
    }
}

#[test]
fn descriptor_records_of_our_kind_are_wallets_with_the_address_they_name() {
    let mut wallets = 0;
    for vector in vectors("wallet") {
        let found = read_descriptor(&vector.record, Network::Bitcoin);
        if !vector.record.contains("wsh(sortedmulti(2,") {
            assert!(found.is_err(), "{}", vector.record);
            continue;
        }
        let found = found.unwrap();
        let first = found.wallet.address(Chain::Payments, 0).to_string();
        assert_eq!(found.first_address, Some(first));
        assert_eq!(descriptor_record(&found.wallet), vector.record);
        let other = vector.record.replace("/0/*,/1/*", "/1/*,/0/*");
        assert!(read_descriptor(&other, Network::Bitcoin).is_err());
        wallets += 1;
    }
    assert_eq!(wallets, 2);
}

#[test]
fn what_is_no_token_is_refused() {
    assert_eq!(Token::parse("00").unwrap(), Token::default());
    for text in [
        "",
        "0",
        "0000",
        "xyz",
        "a54044308ceac9b",
        "a54044308ceac9b7a5",
    ] {
        assert!(Token::parse(text).is_err(), "{text}");
    }
}
