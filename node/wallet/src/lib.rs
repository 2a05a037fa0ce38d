//! Build, check and finish the transactions of the federation's wallet.
//!
//! The wallet is `wsh(sortedmulti(m, …))` over the copayers' extended public
//! keys (BIP-380, BIP-383, BIP-48, BIP-67). From the same coins and terms
//! [`plan`] makes the same PSBT (BIP-174) on every machine, byte for byte;
//! [`check_returned`] takes the signatures out of what a signer gave back and
//! refuses everything else; [`finish`] makes the transaction of them;
//! [`read_psbt`] also understands version 2 (BIP-370). Nodes
//! use this to order payouts, copayers to check them without trusting a node.
//!
//! Amounts are in satoshi, fee rates in satoshi for 1000 virtual bytes; all
//! arithmetic is on integers and checked.
//!
//! Deliberately absent: private keys, randomness, floats, clocks, the network.

mod child;
mod consolidate;
mod descriptor;
mod finish;
mod import;
mod maps;
mod plan;
mod psbt;
mod returned;
mod room;
mod select;
mod size;
mod version;

pub use child::{Parent, child};
pub use consolidate::consolidate;
pub use descriptor::{Chain, KEYS_MAX, Key, Wallet, WalletError};
pub use finish::{PartialSignature, finish};
pub use plan::{Plan, PlanError, Recipient, Terms, parse_address, plan, plan_over};
pub use returned::{Deviation, PSBT_BYTES_MAX, check_returned};
pub use room::{INPUTS_MAX, RECIPIENTS_MAX, SIGNED_BYTES_MAX};
pub use size::{DUST_SATS, fee_sats};
pub use version::{VersionError, read_psbt, to_version_2};

use bitcoin::OutPoint;

/// An unspent output of the wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coin {
    /// Where it is.
    pub outpoint: OutPoint,
    /// What it is worth.
    pub sats: u64,
    /// Of payments or of change.
    pub chain: Chain,
    /// Index of its address.
    pub index: u32,
}

impl Coin {
    /// Its place in BIP-69: the transaction id in the order of display, then
    /// the number of the output.
    fn place(&self) -> ([u8; 32], u32) {
        let mut txid: [u8; 32] = *self.outpoint.txid.as_ref();
        txid.reverse();
        (txid, self.outpoint.vout)
    }
}
