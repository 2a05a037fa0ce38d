//! The formats that are JSON: Specter Desktop's, Caravan's, and the argument
//! of Bitcoin Core's `importdescriptors` (also what its `listdescriptors`
//! gives).

use std::str::FromStr;

use bitcoin::{
    Network,
    bip32::{DerivationPath, Fingerprint, Xpub},
};
use dctrl_wallet::{KEYS_MAX, Key, Wallet};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::formats::{Format, Found, imported, refused, wrong};
use crate::failure::Failure;

/// Addresses that Bitcoin Core watches ahead, as many as it does by itself.
const RANGE: u32 = 999;

#[derive(Deserialize, Serialize)]
struct Specter {
    label: Option<String>,
    #[serde(default)]
    blockheight: u64,
    #[serde(alias = "recv_descriptor")]
    descriptor: String,
    #[serde(default)]
    devices: Vec<Value>,
}

#[derive(Serialize)]
struct SpecterDevice {
    r#type: &'static str,
    label: String,
}

pub(super) fn specter(wallet: &Wallet, name: &str, payments: String) -> Result<String, Failure> {
    let devices = wallet.keys().iter().map(|key| SpecterDevice {
        r#type: "other",
        label: key.fingerprint.to_string(),
    });
    let devices = devices.map(serde_json::to_value);
    pretty(&Specter {
        label: Some(name.to_owned()),
        blockheight: 0,
        descriptor: payments,
        devices: devices
            .collect::<Result<_, _>>()
            .map_err(anyhow::Error::from)?,
    })
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Caravan {
    name: String,
    address_type: String,
    network: String,
    #[serde(default)]
    client: Value,
    quorum: CaravanQuorum,
    extended_public_keys: Vec<CaravanKey>,
    #[serde(default)]
    starting_address_index: u32,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct CaravanQuorum {
    required_signers: usize,
    total_signers: usize,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct CaravanKey {
    name: String,
    bip32_path: String,
    xpub: String,
    xfp: String,
    #[serde(default)]
    method: String,
}

pub(super) fn caravan(wallet: &Wallet, name: &str) -> Result<String, Failure> {
    let keys = wallet.keys().iter().map(|key| CaravanKey {
        name: format!("copayer {}", key.fingerprint),
        bip32_path: format!("m/{}", key.path),
        xpub: key.xpub.to_string(),
        xfp: key.fingerprint.to_string(),
        method: "text".to_owned(),
    });
    pretty(&Caravan {
        name: name.to_owned(),
        address_type: "P2WSH".to_owned(),
        network: caravan_network(wallet.network()).to_owned(),
        client: serde_json::json!({ "type": "public" }),
        quorum: CaravanQuorum {
            required_signers: wallet.threshold(),
            total_signers: wallet.keys().len(),
        },
        extended_public_keys: keys.collect(),
        starting_address_index: 0,
    })
}

/// Its name for a network; all but the main one share their extended keys.
fn caravan_network(network: Network) -> &'static str {
    match network {
        Network::Bitcoin => "mainnet",
        Network::Regtest => "regtest",
        Network::Signet => "signet",
        _ => "testnet",
    }
}

#[derive(Deserialize, Serialize)]
struct Import {
    desc: String,
    #[serde(default)]
    active: bool,
    #[serde(default)]
    internal: bool,
    #[serde(default)]
    range: Value,
    #[serde(default)]
    timestamp: Value,
}

pub(super) fn core(payments: String, change: String, since_s: u64) -> Result<String, Failure> {
    let import = |desc, internal| Import {
        desc,
        active: true,
        internal,
        range: serde_json::json!([0, RANGE]),
        // Core looks for payments from here on.
        timestamp: since_s.into(),
    };
    pretty(&[import(payments, false), import(change, true)])
}

fn pretty<T: Serialize>(value: &T) -> Result<String, Failure> {
    Ok(serde_json::to_string_pretty(value).map_err(anyhow::Error::from)?)
}

/// What a JSON file of one of these programs describes.
pub(super) fn read(text: &str, network: Network) -> Result<Found, Failure> {
    let value: Value = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let (format, wallet) = if value.get("extendedPublicKeys").is_some() {
        (Format::Caravan, read_caravan(value, network)?)
    } else if let Some(list) = value
        .get("descriptors")
        .or(value.is_array().then_some(&value))
    {
        (Format::Core, read_core(list.clone(), network)?)
    } else {
        let specter: Specter = parsed(value)?;
        (Format::Specter, imported(&[&specter.descriptor], network)?)
    };
    Ok(Found {
        format,
        wallet,
        first_address: None,
    })
}

fn parsed<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Failure> {
    serde_json::from_value(value).map_err(|error| wrong(error.to_string()))
}

fn read_core(value: Value, network: Network) -> Result<Wallet, Failure> {
    let all: Vec<Import> = parsed(value)?;
    let texts: Vec<&str> = all.iter().map(|one| one.desc.as_str()).collect();
    let wallet = imported(&texts, network)?;
    let misplaced = all.iter().any(|one| {
        let single = imported(&[&one.desc], network);
        let change = single.is_ok_and(|single| !single.has_change());
        one.internal != change && !one.desc.contains("<0;1>")
    });
    if misplaced {
        return Err(wrong("payments and change are exchanged"));
    }
    Ok(wallet)
}

fn read_caravan(value: Value, network: Network) -> Result<Wallet, Failure> {
    let caravan: Caravan = parsed(value)?;
    if caravan.address_type != "P2WSH" {
        let kind = caravan.address_type;
        return Err(wrong(format!("its addresses are {kind}, not P2WSH")));
    }
    // Older releases call every network of play money testnet.
    let named = caravan.network.as_str();
    let play = network != Network::Bitcoin && named == "testnet";
    if named != caravan_network(network) && !play {
        return Err(wrong(format!("it is of the network {named}")));
    }
    let total = caravan.quorum.total_signers;
    if total != caravan.extended_public_keys.len() || total > KEYS_MAX {
        return Err(wrong(format!(
            "it names {total} signers and has other keys"
        )));
    }
    let keys: Vec<Key> = caravan
        .extended_public_keys
        .iter()
        .map(caravan_key)
        .collect::<Result<_, _>>()?;
    Wallet::of(caravan.quorum.required_signers, &keys, network)
        .map_err(|problems| refused(&problems))
}

fn caravan_key(key: &CaravanKey) -> Result<Key, Failure> {
    let bad = |field: &str| wrong(format!("the {field} of {} cannot be read", key.name));
    Ok(Key {
        fingerprint: Fingerprint::from_str(&key.xfp.to_lowercase()).map_err(|_| bad("xfp"))?,
        path: DerivationPath::from_str(&key.bip32_path).map_err(|_| bad("bip32Path"))?,
        xpub: Xpub::from_str(&key.xpub).map_err(|_| bad("xpub"))?,
    })
}
