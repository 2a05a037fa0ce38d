//! What an address stands for on the chain.

use std::str::FromStr;

use bitcoin::Address;

/// The script that an address of the federation pays; empty where the text is
/// no address, so that nothing that is paid there is the federation's.
pub(super) fn script_of(address: &str) -> Vec<u8> {
    let address = Address::from_str(address);
    address
        .map(|address| address.assume_checked().script_pubkey().into_bytes())
        .unwrap_or_default()
}
