//! BIP-129 (BSMS): the records by which copayers put a wallet together.
//!
//! A key record (round 1) is one copayer's account, signed with its key; a
//! descriptor record (round 2) is the wallet with its first address. Both can
//! be encrypted with a token that all or each of them share.
//!
//! Deliberately absent: sessions that expire, and tokens as mnemonics or QR
//! codes.

mod seal;
mod signature;

use std::str::FromStr;

use bitcoin::{Network, NetworkKind, bip32::Xpriv, secp256k1::Secp256k1};
use dctrl_wallet::{Chain, Key, Wallet};
use miniscript::{DescriptorPublicKey, descriptor::DescriptorXKey};

pub(super) use self::seal::Token;
use super::formats::{Format, Found, imported, wrong};
use crate::failure::Failure;

/// The first line of every record.
pub(super) const VERSION: &str = "BSMS 1.0";
/// What a template's `/**` stands for in our wallets.
const CHAINS: &str = "/0/*,/1/*";
/// What stands there where the descriptor is no template.
const NO_CHAINS: &str = "No path restrictions";
/// Longest description of a key, characters.
const DESCRIPTION_MAX: usize = 80;
/// Lines of a key record.
const KEY_LINES: usize = 5;

/// A copayer's account, as a signer hands it over in round 1.
#[derive(Debug)]
pub(super) struct KeyRecord {
    /// The account.
    pub(super) key: Key,
    /// For people.
    pub(super) description: String,
    /// Of the session, in hexadecimal.
    pub(super) token: String,
}

impl KeyRecord {
    /// The record of the account of `master` at `key`'s path, signed.
    ///
    /// # Errors
    /// The description is too long or has several lines.
    pub(super) fn write(
        key: &Key,
        master: &Xpriv,
        token: &Token,
        description: &str,
    ) -> Result<String, Failure> {
        let lines = description.lines().count();
        if lines > 1 || description.chars().count() > DESCRIPTION_MAX {
            let message = format!("one line of at most {DESCRIPTION_MAX} characters");
            return Err(Failure::usage("wallet.description", message));
        }
        let body = format!("{VERSION}\n{}\n{key}\n{description}", token.hex());
        let account = master
            .derive_priv(&Secp256k1::new(), &key.path)
            .map_err(anyhow::Error::from)?;
        let signature = signature::sign(&body, &account.private_key)?;
        Ok(format!("{body}\n{signature}"))
    }

    /// Reads one and checks its signature.
    ///
    /// # Errors
    /// It is no key record, or the key has not signed it.
    pub(super) fn read(text: &str, network: NetworkKind) -> Result<Self, Failure> {
        let text = text.trim_end_matches('\n');
        let lines: Vec<&str> = text.split('\n').collect();
        let [version, token, key, description, signature] = lines[..] else {
            let message = format!("a key record has {KEY_LINES} lines, not {}", lines.len());
            return Err(wrong(message));
        };
        if version != VERSION {
            return Err(wrong(format!(
                "it is of version {version:?}, not {VERSION:?}"
            )));
        }
        let key = account(key)?;
        if key.xpub.network != network {
            return Err(wrong("its key belongs to another network"));
        }
        let (body, _) = text.rsplit_once('\n').unwrap_or_default();
        if !signature::holds(body, signature, &key.xpub.public_key) {
            let print = key.fingerprint;
            return Err(wrong(format!(
                "the key of {print} has not signed its record"
            )));
        }
        Ok(Self {
            key,
            description: description.to_owned(),
            token: token.to_owned(),
        })
    }
}

/// An account as `[fingerprint/path]xpub`.
fn account(text: &str) -> Result<Key, Failure> {
    let read = DescriptorPublicKey::from_str(text).map_err(|error| wrong(error.to_string()))?;
    match read {
        DescriptorPublicKey::XPub(DescriptorXKey {
            origin: Some((fingerprint, path)),
            xkey: xpub,
            derivation_path,
            ..
        }) if derivation_path.is_empty() && !text.contains('*') => Ok(Key {
            fingerprint,
            path,
            xpub,
        }),
        _ => Err(wrong("its key is no extended public key with its origin")),
    }
}

/// The record of round 2.
pub(super) fn descriptor_record(wallet: &Wallet) -> String {
    let keys = wallet.keys().iter().map(|key| format!("{key}/**"));
    let keys: Vec<String> = keys.collect();
    let (threshold, keys) = (wallet.threshold(), keys.join(","));
    let first = wallet.address(Chain::Payments, 0);
    format!("{VERSION}\nwsh(sortedmulti({threshold},{keys}))\n{CHAINS}\n{first}")
}

/// Reads a record of round 2.
///
/// # Errors
/// It is none, or its wallet is not of our kind.
pub(super) fn read_descriptor(text: &str, network: Network) -> Result<Found, Failure> {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let [version, descriptor, chains, first] = lines[..] else {
        let message = format!("a descriptor record has 4 lines, not {}", lines.len());
        return Err(wrong(message));
    };
    if version != VERSION {
        return Err(wrong(format!(
            "it is of version {version:?}, not {VERSION:?}"
        )));
    }
    let is_template = descriptor.contains("/**");
    let expected = if is_template { CHAINS } else { NO_CHAINS };
    if chains != expected {
        return Err(wrong(format!(
            "its path restrictions are {chains:?}, not {expected:?}"
        )));
    }
    Ok(Found {
        format: Format::Bsms,
        wallet: imported(&[descriptor], network)?,
        first_address: Some(first.to_owned()),
    })
}

#[cfg(test)]
mod tests;
