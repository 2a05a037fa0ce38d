//! One line of the journal.

use std::io;

use ring::digest::{SHA256, digest};
use serde::Serialize;

/// Digest over all records so far.
pub(super) type Chain = [u8; 32];

/// What a file's chain starts from.
pub(super) const CHAIN_START: Chain = *b"dctrl/agent-journal/1\0\0\0\0\0\0\0\0\0\0\0";

/// Longest record, bytes: a summary with every queue full.
pub(super) const RECORD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Length, CRC and chain in hex, each with a space after it.
pub(super) const HEAD_BYTES: usize = 8 + 1 + 8 + 1 + 64 + 1;

/// The line of a record and the chain after it.
pub(super) fn encode(before: &Chain, record: &impl Serialize) -> io::Result<(Vec<u8>, Chain)> {
    let text = serde_json::to_vec(record)?;
    if text.len() > RECORD_BYTES_MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let chain = link(before, &text);
    let mut line = format!(
        "{:08x} {:08x} {} ",
        text.len(),
        crc32fast::hash(&text),
        hex::encode(chain)
    )
    .into_bytes();
    line.extend_from_slice(&text);
    line.push(b'\n');
    Ok((line, chain))
}

/// The record at the start of `bytes`: its text, and the chain after it.
/// Nothing where the line is incomplete or damaged.
pub(super) fn decode<'a>(before: &Chain, bytes: &'a [u8]) -> Option<(&'a [u8], Chain)> {
    let text = whole(bytes)?;
    let chain = link(before, text);
    (bytes[18..82] == *hex::encode(chain).as_bytes()).then_some((text, chain))
}

/// Bytes of the whole line at the start of `bytes`, as its head has it.
pub(super) fn announced(bytes: &[u8]) -> Option<usize> {
    Some(HEAD_BYTES + text_length(bytes)? + 1)
}

fn text_length(bytes: &[u8]) -> Option<usize> {
    let digits = std::str::from_utf8(bytes.get(..8)?).ok()?;
    usize::try_from(u32::from_str_radix(digits, 16).ok()?).ok()
}

/// The record at the start of `bytes` if its length and CRC are right,
/// whatever it is chained to.
fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let length = text_length(bytes)?;
    if length > RECORD_BYTES_MAX {
        return None;
    }
    let text = bytes.get(HEAD_BYTES..HEAD_BYTES + length)?;
    // Compared as written, so that every byte of the line counts.
    let head = format!("{length:08x} {:08x} ", crc32fast::hash(text));
    let right = bytes[..18] == *head.as_bytes()
        && bytes[HEAD_BYTES - 1] == b' '
        && bytes.get(HEAD_BYTES + length) == Some(&b'\n');
    right.then_some(text)
}

fn link(before: &Chain, text: &[u8]) -> Chain {
    let mut chain = [0; 32];
    chain.copy_from_slice(digest(&SHA256, &[before.as_slice(), text].concat()).as_ref());
    chain
}
