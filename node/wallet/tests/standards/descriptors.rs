//! BIP-380 to 386 and BIP-389: output descriptors.
//!
//! The library reads more than the wallet takes. What it reads gives the
//! scripts of the standards; what it does not read is listed here, and the
//! wallet refuses it like every descriptor that is not its own kind.

use std::str::FromStr;

use bitcoin::Network;
use bitcoin::secp256k1::Secp256k1;
use dctrl_wallet::{Chain, Wallet, WalletError};
use miniscript::Descriptor;
use miniscript::descriptor::{DescriptorPublicKey, DescriptorSecretKey};

use super::lines;

const VECTORS: &str = include_str!("../vectors/descriptors.txt");

/// One descriptor of a BIP with what it gives.
struct Vector {
    bip: u32,
    kind: &'static str,
    text: &'static str,
    gives: Vec<&'static str>,
}

fn vectors() -> Vec<Vector> {
    let mut bip = 0;
    let mut all: Vec<Vector> = Vec::new();
    for (word, rest) in lines(VECTORS) {
        match word {
            "bip" => bip = rest.parse().unwrap(),
            // Two blanks before it.
            "" => all.last_mut().unwrap().gives.push(rest.trim_start()),
            kind => all.push(Vector {
                bip,
                kind,
                text: rest,
                gives: Vec::new(),
            }),
        }
    }
    all
}

fn read(text: &str) -> Result<Descriptor<DescriptorPublicKey>, miniscript::Error> {
    Descriptor::parse_descriptor(&Secp256k1::new(), text).map(|(descriptor, _)| descriptor)
}

#[test]
fn checksums_are_told_from_wrong_ones() {
    // The standard's own vectors are of `raw`, which is no wallet: the same
    // faults, made in ours.
    let good = wallet_text();
    Wallet::parse(&good, Network::Bitcoin).unwrap();
    let (body, sum) = good.rsplit_once('#').unwrap();
    assert_eq!(refused(body), [WalletError::Checksum]);
    let mut other_body = body.replacen("0'", "1'", 1);
    other_body += &format!("#{sum}");
    for wrong in [
        format!("{body}#"),
        format!("{good}q"),
        good[..good.len() - 1].to_owned(),
        other_body,
        format!("{body}##{}", &sum[1..]),
        format!("\u{dc}{good}"),
    ] {
        assert!(
            matches!(refused(&wrong)[..], [WalletError::Invalid(_)]),
            "{wrong}"
        );
    }
    for vector in vectors()
        .iter()
        .filter(|one| one.kind.starts_with("checksum"))
    {
        assert!(Wallet::parse(vector.text, Network::Bitcoin).is_err());
    }
}

#[test]
fn key_expressions_are_read_as_bip_380_says() {
    // Of the valid ones we need no child of a hardened step of a public key,
    // which nobody can derive.
    let mut read = 0;
    for vector in vectors().iter().filter(|one| one.bip == 380) {
        let public = DescriptorPublicKey::from_str(vector.text).is_ok();
        let any = public || DescriptorSecretKey::from_str(vector.text).is_ok();
        match vector.kind {
            "valid" if any => read += 1,
            "valid" => assert!(
                vector.text.contains("pub") && vector.text.contains("/3h"),
                "{}",
                vector.text
            ),
            "invalid" => assert!(!any, "{}", vector.text),
            _ => {}
        }
    }
    assert!(read >= 17, "{read}");
}

#[test]
fn scripts_are_those_of_the_standards() {
    let mut compared = 0;
    for vector in vectors()
        .iter()
        .filter(|one| one.bip != 380 && one.bip != 389)
    {
        let found = read(vector.text);
        if vector.kind == "invalid" {
            continue;
        }
        if unread(vector) {
            continue;
        }
        let descriptor = found.unwrap_or_else(|error| panic!("{}: {error}", vector.text));
        for (index, expected) in (0..).zip(&vector.gives) {
            let definite = descriptor.at_derivation_index(index).unwrap();
            assert_eq!(
                definite.script_pubkey().to_hex_string(),
                *expected,
                "{}",
                vector.text
            );
            compared += 1;
        }
    }
    assert!(compared >= 30, "{compared}");
}

/// What the library does not read: other kinds of output, bare scripts, and hardened steps
/// below an extended key.
fn unread(vector: &Vector) -> bool {
    let kinds = ["combo(", "raw(", "addr(", "multi(", "sortedmulti("];
    kinds.iter().any(|kind| vector.text.starts_with(kind))
        || vector.text.contains("*'")
        || vector.text.contains("*h")
        || vector
            .text
            .contains("5KYZdUEo39z3FPrtuX2QbbwGnNP5zTd7yyr2SC1j299sBCnWjss")
}

#[test]
fn no_descriptor_of_another_kind_is_a_wallet() {
    for vector in vectors() {
        let public = read(vector.text).map(|one| one.to_string());
        let texts = [Some(vector.text.to_owned()), public.ok()];
        for text in texts.into_iter().flatten() {
            assert!(Wallet::parse(&text, Network::Bitcoin).is_err(), "{text}");
        }
    }
}

#[test]
fn a_multipath_descriptor_is_the_descriptors_that_bip_389_lists() {
    let mut compared = 0;
    for vector in vectors().iter().filter(|one| one.bip == 389) {
        let found = read(vector.text);
        // The library counts the steps of the first key of a tree only. No
        // tree is a wallet of ours.
        if vector.kind == "invalid" && vector.text.starts_with("tr(") {
            assert!(Wallet::import(&[vector.text], Network::Bitcoin).is_err());
            continue;
        }
        if vector.kind == "invalid" {
            let valid = found
                .ok()
                .and_then(|one| one.into_single_descriptors().ok());
            assert!(valid.is_none(), "{}", vector.text);
            continue;
        }
        // Keys of several steps that are secret or bare scripts stand outside
        // what the library can derive.
        let Ok(descriptor) = found else {
            assert!(vector.text.contains("prv"), "{}", vector.text);
            continue;
        };
        let singles = descriptor.into_single_descriptors().unwrap();
        let singles: Vec<String> = singles.iter().map(|one| format!("{one:#}")).collect();
        let listed: Vec<String> = vector
            .gives
            .iter()
            .map(|text| format!("{:#}", read(text).unwrap()))
            .collect();
        assert_eq!(singles, listed);
        compared += 1;
    }
    assert!(compared >= 4, "{compared}");
}

#[test]
fn a_wallet_with_steps_that_nobody_can_derive_is_refused() {
    let good = wallet_text();
    let (body, _) = good.rsplit_once('#').unwrap();
    for (steps, what) in [("/0/*h)", "last"), ("/0h/*)", "middle")] {
        let body = body.replace("/0/*)", steps);
        let text = Descriptor::<DescriptorPublicKey>::from_str(&body).unwrap();
        let problems = refused(&text.to_string());
        assert!(
            matches!(&problems[..], [WalletError::Key { number: 2, fault }] if fault.contains("hardened")),
            "{what}: {problems:?}"
        );
    }
}

#[test]
fn a_wallet_is_read_from_the_texts_of_other_programs() {
    let ours = Wallet::parse(&wallet_text(), Network::Bitcoin).unwrap();
    let external = ours.descriptor(Chain::Payments).unwrap();
    let change = ours.descriptor(Chain::Change).unwrap();
    let both = ours.multipath().unwrap();
    let (bare, _) = both.rsplit_once('#').unwrap();
    let template = bare.replace("/<0;1>/*", "/**");
    for texts in [
        vec![external.as_str()],
        vec![external.as_str(), change.as_str()],
        vec![change.as_str(), external.as_str()],
        vec![both.as_str()],
        vec![bare, external.as_str(), change.as_str()],
        vec![template.as_str()],
    ] {
        let theirs = Wallet::import(&texts, Network::Bitcoin).unwrap();
        for chain in [Chain::Payments, Chain::Change] {
            assert_eq!(theirs.script(chain, 5), ours.script(chain, 5), "{texts:?}");
        }
    }
    let again = Wallet::of(ours.threshold(), ours.keys(), Network::Bitcoin).unwrap();
    assert_eq!(again.descriptor(Chain::Payments), Some(external.clone()));
    let other = bare.replace("<0;1>", "<0;2>");
    let problems = Wallet::import(&[&other], Network::Bitcoin).unwrap_err();
    assert_eq!(problems, [WalletError::Another]);
    assert!(Wallet::import(&[], Network::Bitcoin).is_err());
}

fn refused(text: &str) -> Vec<WalletError> {
    Wallet::parse(text, Network::Bitcoin).unwrap_err()
}

/// A wallet of two of the standards' keys.
fn wallet_text() -> String {
    let keys = [
        "xpub6ERApfZwUNrhLCkDtcHTcxd75RbzS1ed54G1LkBUHQVHQKqhMkhgbmJbZRkrgZw4koxb5JaHWkY4ALHY2grBGRjaDMzQLcgJvLJuZZvRcEL",
        "xpub68NZiKmJWnxxS6aaHmn81bvJeTESw724CRDs6HbuccFQN9Ku14VQrADWgqbhhTHBaohPX4CjNLf9fq9MYo6oDaPPLPxSb7gwQN3ih19Zm4Y",
    ];
    let keys = keys.map(|key| format!("[deadbeef/48h/0h/0h/2h]{key}/0/*"));
    let text = format!("wsh(sortedmulti(2,{}))", keys.join(","));
    Descriptor::<DescriptorPublicKey>::from_str(&text)
        .unwrap()
        .to_string()
}
