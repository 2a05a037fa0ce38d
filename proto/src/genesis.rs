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
