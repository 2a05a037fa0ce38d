//! Other implementations say the same: bitcoind's own wallet, embit and Electrum.
//!
//! They are programs of the test machine: `cargo xtask setup` followed by
//! `bitcoind`, `embit` or `electrum` fetches them.

#![allow(clippy::unwrap_used, reason = "a failure in a test is a panic")]
#![allow(
    clippy::disallowed_methods,
    reason = "the crate is pure; its tests start programs"
)]

mod bitcoind;
mod electrum;
mod embit;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::str::FromStr;

use bitcoin::bip32::{DerivationPath, Xpriv, Xpub};
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Address, Network, OutPoint, Psbt, ScriptBuf, Txid, WPubkeyHash};
use dctrl_wallet::{Chain, Coin, Plan, Recipient, Terms, Wallet, plan};
use serde_json::{Value, json};

/// BIP-48: P2WSH on a network of play money.
const PATH: &str = "48h/1h/0h/2h";
/// Addresses of each chain that are compared.
const ADDRESSES: u32 = 20;
/// What one recipient gets.
const PAID_SATS: u64 = 70_000;

/// A copayer's master key.
fn master(seed: u8) -> Xpriv {
    Xpriv::new_master(Network::Regtest, &[seed; 32]).unwrap()
}

/// A copayer's account, as descriptors write it.
fn account(seed: u8) -> String {
    let curve = Secp256k1::new();
    let path = DerivationPath::from_str(PATH).unwrap();
    let account = master(seed).derive_priv(&curve, &path).unwrap();
    let print = master(seed).fingerprint(&curve);
    format!("[{print}/{PATH}]{}", Xpub::from_priv(&curve, &account))
}

fn wallet() -> Wallet {
    let keys = [1, 2, 3].map(|seed| account(seed) + "/<0;1>/*").join(",");
    let text = format!("wsh(sortedmulti(2,{keys}))");
    Wallet::import(&[&text], Network::Regtest).unwrap()
}

/// A payment to the wallet.
fn coin() -> Coin {
    Coin {
        outpoint: OutPoint::new(Txid::from_byte_array([9; 32]), 1),
        sats: 100_000,
        chain: Chain::Payments,
        index: 4,
    }
}

/// Another implementation derives the same addresses, reads the same out of a
/// payout's PSBT, and has signed it once.
fn assert_same(said: &Value, wallet: &Wallet, plan: &Plan) {
    for (position, chain) in [Chain::Payments, Chain::Change].into_iter().enumerate() {
        for index in 0..ADDRESSES {
            let ours = wallet.address(chain, index).to_string();
            assert_eq!(said["chains"][position][index as usize], ours);
        }
    }
    assert_eq!(said["txid"], plan.txid.to_string());
    assert_eq!(said["fee"], plan.fee_sats);
    for (position, output) in plan.psbt.unsigned_tx.output.iter().enumerate() {
        let address = Address::from_script(&output.script_pubkey, Network::Regtest).unwrap();
        let ours = json!([address.to_string(), output.value.to_sat()]);
        assert_eq!(said["outputs"][position], ours);
    }
    // The input and the change are of the wallet.
    let owned = said["owned"].as_array().unwrap();
    assert_eq!(owned.iter().filter(|one| **one == true).count(), 2);
    assert_eq!(said["signatures"], 1);
}

/// A payout from one coin, with change.
fn payout(wallet: &Wallet, coin: Coin) -> Plan {
    let terms = Terms {
        recipients: vec![Recipient {
            script: ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([7; 20])),
            sats: PAID_SATS,
        }],
        fee_rate: 2_000,
        fee_sats_min: 0,
        fee_sats_max: 100_000,
        fee_bps_max: 10_000,
        change_index: 5,
        lock_time: 50,
    };
    plan(wallet, &[coin], &terms).unwrap()
}

/// With one copayer's signatures.
fn signed(psbt: &Psbt, seed: u8) -> Psbt {
    let mut psbt = psbt.clone();
    psbt.sign(&master(seed), &Secp256k1::new()).unwrap();
    psbt
}

/// What a Python that was fetched makes of a script and a question.
fn asked(python: (&str, &str), script: &str, question: &Value) -> Value {
    let python = fetched(python.0, python.1);
    let mut child = Command::new(&python)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(question.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{} failed", python.display());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A file below the folder in which `cargo xtask setup` keeps what it fetches.
fn fetched(variable: &str, below: &str) -> PathBuf {
    if let Some(named) = std::env::var_os(variable) {
        return named.into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache");
    cache.unwrap_or_else(home).join("dctrl").join(below)
}
