//! A state as a list of chunks.

use bytes::Bytes;

use crate::codec::{DecodeError, Reader, Writer};
use crate::crypto::sha256;
use crate::id::Digest;

/// Length of a chunk at most: one fits into a message with what is around it.
pub const STATE_CHUNK_BYTES_MAX: usize = 768 << 10;
/// Chunks of a state at most, which makes 12 GiB; their digests fit into one
/// message between nodes.
pub const STATE_CHUNKS_MAX: usize = 16 << 10;
/// Bytes of an encoded manifest at most.
pub const MANIFEST_BYTES_MAX: usize = HEAD_BYTES + STATE_CHUNKS_MAX * 32;

/// The format version. 1 had no length of chunks.
const VERSION: u16 = 2;
/// Version, height, state digest, bytes, length of a chunk, count.
const HEAD_BYTES: usize = 2 + 8 + 32 + 8 + 4 + 4;

/// What a state consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateManifest {
    /// The block that led to it.
    pub height: u64,
    /// Its digest, which the block's header holds.
    pub state_digest: Digest,
    /// Length of the state as one stream, bytes.
    pub bytes: u64,
    /// Length of every chunk but the last, bytes; from 1 to
    /// [`STATE_CHUNK_BYTES_MAX`].
    pub chunk_bytes: u32,
    /// Digests of the chunks; see [`chunk_digest`].
    pub chunks: Vec<Digest>,
}

impl StateManifest {
    /// The one encoding: version, then the fields in order.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(HEAD_BYTES + self.chunks.len() * 32);
        out.u16(VERSION);
        out.u64(self.height);
        out.digest(&self.state_digest);
        out.u64(self.bytes);
        out.u32(self.chunk_bytes);
        out.count(self.chunks.len());
        self.chunks.iter().for_each(|chunk| out.digest(chunk));
        out.finish()
    }

    /// Reads an encoded manifest.
    ///
    /// # Errors
    /// Where the bytes are not one, or its numbers contradict each other.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(Bytes::copy_from_slice(bytes));
        let version = input.u16()?;
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        let mut manifest = Self {
            height: input.u64()?,
            state_digest: input.digest()?,
            bytes: input.u64()?,
            chunk_bytes: input.u32()?,
            chunks: Vec::new(),
        };
        let count = input.count("state chunks", STATE_CHUNKS_MAX)?;
        for _ in 0..count {
            manifest.chunks.push(input.digest()?);
        }
        input.end()?;
        let length = u64::from(manifest.chunk_bytes);
        let fits = (1..=STATE_CHUNK_BYTES_MAX as u64).contains(&length)
            && manifest.bytes.div_ceil(length) == count as u64;
        if fits {
            Ok(manifest)
        } else {
            Err(DecodeError::NotCanonical("the lengths of a manifest"))
        }
    }

    /// What peers compare to agree on a manifest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        encoded_digest(&self.encode())
    }

    /// The length of a chunk, bytes; nothing where there is none.
    #[must_use]
    pub fn chunk_length(&self, index: u32) -> Option<usize> {
        let length = u64::from(self.chunk_bytes);
        let start = u64::from(index).checked_mul(length)?;
        let left = self.bytes.checked_sub(start).filter(|left| *left > 0)?;
        usize::try_from(left.min(length)).ok()
    }

    /// Whether this is the chunk with this index.
    #[must_use]
    pub fn holds(&self, index: u32, chunk: &[u8]) -> bool {
        let digest = usize::try_from(index).ok();
        let digest = digest.and_then(|index| self.chunks.get(index));
        self.chunk_length(index) == Some(chunk.len()) && digest == Some(&chunk_digest(chunk))
    }
}

/// The digest of an encoded manifest.
pub(crate) fn encoded_digest(manifest: &[u8]) -> Digest {
    sha256(b"dctrl/state-manifest/2\0", &[manifest])
}

/// The digest of a chunk, as a manifest names it.
#[must_use]
pub fn chunk_digest(chunk: &[u8]) -> Digest {
    sha256(b"dctrl/state-chunk/1\0", &[chunk])
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: u32 = 64;

    fn manifest(bytes: u64) -> StateManifest {
        let chunks = bytes.div_ceil(u64::from(CHUNK));
        StateManifest {
            height: 7,
            state_digest: Digest([1; 32]),
            bytes,
            chunk_bytes: CHUNK,
            chunks: (0..chunks)
                .map(|one| chunk_digest(&one.to_be_bytes()))
                .collect(),
        }
    }

    #[test]
    fn a_manifest_survives_its_encoding_and_nothing_else_is_one() {
        for bytes in [0, 1, 64, 3 * 64 + 1] {
            let manifest = manifest(bytes);
            let encoded = manifest.encode();
            assert_eq!(StateManifest::decode(&encoded).unwrap(), manifest);
            for cut in 0..encoded.len() {
                assert!(StateManifest::decode(&encoded[..cut]).is_err());
            }
            let more = [&encoded[..], &[0; 32]].concat();
            assert!(StateManifest::decode(&more).is_err(), "one chunk too many");
        }
        for chunk_bytes in [0, 1 + u32::try_from(STATE_CHUNK_BYTES_MAX).unwrap()] {
            let odd = StateManifest {
                chunk_bytes,
                ..manifest(64)
            };
            assert!(StateManifest::decode(&odd.encode()).is_err());
        }
    }

    #[test]
    fn every_chunk_but_the_last_has_the_full_length() {
        let manifest = manifest(2 * 64 + 5);
        let lengths: Vec<_> = (0..4).map(|index| manifest.chunk_length(index)).collect();
        assert_eq!(lengths, [Some(64), Some(64), Some(5), None]);
        assert_eq!(manifest.chunk_length(u32::MAX), None);
    }

    #[test]
    fn the_bytes_of_a_manifest_are_frozen() {
        let digest = manifest(65).digest().to_string();
        assert_eq!(
            digest,
            "07e5f5651990ceb49aa4885614779ddf59224e45aa9e5de95cff8b7f518811e5"
        );
    }
}
