//! The wallet's descriptor, and what follows from it: addresses, scripts, keys.
//!
//! The text is the external descriptor, whose keys end in `/0/*`. Change goes
//! to `/1/*` of the same keys: together `/<0;1>/*` of BIP-389.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use bitcoin::bip32::{ChildNumber, DerivationPath, Fingerprint, Xpub};
use bitcoin::secp256k1::{Secp256k1, VerifyOnly};
use bitcoin::{Address, Network, NetworkKind, PublicKey, ScriptBuf};
use miniscript::descriptor::{
    DefiniteDescriptorKey, Descriptor, DescriptorPublicKey, DescriptorXKey, Wildcard, WshInner,
};

/// Most keys of a wallet; `sortedmulti` in a P2WSH cannot have more.
pub const KEYS_MAX: usize = 20;

/// What deriving public keys needs of the curve, made once: a key that makes its
/// own spends more on that than on itself. No secret ever passes it.
static CURVE: LazyLock<Secp256k1<VerifyOnly>> = LazyLock::new(Secp256k1::verification_only);

/// Which of the wallet's two chains of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Chain {
    /// What customers pay to: `/0/*`.
    Payments,
    /// Our own change: `/1/*`.
    Change,
}

impl Chain {
    /// The step in the path.
    const fn step(self) -> u32 {
        match self {
            Self::Payments => 0,
            Self::Change => 1,
        }
    }
}

/// What is wrong with a descriptor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalletError {
    /// It does not end in `#` and eight characters.
    #[error("The descriptor has no checksum.")]
    Checksum,
    /// It cannot be read.
    #[error("The descriptor is not valid: {0}.")]
    Invalid(String),
    /// It is of another kind.
    #[error("The descriptor is not wsh(sortedmulti(…)).")]
    Kind,
    /// More keys than a script may have.
    #[error("More than {KEYS_MAX} copayers.")]
    Keys,
    /// Two descriptors that are not the two chains of one wallet.
    #[error("There are descriptors of more than one wallet.")]
    Another,
    /// One of its keys, counted from 1.
    #[error("Key {number} {fault}.")]
    Key {
        /// From 1.
        number: usize,
        /// What is wrong with it.
        fault: &'static str,
    },
}

/// One key of the wallet: a copayer's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Of the master key.
    pub fingerprint: Fingerprint,
    /// From the master key to the account.
    pub path: DerivationPath,
    /// The account.
    pub xpub: Xpub,
}

/// As a descriptor writes it, without the steps below the account.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}", self.fingerprint)?;
        for step in &self.path {
            write!(f, "/{step}")?;
        }
        write!(f, "]{}", self.xpub)
    }
}

/// The wallet.
#[derive(Clone, Debug)]
pub struct Wallet {
    /// By [`Chain::step`]; without change where keys do not end in `/0/*`.
    chains: [Option<Descriptor<DescriptorPublicKey>>; 2],
    network: Network,
    threshold: usize,
    keys: Vec<Key>,
}

impl Wallet {
    /// Reads an external descriptor and checks it in every way that does not
    /// need a chain.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(text: &str, network: Network) -> Result<Self, Vec<WalletError>> {
        if !text.contains('#') {
            return Err(vec![WalletError::Checksum]);
        }
        let descriptor = Descriptor::<DescriptorPublicKey>::from_str(text)
            .map_err(|error| vec![WalletError::Invalid(error.to_string())])?;
        let Descriptor::Wsh(wsh) = &descriptor else {
            return Err(vec![WalletError::Kind]);
        };
        let WshInner::SortedMulti(multi) = wsh.as_inner() else {
            return Err(vec![WalletError::Kind]);
        };
        let kind = NetworkKind::from(network);
        let problems = problems(multi.pks(), kind);
        if !problems.is_empty() {
            return Err(problems);
        }
        let threshold = multi.k();
        let keys = multi.pks().iter().filter_map(account).collect();
        let change = change_keys(multi.pks())
            .and_then(|keys| Descriptor::new_wsh_sortedmulti(threshold, keys).ok());
        Ok(Self {
            chains: [Some(descriptor), change],
            network,
            threshold,
            keys,
        })
    }

    /// The wallet of these accounts, with both chains.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn of(threshold: usize, keys: &[Key], network: Network) -> Result<Self, Vec<WalletError>> {
        let keys: Vec<String> = keys.iter().map(|key| format!("{key}/0/*")).collect();
        let text = format!("wsh(sortedmulti({threshold},{}))", keys.join(","));
        let descriptor = Descriptor::<DescriptorPublicKey>::from_str(&text)
            .map_err(|error| vec![WalletError::Invalid(error.to_string())])?;
        Self::parse(&descriptor.to_string(), network)
    }

    /// The descriptor of one chain, with its checksum.
    #[must_use]
    pub fn descriptor(&self, chain: Chain) -> Option<String> {
        let [payments, change] = &self.chains;
        let descriptor = match chain {
            Chain::Payments => payments,
            Chain::Change => change,
        };
        descriptor.as_ref().map(ToString::to_string)
    }

    /// Signatures that a payout needs.
    #[must_use]
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    /// The keys, in the order of the descriptor.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Whether change has a chain of its own: the keys end in `/0/*`.
    #[must_use]
    pub fn has_change(&self) -> bool {
        self.chains[1].is_some()
    }

    /// The network of its addresses.
    #[must_use]
    pub fn network(&self) -> Network {
        self.network
    }

    /// The address number `index` of a chain.
    ///
    /// # Panics
    /// For an index from 2³¹ on, and for change where there is none.
    #[must_use]
    pub fn address(&self, chain: Chain, index: u32) -> Address {
        self.derived(chain, index)
            .address(self.network)
            .expect("a wsh descriptor has an address")
    }

    /// The script that an output to that address has.
    #[must_use]
    pub fn script(&self, chain: Chain, index: u32) -> ScriptBuf {
        self.derived(chain, index).script_pubkey()
    }

    /// The descriptor of one address with its keys, each derived once, however
    /// often sorting compares them.
    fn derived(&self, chain: Chain, index: u32) -> Descriptor<PublicKey> {
        self.at(chain, index)
            .derived_descriptor(&CURVE)
            .expect("no step of an address is hardened")
    }

    /// The descriptor of one address.
    pub(crate) fn at(&self, chain: Chain, index: u32) -> Descriptor<DefiniteDescriptorKey> {
        let position = usize::try_from(chain.step()).expect("there are two chains");
        self.chains[position]
            .as_ref()
            .expect("whoever asks for change has looked whether there is any")
            .at_derivation_index(index)
            .expect("an index below 2^31 can be derived")
    }

    /// Both chains as one descriptor of BIP-389, for other wallets' imports.
    #[must_use]
    pub fn multipath(&self) -> Option<String> {
        if !self.has_change() {
            return None;
        }
        let keys = self.keys.iter().map(|key| format!("{key}/<0;1>/*"));
        let keys: Vec<String> = keys.collect();
        let text = format!("wsh(sortedmulti({},{}))", self.threshold, keys.join(","));
        let both = Descriptor::<DescriptorPublicKey>::from_str(&text).ok()?;
        Some(both.to_string())
    }
}

fn problems(keys: &[DescriptorPublicKey], kind: NetworkKind) -> Vec<WalletError> {
    let mut problems = Vec::new();
    if keys.len() > KEYS_MAX {
        problems.push(WalletError::Keys);
    }
    for (position, key) in keys.iter().enumerate() {
        let number = position + 1;
        let fault = match key {
            DescriptorPublicKey::XPub(xpub) if xpub.xkey.network != kind => {
                Some("belongs to another network")
            }
            DescriptorPublicKey::XPub(xpub) if xpub.origin.is_none() => {
                Some("lacks its origin [fingerprint/path]")
            }
            DescriptorPublicKey::XPub(xpub) if has_hardened_step(xpub) => {
                Some("has a hardened step below its public key, which nobody can derive")
            }
            DescriptorPublicKey::XPub(_) if !key.has_wildcard() => Some("does not end in /*"),
            DescriptorPublicKey::XPub(_) => None,
            _ => Some("is not one extended public key"),
        };
        let twice = keys[..position].contains(key).then_some("stands twice");
        let faults = fault.into_iter().chain(twice);
        problems.extend(faults.map(|fault| WalletError::Key { number, fault }));
    }
    problems
}

fn has_hardened_step(key: &DescriptorXKey<Xpub>) -> bool {
    let mut steps = key.derivation_path.into_iter();
    key.wildcard == Wildcard::Hardened || steps.any(|step| step.is_hardened())
}

fn account(key: &DescriptorPublicKey) -> Option<Key> {
    let DescriptorPublicKey::XPub(DescriptorXKey { origin, xkey, .. }) = key else {
        return None;
    };
    let (fingerprint, path) = origin.clone()?;
    Some(Key {
        fingerprint,
        path,
        xpub: *xkey,
    })
}

/// The same keys with `/1/*`, where all of them end in `/0/*`.
fn change_keys(keys: &[DescriptorPublicKey]) -> Option<Vec<DescriptorPublicKey>> {
    let step = |chain: Chain| {
        DerivationPath::from(vec![ChildNumber::Normal {
            index: chain.step(),
        }])
    };
    keys.iter()
        .map(|key| match key {
            DescriptorPublicKey::XPub(xpub) if xpub.derivation_path == step(Chain::Payments) => {
                let derivation_path = step(Chain::Change);
                Some(DescriptorPublicKey::XPub(DescriptorXKey {
                    derivation_path,
                    ..xpub.clone()
                }))
            }
            _ => None,
        })
        .collect()
}
