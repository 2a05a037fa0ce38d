//! The identity of a federation.

use prost::Message;
use ring::digest::{SHA256, digest};

use crate::v1::Genesis;

/// The federation's identity: SHA-256 of its domain and encoded genesis.
/// Every signature in the federation covers it.
#[must_use]
pub fn cluster_id(genesis: &Genesis) -> [u8; 32] {
    let mut bytes = b"dctrl/genesis/1\0".to_vec();
    genesis.encode_raw(&mut bytes);
    let mut id = [0; 32];
    id.copy_from_slice(digest(&SHA256, &bytes).as_ref());
    id
}

/// Hash of block 0 of the simulated chain, in display order: SHA-256 of its
/// name. It stands in [`Genesis::chain_genesis_hash`] of a federation that
/// runs on that chain, and in the answers of the chain itself.
#[must_use]
pub fn simulated_chain_genesis() -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, b"dctrl simulated chain genesis").as_ref());
    hash
}
