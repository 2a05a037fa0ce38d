use bitcoin::{
    Amount, PublicKey, Sequence, Witness,
    bip32::Xpriv,
    ecdsa,
    psbt::PsbtSighashType,
    secp256k1::{Secp256k1, SecretKey},
    sighash::EcdsaSighashType,
};
use dctrl_wallet::to_version_2;

use super::*;
use crate::commands::payout::{parts::PartFormat, review::tests::honest};

fn ordered() -> Psbt {
    Psbt::deserialize(&honest().versions[0].psbt).unwrap()
}

fn signed() -> Psbt {
    let master = Xpriv::new_master(bitcoin::NetworkKind::Test, &[1; 32]).unwrap();
    let mut psbt = ordered();
    psbt.sign(&master, &Secp256k1::new()).unwrap();
    psbt
}

fn rule(returned: &[u8]) -> &'static str {
    match taken(&ordered(), returned) {
        Err(Failure::Unverified { rule, .. }) => rule,
        other => panic!("{other:?}"),
    }
}

fn refused(change: impl FnOnce(&mut Psbt)) -> &'static str {
    let mut psbt = signed();
    change(&mut psbt);
    rule(&psbt.serialize())
}

fn a_signature(psbt: &Psbt) -> ecdsa::Signature {
    *psbt.inputs[0].partial_sigs.values().next().unwrap()
}

#[test]
fn every_way_in_which_a_returned_psbt_can_deviate_has_its_own_refusal() {
    taken(&ordered(), &signed().serialize()).unwrap();
    assert_eq!(
        refused(|psbt| psbt.unsigned_tx.output[0].value += Amount::ONE_SAT),
        "psbt.output"
    );
    assert_eq!(
        refused(|psbt| psbt.unsigned_tx.input[0].sequence = Sequence::MAX),
        "psbt.txid"
    );
    assert_eq!(
        refused(|psbt| psbt.inputs[0].sighash_type =
            Some(PsbtSighashType::from(EcdsaSighashType::None))),
        "psbt.sighash"
    );
    let curve = Secp256k1::new();
    let stranger = SecretKey::from_slice(&[9; 32]).unwrap().public_key(&curve);
    assert_eq!(
        refused(|psbt| {
            let signature = a_signature(psbt);
            let input = &mut psbt.inputs[0];
            input
                .partial_sigs
                .insert(PublicKey::new(stranger), signature);
        }),
        "psbt.key"
    );
    assert_eq!(
        refused(|psbt| {
            let signature = a_signature(psbt);
            let input = &mut psbt.inputs[0];
            let others = input
                .bip32_derivation
                .keys()
                .map(|key| PublicKey::new(*key));
            let others: Vec<PublicKey> = others.collect();
            input.partial_sigs = others.into_iter().map(|key| (key, signature)).collect();
        }),
        "psbt.signature"
    );
    assert_eq!(
        refused(|psbt| {
            psbt.inputs[0].final_script_witness = Some(Witness::from_slice(&[[1]]));
        }),
        "psbt.final"
    );
    assert_eq!(
        refused(|psbt| psbt.inputs[0].partial_sigs.clear()),
        "psbt.unsigned"
    );
    let bytes = signed().serialize();
    assert_eq!(rule(&bytes[..bytes.len() - 9]), "psbt.malformed");
}

#[test]
fn a_psbt_of_the_main_network_signs_nothing_here() {
    // The same seed has other keys there: coin 0 instead of 1.
    let master = Xpriv::new_master(bitcoin::NetworkKind::Main, &[1; 32]).unwrap();
    let curve = Secp256k1::new();
    let path: bitcoin::bip32::DerivationPath = "48h/0h/0h/2h/0/4".parse().unwrap();
    let key = master.derive_priv(&curve, &path).unwrap().to_priv();
    assert_eq!(
        refused(|psbt| {
            let signature = a_signature(psbt);
            let key = key.public_key(&curve);
            psbt.inputs[0].partial_sigs = [(key, signature)].into();
        }),
        "psbt.key"
    );
}

#[test]
fn version_2_and_qr_codes_bring_the_same_signatures() {
    let (expected, _) = taken(&ordered(), &signed().serialize()).unwrap();
    let newer = to_version_2(&signed());
    for bytes in [signed().serialize(), newer.clone()] {
        let mut forms = vec![bytes.clone(), STANDARD.encode(&bytes).into_bytes()];
        for format in [PartFormat::Ur, PartFormat::Bbqr] {
            let parts = parts::split(format, &bytes).unwrap();
            forms.push(parts.join("\r\n").into_bytes());
        }
        for form in forms {
            let decoded = decoded(form).unwrap();
            let (found, reduced) = taken(&ordered(), &decoded).unwrap();
            assert_eq!(found, expected);
            // What goes to the nodes is version 0.
            check_returned(&ordered(), &reduced.serialize()).unwrap();
        }
    }
    assert_eq!(rule(&newer[..newer.len() - 3]), "psbt.malformed");
    let mut moved = signed();
    moved.unsigned_tx.output[1].value += Amount::ONE_SAT;
    assert_eq!(rule(&to_version_2(&moved)), "psbt.output");
}

#[test]
fn a_file_of_ten_megabytes_is_not_even_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.psbt");
    fs::write(&file, vec![b'A'; 10 << 20]).unwrap();
    match read(&file) {
        Err(Failure::Usage { rule, .. }) => assert_eq!(rule, "psbt.size"),
        other => panic!("{:?}", other.map(|bytes| bytes.len())),
    }
    let long = [MAGIC, &[0; PSBT_BYTES_MAX]].concat();
    assert_eq!(rule(&long), "psbt.size");
}

#[test]
fn what_is_no_psbt_in_any_form_is_refused() {
    for text in ["", "not a psbt!", "cHNidP8"] {
        let decoded = decoded(text.as_bytes().to_vec());
        let refused = decoded.and_then(|bytes| taken(&ordered(), &bytes));
        assert!(
            matches!(
                refused,
                Err(Failure::Unverified {
                    rule: "psbt.malformed",
                    ..
                })
            ),
            "{text}"
        );
    }
}
