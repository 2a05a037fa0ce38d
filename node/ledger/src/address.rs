//! Addresses of the federation's wallet, from its public descriptor.
//!
//! Nodes hold no spending key: the descriptor has only the copayers' extended
//! public keys (BIP-380, BIP-383, BIP-67). Every quote takes the next index,
//! so that no address is shown twice.

use std::str::FromStr;

use bitcoin::{Address, Network, NetworkKind};
use dctrl_proto::v1::{Genesis, Refusal};
use miniscript::descriptor::{Descriptor, DescriptorPublicKey, WshInner};

use crate::refuse::invalid;

/// Most copayers of a wallet; `sortedmulti` in a P2WSH cannot have more.
const COPAYERS_MAX: usize = 20;

/// The chain that the genesis names.
pub(crate) fn network(genesis: &Genesis) -> Result<Network, Refusal> {
    match genesis.network.as_str() {
        "regtest" => Ok(Network::Regtest),
        "testnet4" => Ok(Network::Testnet4),
        "signet" => Ok(Network::Signet),
        "bitcoin" => Ok(Network::Bitcoin),
        other => Err(invalid(
            "genesis.network",
            "network",
            format!("Unknown network {other:?}; known: regtest, testnet4, signet, bitcoin."),
        )),
    }
}

/// The wallet's descriptor, checked in every way that does not need a chain.
pub(crate) fn descriptor(
    genesis: &Genesis,
) -> Result<Descriptor<DescriptorPublicKey>, Vec<Refusal>> {
    let wrong = |message: String| vec![invalid("genesis.descriptor", "descriptor", message)];
    if !genesis.descriptor.contains('#') {
        return Err(wrong("The descriptor has no checksum.".to_owned()));
    }
    let descriptor = Descriptor::<DescriptorPublicKey>::from_str(&genesis.descriptor)
        .map_err(|error| wrong(format!("The descriptor is not valid: {error}.")))?;
    let Descriptor::Wsh(wsh) = &descriptor else {
        return Err(wrong("The descriptor is not wsh(sortedmulti(…)).".into()));
    };
    let WshInner::SortedMulti(multi) = wsh.as_inner() else {
        return Err(wrong("The descriptor is not wsh(sortedmulti(…)).".into()));
    };
    let kind = match network(genesis) {
        Ok(Network::Bitcoin) => NetworkKind::Main,
        // An unknown network is a problem of its own.
        _ => NetworkKind::Test,
    };
    let mut problems = Vec::new();
    if multi.pks().len() > COPAYERS_MAX {
        problems.extend(wrong(format!("More than {COPAYERS_MAX} copayers.")));
    }
    for (position, key) in multi.pks().iter().enumerate() {
        let fault = match key {
            DescriptorPublicKey::XPub(xpub) if xpub.xkey.network != kind => {
                Some("belongs to another network")
            }
            DescriptorPublicKey::XPub(xpub) if xpub.origin.is_none() => {
                Some("lacks its origin [fingerprint/path]")
            }
            DescriptorPublicKey::XPub(_) if !key.has_wildcard() => Some("does not end in /*"),
            DescriptorPublicKey::XPub(_) => None,
            _ => Some("is not one extended public key"),
        };
        if let Some(fault) = fault {
            problems.extend(wrong(format!("Key {} {fault}.", position + 1)));
        }
        if multi.pks()[..position].contains(key) {
            problems.extend(wrong(format!("Key {} stands twice.", position + 1)));
        }
    }
    if problems.is_empty() {
        Ok(descriptor)
    } else {
        Err(problems)
    }
}

/// The federation's wallet, its descriptor read once.
pub(crate) struct Wallet {
    descriptor: Descriptor<DescriptorPublicKey>,
    network: Network,
}

impl Wallet {
    /// The wallet of a genesis that was checked.
    pub(crate) fn of(genesis: &Genesis) -> Self {
        Self {
            descriptor: descriptor(genesis).expect("a genesis was checked for its descriptor"),
            network: network(genesis).expect("a genesis was checked for its network"),
        }
    }

    /// The address number `index`.
    pub(crate) fn address(&self, index: u32) -> Address {
        self.descriptor
            .at_derivation_index(index)
            .expect("an index below 2^31 can be derived")
            .address(self.network)
            .expect("a wsh descriptor has an address")
    }
}
