//! A state as a list of chunks, the same on every node that has the state.
//!
//! All entries in the order of their keys, each as length and bytes of key and
//! value (lengths as u32 big-endian), make one stream. It is cut every
//! [`STATE_CHUNK_BYTES`], wherever that is, so that no entry makes a chunk
//! longer than a message. The manifest holds the digests of the chunks.

use dctrl_consensus::{Digest, crypto::sha256};

use crate::limits::{
    STATE_CHUNK_BYTES, STATE_CHUNKS_MAX, STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX,
};

const VERSION: u16 = 1;
const DIGEST_BYTES: usize = 32;
const HEAD_BYTES: usize = 2 + 8 + DIGEST_BYTES + 8;

/// What a state consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateManifest {
    /// The block that led to it.
    pub height: u64,
    /// Its digest, which the block's header holds.
    pub state_digest: Digest,
    /// Length of the stream, bytes.
    pub bytes: u64,
    /// Digests of its chunks.
    pub chunks: Vec<Digest>,
}

impl StateManifest {
    /// The one encoding: version, height, state digest, bytes, chunk digests.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES + self.chunks.len() * DIGEST_BYTES);
        out.extend(VERSION.to_be_bytes());
        out.extend(self.height.to_be_bytes());
        out.extend(self.state_digest.0);
        out.extend(self.bytes.to_be_bytes());
        for chunk in &self.chunks {
            out.extend(chunk.0);
        }
        out
    }

    /// Reads an encoded manifest; nothing where the bytes are not one, or one
    /// of more than [`STATE_CHUNKS_MAX`] chunks.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first_chunk::<2>()?;
        let (height, rest) = rest.split_first_chunk::<8>()?;
        let (state_digest, rest) = rest.split_first_chunk::<DIGEST_BYTES>()?;
        let (length, rest) = rest.split_first_chunk::<8>()?;
        let (digests, left) = rest.as_chunks::<DIGEST_BYTES>();
        let length = u64::from_be_bytes(*length);
        let fits = u16::from_be_bytes(*version) == VERSION
            && left.is_empty()
            && digests.len() <= STATE_CHUNKS_MAX
            && digests.len() as u64 == length.div_ceil(STATE_CHUNK_BYTES as u64);
        fits.then(|| Self {
            height: u64::from_be_bytes(*height),
            state_digest: Digest(*state_digest),
            bytes: length,
            chunks: digests.iter().map(|digest| Digest(*digest)).collect(),
        })
    }

    /// What peers compare to agree on a manifest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        sha256(b"dctrl/state-manifest/1\0", &[&self.encode()])
    }

    /// The length of a chunk, bytes; nothing where there is none.
    #[must_use]
    pub fn chunk_bytes(&self, index: u32) -> Option<usize> {
        let start = u64::from(index) * STATE_CHUNK_BYTES as u64;
        let left = self.bytes.checked_sub(start).filter(|left| *left > 0)?;
        usize::try_from(left.min(STATE_CHUNK_BYTES as u64)).ok()
    }
}

/// The digest of a chunk.
pub(crate) fn chunk_digest(chunk: &[u8]) -> Digest {
    sha256(b"dctrl/state-chunk/1\0", &[chunk])
}

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

    fn manifest(bytes: u64) -> StateManifest {
        let chunks = bytes.div_ceil(STATE_CHUNK_BYTES as u64);
        StateManifest {
            height: 7,
            state_digest: Digest([1; 32]),
            bytes,
            chunks: (0..chunks).map(|one| chunk_digest(&[one as u8])).collect(),
        }
    }

    #[test]
    fn a_manifest_survives_its_encoding_and_nothing_else_is_one() {
        for bytes in [
            0,
            1,
            STATE_CHUNK_BYTES as u64,
            3 * STATE_CHUNK_BYTES as u64 + 1,
        ] {
            let manifest = manifest(bytes);
            let encoded = manifest.encode();
            assert_eq!(StateManifest::decode(&encoded).unwrap(), manifest);
            for cut in 0..encoded.len() {
                assert!(StateManifest::decode(&encoded[..cut]).is_none());
            }
            let more = [&encoded[..], &[0; 32]].concat();
            assert!(StateManifest::decode(&more).is_none(), "one chunk too many");
        }
    }

    #[test]
    fn every_chunk_but_the_last_has_the_full_length() {
        let manifest = manifest(2 * STATE_CHUNK_BYTES as u64 + 5);
        let lengths: Vec<_> = (0..4).map(|index| manifest.chunk_bytes(index)).collect();
        let full = Some(STATE_CHUNK_BYTES);
        assert_eq!(lengths, [full, full, Some(5), None]);
        assert_eq!(manifest.chunk_bytes(u32::MAX), None);
    }

    #[test]
    fn the_bytes_of_an_entry_are_frozen() {
        let mut out = Vec::new();
        write_entry(&mut out, b"ab", b"c");
        assert_eq!(out, [0, 0, 0, 2, b'a', b'b', 0, 0, 0, 1, b'c']);
    }
}
