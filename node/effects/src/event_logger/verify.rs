//! Whether a log on disk is whole and unchanged.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use super::{
    entry::{Entry, EntryError, FIRST, Gap},
    segment::segments,
};

/// What a good log holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Entries in all segments.
    pub entries: u64,
    /// Segments.
    pub segments: usize,
    /// Height of the last entry.
    pub height: u64,
    /// Blocks that are not, or not whole, in the log, as the log itself says.
    pub missing_blocks: u64,
    /// Hash of the last entry, in hex: it stands for the whole log.
    pub hash: String,
    /// The last line has no end, as a power cut leaves it.
    pub torn_tail: bool,
}

/// The first thing that is wrong with a log.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Entries are not there.
    #[error("entries {from} to {to} are missing: there is no segment events-{from:012}.jsonl")]
    MissingSegment {
        /// First missing entry.
        from: u64,
        /// Last missing entry.
        to: u64,
    },
    /// An entry is damaged.
    #[error("entry {index} ({path}, line {line}) is bad: {error}")]
    BadEntry {
        /// Of the entry.
        index: u64,
        /// Its segment.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        error: EntryError,
    },
    /// An entry does not continue the one before it.
    #[error("entry {index} ({path}, line {line}) does not follow the entry before it: {field}")]
    Broken {
        /// Where the chain breaks.
        index: u64,
        /// Its segment.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What does not fit.
        field: &'static str,
    },
}

/// Reads a log from its first entry on.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(folder: &Path) -> Result<Verified, VerifyError> {
    let files = segments(folder).map_err(|source| VerifyError::File {
        path: folder.to_owned(),
        source,
    })?;
    let mut chain = Chain {
        index: 0,
        hash: FIRST,
        position: (0, 0),
        missing_blocks: 0,
        torn: false,
    };
    let count = files.len();
    for (number, (first, path)) in files.into_iter().enumerate() {
        let expected = chain.index + 1;
        if first > expected {
            return Err(VerifyError::MissingSegment {
                from: expected,
                to: first - 1,
            });
        }
        chain.segment(&path, number + 1 == count)?;
    }
    Ok(Verified {
        entries: chain.index,
        segments: count,
        height: chain.position.0,
        missing_blocks: chain.missing_blocks,
        hash: hex::encode(chain.hash),
        torn_tail: chain.torn,
    })
}

struct Chain {
    index: u64,
    hash: [u8; 32],
    /// Height and position of the last entry.
    position: (u64, u32),
    missing_blocks: u64,
    torn: bool,
}

impl Chain {
    fn segment(&mut self, path: &Path, is_last: bool) -> Result<(), VerifyError> {
        let wrong = |source| VerifyError::File {
            path: path.to_owned(),
            source,
        };
        let mut reader = BufReader::new(File::open(path).map_err(wrong)?);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            if reader.read_until(b'\n', &mut line).map_err(wrong)? == 0 {
                break;
            }
            let ended = line.last() == Some(&b'\n');
            if ended {
                line.pop();
            } else if is_last {
                self.torn = true;
                break;
            }
            self.entry(path, number, &line)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, line: usize, bytes: &[u8]) -> Result<(), VerifyError> {
        let index = self.index + 1;
        let (entry, hash) = Entry::read(bytes).map_err(|error| VerifyError::BadEntry {
            index,
            path: path.to_owned(),
            line,
            error,
        })?;
        let broken = |field| VerifyError::Broken {
            index,
            path: path.to_owned(),
            line,
            field,
        };
        if entry.prev_hash != hex::encode(self.hash) {
            return Err(broken("prev_hash"));
        }
        if entry.index != index {
            return Err(broken("index"));
        }
        let gap = entry.gap();
        if !self.goes_on(&entry, gap.as_ref()) {
            return Err(broken("height"));
        }
        let missing = gap.map_or(0, |gap| gap.missing_to - gap.missing_from + 1);
        *self = Self {
            index,
            hash,
            position: (entry.height, entry.sub_index),
            missing_blocks: self.missing_blocks + missing,
            torn: false,
        };
        Ok(())
    }

    /// Whether nothing is missing before the entry but what it says itself.
    fn goes_on(&self, entry: &Entry, gap: Option<&Gap>) -> bool {
        let (height, sub_index) = self.position;
        if let Some(gap) = gap {
            // The rest of a block, or whole ones.
            return [height, height + 1].contains(&gap.missing_from) && gap.missing_from > 0;
        }
        let position = (entry.height, entry.sub_index);
        let next_leaf = sub_index.checked_add(1).map(|leaf| (height, leaf));
        let first = self.index == 0 && entry.sub_index == 0;
        Some(position) == next_leaf || position == (height + 1, 0) || first
    }
}

#[cfg(test)]
mod tests;
