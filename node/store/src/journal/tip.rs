//! How far the journal was written, beside it.
//!
//! A last batch that is damaged, or a tail that is gone, looks like a write that
//! a power cut tore, and the store would open at an earlier height. So the
//! number of each batch is also written here, behind the batch's own sync and
//! without one of its own: what stands here is never ahead of what is durable,
//! and a batch that stands here and is not in the journal is damage.
//!
//! Where this file says nothing (it is not there, torn or damaged) the journal
//! is taken as it is.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

const NAME: &str = "tip";
/// Batch u64, its complement, and the checksum of both: little-endian.
const BYTES: usize = 20;

#[derive(Debug)]
pub(super) struct Tip(File);

impl Tip {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(false);
        options.open(folder.join(NAME)).map(Self)
    }

    /// Call only when the batch is synced.
    pub(super) fn note(&self, batch: u64) -> io::Result<()> {
        self.0.write_all_at(&encode(batch), 0)
    }
}

/// The last batch that was noted; 0 where nothing is known.
pub(super) fn read(folder: &Path) -> u64 {
    let bytes = fs::read(folder.join(NAME)).unwrap_or_default();
    decode(&bytes).unwrap_or(0)
}

fn encode(batch: u64) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(&batch.to_le_bytes());
    bytes[8..16].copy_from_slice(&(!batch).to_le_bytes());
    let sum = crc32fast::hash(&bytes[..16]);
    bytes[16..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<u64> {
    let batch = u64::from_le_bytes(*bytes.first_chunk::<8>()?);
    (bytes == encode(batch)).then_some(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_tip_says_nothing() {
        let whole = encode(7);
        assert_eq!(decode(&whole), Some(7));
        for at in 0..BYTES {
            let mut damaged = whole;
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged), None);
            assert_eq!(decode(&whole[..at]), None);
        }
        assert_eq!(decode(&[0; BYTES]), None);
    }
}
