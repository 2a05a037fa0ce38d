//! The wallet from descriptors as other programs write them: one for each
//! chain or both in one (BIP-389), with or without a checksum, or as a
//! template of BIP-129.

use std::str::FromStr;

use bitcoin::Network;
use miniscript::{Descriptor, DescriptorPublicKey};

use crate::{Chain, Wallet, WalletError};

/// Most descriptors that are looked at: more than any program writes for one
/// wallet.
const DESCRIPTORS_MAX: usize = 8;
/// What a template of BIP-129 has where the steps of a chain belong.
const TEMPLATE: &str = "/**";

impl Wallet {
    /// The wallet that all of these describe, or one chain of it.
    ///
    /// # Errors
    /// One of them cannot be read, is no wallet of ours, or is of another one.
    pub fn import(texts: &[&str], network: Network) -> Result<Self, Vec<WalletError>> {
        let mut all = Vec::new();
        for text in texts.iter().take(DESCRIPTORS_MAX) {
            all.extend(chains(text)?);
        }
        let mut read = Vec::new();
        for text in &all {
            read.push(Self::parse(text, network)?);
        }
        let with_change = read.iter().position(Self::has_change);
        let Some(wallet) = read.get(with_change.unwrap_or(0)).cloned() else {
            let nothing = WalletError::Invalid("there is none".to_owned());
            return Err(vec![nothing]);
        };
        let ours = [Chain::Payments, Chain::Change].map(|chain| wallet.descriptor(chain));
        let is_ours = |text: &String| ours.iter().flatten().any(|ours| ours == text);
        if texts.len() > DESCRIPTORS_MAX || !all.iter().all(is_ours) {
            return Err(vec![WalletError::Another]);
        }
        Ok(wallet)
    }
}

/// The descriptors of the chains in one text, each with its checksum.
fn chains(text: &str) -> Result<Vec<String>, Vec<WalletError>> {
    let invalid = |error: miniscript::Error| vec![WalletError::Invalid(error.to_string())];
    // A template has no checksum of its own once its steps are filled in.
    let filled = text.replace(TEMPLATE, "/<0;1>/*");
    let read = Descriptor::<DescriptorPublicKey>::from_str(filled.trim()).map_err(invalid)?;
    let singles = read.into_single_descriptors().map_err(invalid)?;
    Ok(singles.iter().map(ToString::to_string).collect())
}
