//! The digest by which a change of the nodes is approved.

use prost::Message;
use ring::digest::{SHA256, digest};

use crate::v1::NodeChange;

/// Digest of a proposed change in the federation `cluster`: SHA-256 of its
/// domain, the cluster (32 bytes) and the change as this crate encodes it.
///
/// Whoever approves computes it from the words in front of them, so that a
/// node that lies about a proposal gets no approval for another one.
#[must_use]
pub fn proposal_digest(cluster: &[u8], change: &NodeChange) -> [u8; 32] {
    let change = change.encode_to_vec();
    let bytes = [b"dctrl/node-change/1\0".as_slice(), cluster, &change].concat();
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, &bytes).as_ref());
    hash
}
