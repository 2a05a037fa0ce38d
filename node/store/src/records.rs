//! A look at the records of RocksDB's manifest and logs before it reads them
//! itself: a damaged type of record at their end makes it read for ever
//! (facebook/rocksdb#13333), and a node that neither starts nor says why is no
//! better than one that lost its disk.
//!
//! Only the framing is looked at; checksums are RocksDB's own work. A record is
//! CRC (4 bytes), length (u16 little-endian), type (1 byte) and its bytes, within
//! a block of 32 KiB. Types of records that are used again, compressed or
//! stamped are not written with our options, so they are damage.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::error::StoreError;
use crate::store::damaged;

const BLOCK_BYTES: usize = 32 * 1024;
const HEADER_BYTES: usize = 7;
/// Whole, first, middle, last; 0 is what an empty end looks like.
const TYPE_MAX: u8 = 4;

/// Looks at the manifest that is in use and at the logs of a database.
///
/// # Errors
/// A record is damaged, or a file cannot be read.
pub(crate) fn check(folder: &Path) -> Result<(), StoreError> {
    let error = |source| StoreError::Folder {
        folder: folder.to_owned(),
        source,
    };
    let current = fs::read_to_string(folder.join("CURRENT")).unwrap_or_default();
    for entry in fs::read_dir(folder).map_err(error)? {
        let path = entry.map_err(error)?.path();
        let name = path.file_name().unwrap_or_default();
        let what = if name == current.trim_end() {
            "record of the database's manifest at byte"
        } else if path.extension().is_some_and(|end| end == "log") {
            "record of the database's log at byte"
        } else {
            continue;
        };
        let file = File::open(&path).map_err(error)?;
        if let Some(offset) = damaged_at(BufReader::new(file)).map_err(error)? {
            return Err(damaged(what, offset));
        }
    }
    Ok(())
}

/// Where the first record stands whose type or length cannot be, bytes. A record
/// that the end of the file cuts off is none: a crash leaves such ones.
fn damaged_at(mut file: impl Read) -> io::Result<Option<u64>> {
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    let mut begun = 0;
    loop {
        block.clear();
        let bytes = Read::take(&mut file, BLOCK_BYTES as u64).read_to_end(&mut block)?;
        if let Some(at) = damaged_in(&block) {
            return Ok(Some(begun + at as u64));
        }
        if bytes < BLOCK_BYTES {
            return Ok(None);
        }
        begun += bytes as u64;
    }
}

fn damaged_in(block: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(header) = block.get(at..at + HEADER_BYTES) {
        let length = usize::from(u16::from_le_bytes([header[4], header[5]]));
        let end = at + HEADER_BYTES + length;
        match header[6] {
            0 if length == 0 => return None,
            kind if kind > TYPE_MAX => return Some(at),
            _ if end > block.len() => {
                // A whole block has whole records.
                return (block.len() == BLOCK_BYTES).then_some(at);
            }
            _ => at = end,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, length: u16) -> Vec<u8> {
        let mut record = vec![0xc; 4];
        record.extend(length.to_le_bytes());
        record.push(kind);
        record.resize(record.len() + usize::from(length), 0xff);
        record
    }

    fn look(records: &[Vec<u8>]) -> Option<u64> {
        damaged_at(&records.concat()[..]).unwrap()
    }

    #[test]
    fn whole_records_are_sound_and_so_is_a_torn_end() {
        assert_eq!(look(&[]), None);
        assert_eq!(look(&[record(1, 40), record(1, 0), vec![0; 5]]), None);
        let torn = record(1, 100)[..60].to_vec();
        assert_eq!(look(&[record(1, 40), torn]), None);
        assert_eq!(look(&[record(1, 40), vec![0; 3000]]), None);
        // First, middle, last, and the six bytes that no header fits into.
        let first = record(2, 32_761);
        let last = record(4, 32_755);
        assert_eq!(look(&[first, last, vec![0; 6], record(1, 9)]), None);
    }

    #[test]
    fn a_type_that_is_never_written_and_a_record_beyond_its_block_are_damage() {
        assert_eq!(look(&[record(1, 40), record(8, 9)]), Some(47));
        let mut cut = record(8, 5_888);
        cut.truncate(1_000);
        assert_eq!(look(&[record(1, 40), cut]), Some(47));
        assert_eq!(look(&[record(2, 32_762), record(1, 9)]), Some(0));
    }
}
