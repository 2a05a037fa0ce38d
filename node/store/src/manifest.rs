//! A state as a list of chunks, the same on every node that has the state.
//!
//! All entries in the order of their keys, each as length and bytes of key and
//! value (lengths as u32 big-endian), make one stream. It is cut every
//! [`STATE_CHUNK_BYTES`], wherever that is, so that no entry makes a chunk
//! longer than a message. The manifest, which consensus defines, holds the
//! digests of the chunks.

use crate::limits::{STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX};

/// Appends an entry to the stream.
pub(crate) fn write_entry(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    for part in [key, value] {
        // RocksDB holds neither keys nor values of 4 GiB.
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        out.extend(length.to_be_bytes());
        out.extend(part);
    }
}

/// What stands at the front of a stream.
pub(crate) enum Front<'b> {
    /// An entry, and what is behind it.
    Entry {
        key: &'b [u8],
        value: &'b [u8],
        rest: &'b [u8],
    },
    /// An entry has begun, and the rest of it is in the next chunk.
    Begun,
    /// No entry of a state begins so.
    Malformed,
}

/// Reads the first entry of a part of the stream.
pub(crate) fn read_entry(bytes: &[u8]) -> Front<'_> {
    let (key, rest) = match take(bytes, STATE_KEY_BYTES_MAX) {
        Ok(Some(taken)) => taken,
        Ok(None) => return Front::Begun,
        Err(()) => return Front::Malformed,
    };
    match take(rest, STATE_VALUE_BYTES_MAX) {
        Ok(Some((value, rest))) => Front::Entry { key, value, rest },
        Ok(None) => Front::Begun,
        Err(()) => Front::Malformed,
    }
}

/// A length-prefixed part and what follows, or nothing where it is cut off.
type Part<'b> = Option<(&'b [u8], &'b [u8])>;

fn take(bytes: &[u8], max: usize) -> Result<Part<'_>, ()> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| ())?;
    if length > max {
        return Err(());
    }
    Ok(rest.split_at_checked(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_an_entry_are_frozen() {
        let mut out = Vec::new();
        write_entry(&mut out, b"ab", b"c");
        assert_eq!(out, [0, 0, 0, 2, b'a', b'b', 0, 0, 0, 1, b'c']);
    }
}
