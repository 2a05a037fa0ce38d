//! Digests that bind a machine's answers to the order they answer.
//!
//! Both digests are over encoded bytes as this crate encodes them: an order
//! is hashed as it stands in its bus frame, a receipt as it stands in the
//! action that carried it.

use ring::digest::{SHA256, digest};

/// What an [`Order`](crate::v1::Order) names as its domain.
pub const ORDER_DOMAIN: &str = "dctrl/vend/1";

/// What a machine's first receipt names as the digest of the one before.
pub const NO_RECEIPT: [u8; 32] = [0; 32];

/// Digest of an encoded [`Order`](crate::v1::Order).
#[must_use]
pub fn order_hash(encoded_order: &[u8]) -> [u8; 32] {
    sha256(b"dctrl/order/1\0", encoded_order)
}

/// Digest of an encoded [`MachineReceipt`](crate::v1::MachineReceipt), which
/// the machine's next receipt names.
#[must_use]
pub fn receipt_hash(encoded_receipt: &[u8]) -> [u8; 32] {
    sha256(b"dctrl/receipt/1\0", encoded_receipt)
}

fn sha256(domain: &[u8], bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, &[domain, bytes].concat()).as_ref());
    hash
}
