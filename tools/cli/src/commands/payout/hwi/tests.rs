use clap::{Args, FromArgMatches};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use bitcoin::{bip32::Xpriv, secp256k1::Secp256k1};

use super::*;
use crate::commands::payout::{
    psbt::taken,
    review::tests::{genesis, honest},
    wallet,
};

fn ordered() -> Psbt {
    Psbt::deserialize(&honest().versions[0].psbt).unwrap()
}

fn master(seed: u8) -> Xpriv {
    Xpriv::new_master(Network::Regtest, &[seed; 32]).unwrap()
}

fn print(seed: u8) -> Fingerprint {
    master(seed).fingerprint(&Secp256k1::new())
}

/// A program that lists these devices, and whose device `seed` signs the PSBT
/// that was ordered and no other. Its signatures are real.
fn program(folder: &Path, devices: &str, seed: u8) -> SignerArgs {
    let mut signed = ordered();
    signed.sign(&master(seed), &Secp256k1::new()).unwrap();
    let script = format!(
        "#!/bin/sh\n\
         [ \"$1 $2\" = \"--chain regtest\" ] || exit 2\n\
         shift 2\n\
         case \"$*\" in\n\
         enumerate) echo '[{devices}]' ;;\n\
         \"--fingerprint {print} signtx {ordered}\") echo '{{\"psbt\": \"{signed}\", \"signed\": true}}' ;;\n\
         *) echo '{{\"error\": \"declined\", \"code\": -14}}' ;;\n\
         esac\n",
        ordered = ordered(),
        print = print(seed),
    );
    let file = folder.join("signer");
    fs::write(&file, script).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
    SignerArgs {
        signer_command: file.to_str().unwrap().to_owned(),
        device: None,
    }
}

fn device(seed: u8) -> String {
    format!(
        "{{\"type\": \"fake\", \"model\": \"fake_{seed}\", \"path\": \"/\", \"fingerprint\": \"{}\"}}",
        print(seed)
    )
}

async fn signed(args: &SignerArgs) -> Result<Vec<u8>, Failure> {
    sign(args, &wallet(&genesis()).unwrap(), &ordered()).await
}

#[tokio::test]
async fn a_device_that_holds_a_key_signs_and_the_signature_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let locked = "{\"type\": \"fake\", \"model\": \"locked\", \"error\": \"needs its PIN\"}";
    let devices = [locked, &device(77), &device(2)].join(", ");
    let args = program(folder.path(), &devices, 2);
    let returned = signed(&args).await.unwrap();
    let (signatures, _) = taken(&ordered(), &returned).unwrap();
    assert_eq!(signatures.len(), 1);
    assert_eq!(signatures[0].fingerprint, print(2));
}

#[tokio::test]
async fn several_devices_want_a_choice_and_none_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let both = [device(1), device(2)].join(", ");
    let mut args = program(folder.path(), &both, 2);
    let message = signed(&args).await.unwrap_err().to_string();
    assert!(message.contains("--device"), "{message}");
    args.device = Some(print(2));
    signed(&args).await.unwrap();
    args.device = Some(print(1));
    let message = signed(&args).await.unwrap_err().to_string();
    assert!(message.contains("declined"), "{message}");
    let stranger = program(folder.path(), &device(77), 2);
    let message = signed(&stranger).await.unwrap_err().to_string();
    assert!(message.contains("fake_77"), "{message}");
}

#[tokio::test]
async fn a_program_that_is_none_or_talks_without_end_is_refused() {
    let run = async |command: &str| {
        let args = SignerArgs {
            signer_command: command.to_owned(),
            device: None,
        };
        signed(&args).await.unwrap_err().to_string()
    };
    assert!(run("").await.contains("no program"));
    assert!(run("/nowhere/signer").await.contains("/nowhere/signer"));
    assert!(
        run("echo hello")
            .await
            .contains("no answer that can be read")
    );
    assert!(run("yes --").await.contains("said more than"));
}

#[test]
fn a_seed_or_a_device_is_enough_to_sign_with() {
    use crate::commands::payout::sign::SignArgs;
    let parse = |words: &[&str]| {
        let command = SignArgs::augment_args(clap::Command::new("sign"));
        command.try_get_matches_from([&["sign", "p1"], words].concat())
    };
    for words in [
        &["--seed", "file"][..],
        &["--signer-command", "hwi"],
        &["--signer-command", "hwi", "--device", "00000001"],
    ] {
        let matches = parse(words).unwrap();
        SignArgs::from_arg_matches(&matches).unwrap();
    }
    assert!(parse(&["--device", "00000001"]).is_err());
}
