//! The federation's wallet as the genesis describes it.
//!
//! Nodes hold no spending key: the descriptor has only the copayers' extended
//! public keys. Every quote takes the next index, so that no address is shown
//! twice.

use bitcoin::Network;
use dctrl_proto::v1::{Genesis, Refusal};
use dctrl_wallet::Wallet;

use crate::refuse::invalid;

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

/// The wallet, its descriptor checked in every way that does not need a chain.
pub(crate) fn check(genesis: &Genesis) -> Result<Wallet, Vec<Refusal>> {
    // An unknown network is a problem of its own.
    let network = network(genesis).unwrap_or(Network::Regtest);
    Wallet::parse(&genesis.descriptor, network).map_err(|problems| {
        let refusal = |problem: dctrl_wallet::WalletError| {
            invalid("genesis.descriptor", "descriptor", problem.to_string())
        };
        problems.into_iter().map(refusal).collect()
    })
}

/// The wallet of a genesis that was checked.
pub(crate) fn wallet(genesis: &Genesis) -> Wallet {
    check(genesis).expect("a genesis was checked for its descriptor")
}
