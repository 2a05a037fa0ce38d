//! The formats in which programs keep a wallet of several keys.

use std::str::FromStr;

use bitcoin::Network;
use clap::ValueEnum;
use dctrl_wallet::{Chain, Wallet, WalletError};
use serde::Serialize;

use super::{bsms, json};
use crate::failure::Failure;

/// How a wallet is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Format {
    /// The descriptor of both chains alone (BIP-380, BIP-389)
    Descriptor,
    /// Sparrow's text of output descriptors
    Sparrow,
    /// Specter Desktop's JSON
    Specter,
    /// Caravan's JSON, which Unchained reads too
    Caravan,
    /// What `importdescriptors` of Bitcoin Core takes
    Core,
    /// The descriptor record of BIP-129
    Bsms,
}

/// What a file says.
#[derive(Debug)]
pub(super) struct Found {
    /// Written for which program.
    pub(super) format: Format,
    /// What it describes.
    pub(super) wallet: Wallet,
    /// Where the file names one.
    pub(super) first_address: Option<String>,
}

/// The wallet for another program, with a line end.
///
/// # Errors
/// The wallet has no chain for change, which these formats expect.
pub(super) fn write(
    format: Format,
    wallet: &Wallet,
    name: &str,
    since_s: u64,
) -> Result<String, Failure> {
    let missing = || Failure::usage("wallet.change", "the wallet has no chain for change");
    let both = wallet.multipath().ok_or_else(missing)?;
    let payments = wallet.descriptor(Chain::Payments).ok_or_else(missing)?;
    let change = wallet.descriptor(Chain::Change).ok_or_else(missing)?;
    let text = match format {
        Format::Descriptor => both,
        Format::Sparrow => format!(
            "# Both chains (BIP-389)\n{both}\n\n# Payments\n{payments}\n\n# Change\n{change}"
        ),
        Format::Specter => json::specter(wallet, name, payments)?,
        Format::Caravan => json::caravan(wallet, name)?,
        Format::Core => json::core(payments, change, since_s)?,
        Format::Bsms => bsms::descriptor_record(wallet),
    };
    Ok(text.trim_end().to_owned() + "\n")
}

/// What a file describes; its format shows in how it begins.
///
/// # Errors
/// It is none of the formats, or not a wallet of our kind.
pub(super) fn read(bytes: &[u8], network: Network) -> Result<Found, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|_| wrong("it is no text"))?;
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.starts_with(bsms::VERSION) {
        return bsms::read_descriptor(text, network);
    }
    if text.starts_with(['{', '[']) {
        return json::read(text, network);
    }
    let lines = text.lines().map(str::trim);
    let texts: Vec<&str> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let format = match texts.len() {
        0 | 1 => Format::Descriptor,
        _ => Format::Sparrow,
    };
    Ok(Found {
        format,
        wallet: imported(&texts, network)?,
        first_address: None,
    })
}

/// The wallet of these descriptors.
pub(super) fn imported(texts: &[&str], network: Network) -> Result<Wallet, Failure> {
    Wallet::import(texts, network).map_err(|problems| refused(&problems))
}

/// Why there is no such wallet.
pub(super) fn refused(problems: &[WalletError]) -> Failure {
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    wrong(problems.join(" "))
}

/// A file that describes no wallet of ours.
pub(super) fn wrong(message: impl Into<String>) -> Failure {
    Failure::Unverified {
        rule: "wallet.file",
        message: message.into(),
    }
}

/// A network in the words of Bitcoin Core and of the configuration.
pub(super) fn network(text: &str) -> Result<Network, String> {
    Network::from_str(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
