//! What a journal file holds when it is found.

use std::io;
use std::path::Path;

use super::line::{CHAIN_START, Chain, HEAD_BYTES, announced, decode};
use super::{JournalError, Summary, at};
use crate::machine::{Durable, Record};

/// Longest file that is read, bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A readable file.
pub(super) struct Found {
    pub(super) generation: u64,
    pub(super) durable: Durable,
    pub(super) chain: Chain,
    pub(super) length: u64,
    /// The last line was cut off, as by a power cut.
    pub(super) torn: bool,
}

/// Reads a file: nothing where there is none, the offset of the damage where
/// more than its end is damaged.
pub(super) fn inspect(path: &Path) -> Result<Option<Result<Found, usize>>, JournalError> {
    let bytes = match std::fs::metadata(path) {
        Ok(meta) if meta.len() > FILE_BYTES_MAX => return Ok(Some(Err(0))),
        Ok(_) => std::fs::read(path).map_err(at(path))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(path)(error)),
    };
    Ok(Some(read(&bytes)))
}

pub(super) fn read(bytes: &[u8]) -> Result<Found, usize> {
    // A file gets its name only when its summary is synced.
    let (text, mut chain) = decode(&CHAIN_START, bytes).ok_or(0_usize)?;
    let Summary {
        generation,
        mut durable,
    } = serde_json::from_slice(text).map_err(|_| 0_usize)?;
    let mut offset = HEAD_BYTES + text.len() + 1;
    while let Some((text, next)) = decode(&chain, &bytes[offset..]) {
        let record: Record = serde_json::from_slice(text).map_err(|_| offset)?;
        durable.apply(&record);
        chain = next;
        offset += HEAD_BYTES + text.len() + 1;
    }
    let rest = &bytes[offset..];
    if !is_torn_line(rest) {
        return Err(offset);
    }
    Ok(Found {
        generation,
        durable,
        chain,
        length: offset as u64,
        torn: !rest.is_empty(),
    })
}

/// Whether what stands after the last good line is nothing, or one line that
/// was not written to its end. Each line is synced before the next one is
/// begun, so only the last can be. A line that has its end was synced perhaps,
/// and may say that the pulse was given: it is damaged, not torn.
fn is_torn_line(rest: &[u8]) -> bool {
    let has_its_end = announced(rest).is_some_and(|length| rest.len() >= length);
    !has_its_end && !rest.contains(&b'\n')
}
