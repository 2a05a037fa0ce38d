//! How a block vouches for the answers that its actions got.
//!
//! The block's own frame (topic `block`) names one digest over the digests of
//! all receipts that are kept for ever, in the order of their action ids. Who
//! holds a receipt, that list and the certified frame needs to trust no node.
//! The list is 32 bytes an action; blocks are small, and where they are not
//! nobody who waits for one answer needs to ask for the proof.

use ring::digest::{Context, SHA256, digest};

/// Before an encoded receipt.
const RECEIPT: &[u8] = b"dctrl/action-receipt/1\0";
/// Before the digests of a block's receipts.
const RECEIPTS: &[u8] = b"dctrl/action-receipts/1\0";

/// Digest of an encoded [`Receipt`](crate::v1::Receipt).
#[must_use]
pub fn receipt_digest(encoded_receipt: &[u8]) -> [u8; 32] {
    let bytes = [RECEIPT, encoded_receipt].concat();
    array(&digest(&SHA256, &bytes))
}

/// What [`BlockApplied::receipts`](crate::v1::BlockApplied::receipts) says of
/// the receipts with these digests, in this order; nothing where there is none.
#[must_use]
pub fn receipts_digest<'d>(digests: impl IntoIterator<Item = &'d [u8; 32]>) -> Vec<u8> {
    let mut digests = digests.into_iter().peekable();
    if digests.peek().is_none() {
        return Vec::new();
    }
    let mut context = Context::new(&SHA256);
    context.update(RECEIPTS);
    for digest in digests {
        context.update(digest);
    }
    array(&context.finish()).to_vec()
}

fn array(digest: &ring::digest::Digest) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}
