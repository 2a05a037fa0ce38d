//! The federation's 2-of-3 wallet on regtest: three copayers, one descriptor.

use std::str::FromStr;

use bitcoin::{
    NetworkKind,
    bip32::{DerivationPath, Fingerprint, Xpriv, Xpub},
    secp256k1::Secp256k1,
};
use miniscript::{Descriptor, DescriptorPublicKey};
use serde::Serialize;

/// BIP-48, script type 2: native segwit multisignature, first account of a test network.
const PATH: &str = "48h/1h/0h/2h";
/// Signatures that a payout needs.
const SIGNATURES: usize = 2;
/// Copayers.
pub const COPAYERS: usize = 3;

/// The wallet with its secrets.
#[derive(Debug)]
pub struct Wallet {
    /// One for each copayer.
    pub copayers: Vec<Copayer>,
    /// External descriptor with checksum.
    pub descriptor: String,
}

/// A copayer's file.
#[derive(Serialize)]
pub struct Copayer {
    /// Always `dctrl-copayer/1`.
    kind: &'static str,
    network: &'static str,
    /// Of the master key.
    pub(crate) fingerprint: Fingerprint,
    path: &'static str,
    xpub: Xpub,
    /// The master key, of which `xpub` is the child at `path`.
    xprv: Xpriv,
}

impl std::fmt::Debug for Copayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Copayer")
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

impl Wallet {
    /// A wallet from the operating system's random bytes.
    ///
    /// # Errors
    /// Where it has none.
    pub fn generate() -> anyhow::Result<Self> {
        let mut seeds = [[0; 32]; COPAYERS];
        for seed in &mut seeds {
            getrandom::fill(seed).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
        }
        Self::from_seeds(&seeds)
    }

    /// The wallet of these BIP-32 seeds.
    ///
    /// # Errors
    /// Where a seed gives no key, which has a chance of 2⁻¹²⁷.
    pub fn from_seeds(seeds: &[[u8; 32]; COPAYERS]) -> anyhow::Result<Self> {
        let copayers = seeds
            .iter()
            .map(copayer)
            .collect::<anyhow::Result<Vec<_>>>()?;
        let keys: Vec<String> = copayers
            .iter()
            .map(|one| format!("[{}/{PATH}]{}/0/*", one.fingerprint, one.xpub))
            .collect();
        let text = format!("wsh(sortedmulti({SIGNATURES},{}))", keys.join(","));
        let descriptor = Descriptor::<DescriptorPublicKey>::from_str(&text)?;
        Ok(Self {
            copayers,
            descriptor: descriptor.to_string(),
        })
    }
}

fn copayer(seed: &[u8; 32]) -> anyhow::Result<Copayer> {
    let curve = Secp256k1::new();
    let master = Xpriv::new_master(NetworkKind::Test, seed)?;
    let account = master.derive_priv(&curve, &DerivationPath::from_str(PATH)?)?;
    Ok(Copayer {
        kind: "dctrl-copayer/1",
        network: "regtest",
        fingerprint: master.fingerprint(&curve),
        path: PATH,
        xpub: Xpub::from_priv(&curve, &account),
        xprv: master,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_descriptor_has_a_checksum_and_survives_a_reading() {
        let wallet = Wallet::from_seeds(&[[1; 32], [2; 32], [3; 32]]).unwrap();
        let again = Descriptor::<DescriptorPublicKey>::from_str(&wallet.descriptor).unwrap();
        assert_eq!(again.to_string(), wallet.descriptor);
        assert!(
            wallet.descriptor.starts_with("wsh(sortedmulti(2,["),
            "{}",
            wallet.descriptor
        );
        assert_eq!(wallet.descriptor.matches("tpub").count(), COPAYERS);
        assert_eq!(wallet.descriptor.rsplit_once('#').unwrap().1.len(), 8);
    }

    #[test]
    fn two_wallets_share_no_key() {
        assert_ne!(
            Wallet::generate().unwrap().descriptor,
            Wallet::generate().unwrap().descriptor
        );
    }
}
