//! What survives a power cut: two alternating files of append-only records.
//!
//! A folder holds `a.journal` and `b.journal`. The newer one begins with a
//! summary of everything before it and goes on with one record a line; when
//! it is long enough, or when its last line is torn, the other file is written
//! anew with a summary and takes over. No byte is ever overwritten in place.
//!
//! A line is `<length> <crc32> <chain> <record>\n`: length and CRC-32 of the
//! record in JSON as 8 hex digits each, and a chain of SHA-256 over all
//! records since the summary as 64. The CRC finds a torn line, the chain one
//! that is stale or in the wrong place.
//!
//! Beside them the file `tip` says how far the newer one was written, so that a
//! lost end is noticed. An append is synced before it returns. After a failed write or sync the
//! journal refuses everything, because nobody knows what the disk holds.

mod file;
pub mod image;
mod line;
mod tip;

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::machine::{Durable, Record};

use file::{Found, inspect};
use line::{CHAIN_START, Chain, encode};
use tip::{Place, Tip};

/// The first record of a file: everything that was before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Summary {
    /// Grows by one with each file.
    generation: u64,
    durable: Durable,
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk or the path.
    #[error("journal {path}: {source}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A record before the last one is damaged: what it said is lost.
    #[error("journal {path} is damaged at byte {offset}; reset the machine and remove the journal")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: usize,
    },
    /// Another agent holds it.
    #[error("journal {0} is in use by another agent")]
    Busy(PathBuf),
    /// An earlier write failed.
    #[error("the journal refuses everything after a failed write")]
    Failed,
}

/// The open journal.
pub struct Journal {
    folder: PathBuf,
    file: File,
    path: PathBuf,
    chain: Chain,
    generation: u64,
    length: u64,
    tip: Tip,
    bytes_max: u64,
    failed: bool,
    /// What the records so far add up to: the next file's summary.
    durable: Durable,
    /// Held as long as the journal is open.
    _lock: nix::fcntl::Flock<File>,
}

const NAMES: [&str; 2] = ["a.journal", "b.journal"];

impl Journal {
    /// Opens or creates the journal in `folder`; the file in use is exchanged
    /// once it is longer than `bytes_max`.
    ///
    /// # Errors
    /// The disk, another agent, or damage that is not a torn end.
    pub fn open(folder: &Path, bytes_max: u64) -> Result<(Self, Durable), JournalError> {
        fs::create_dir_all(folder).map_err(at(folder))?;
        let lock = lock(folder)?;
        let mut newest: Option<(Found, PathBuf)> = None;
        let mut damage = None;
        for name in NAMES {
            let path = folder.join(name);
            match inspect(&path)? {
                None => {}
                Some(Ok(found)) => {
                    let newer = newest
                        .as_ref()
                        .is_none_or(|(old, _)| old.generation < found.generation);
                    if newer {
                        newest = Some((found, path));
                    }
                }
                Some(Err(offset)) => damage = Some(JournalError::Damaged { path, offset }),
            }
        }
        // A file becomes visible whole or not at all, so a damaged one may be
        // the newer one whatever the other one says.
        if let Some(damage) = damage {
            return Err(damage);
        }
        refuse_lost_end(folder, newest.as_ref())?;
        let tip = Tip::open(folder).map_err(at(folder))?;
        let (durable, generation) = match &newest {
            Some((found, _)) => (found.durable.clone(), found.generation),
            None => (Durable::default(), 0),
        };
        if let Some((found, path)) = newest
            && !found.torn
        {
            let file = File::options()
                .append(true)
                .open(&path)
                .map_err(at(&path))?;
            let journal = Self {
                folder: folder.to_owned(),
                length: found.length,
                tip,
                file,
                path,
                chain: found.chain,
                generation,
                bytes_max,
                failed: false,
                durable: durable.clone(),
                _lock: lock,
            };
            return Ok((journal, durable));
        }
        let (file, path, chain, length) = begin(folder, generation + 1, &durable)?;
        let journal = Self {
            folder: folder.to_owned(),
            file,
            path,
            chain,
            generation: generation + 1,
            length,
            tip,
            bytes_max,
            failed: false,
            durable: durable.clone(),
            _lock: lock,
        };
        journal.note()?;
        Ok((journal, durable))
    }

    fn note(&self) -> Result<(), JournalError> {
        let place = Place {
            generation: self.generation,
            length: self.length,
        };
        self.tip.note(place).map_err(at(&self.path))
    }

    /// Appends a record and syncs it.
    ///
    /// # Errors
    /// The disk; then, and ever after, the journal is of no use.
    pub fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        if self.failed {
            return Err(JournalError::Failed);
        }
        self.failed = true;
        self.durable.apply(record);
        let kind = record.kind();
        dctrl_crash::point(&format!("agent.before_{kind}_sync"));
        if self.length > self.bytes_max {
            let (file, path, chain, length) =
                begin(&self.folder, self.generation + 1, &self.durable)?;
            self.generation += 1;
            (self.file, self.path, self.chain, self.length) = (file, path, chain, length);
        } else {
            let (line, chain) = encode(&self.chain, record).map_err(at(&self.path))?;
            dctrl_crash::torn(&format!("agent.{kind}_half_written"), || {
                let _ = self.file.write_all(&line[..line.len() / 2]);
                let _ = self.file.sync_data();
            });
            self.file.write_all(&line).map_err(at(&self.path))?;
            self.file.sync_data().map_err(at(&self.path))?;
            self.chain = chain;
            self.length += line.len() as u64;
        }
        dctrl_crash::point(&format!("agent.after_{kind}_sync"));
        self.note()?;
        self.failed = false;
        Ok(())
    }
}

/// Refuses a journal that ends before what was noted of it.
fn refuse_lost_end(folder: &Path, newest: Option<&(Found, PathBuf)>) -> Result<(), JournalError> {
    let ends = newest.map_or(Place::default(), |(found, _)| Place {
        generation: found.generation,
        length: found.length,
    });
    if ends >= tip::read(folder) {
        return Ok(());
    }
    Err(JournalError::Damaged {
        path: newest.map_or_else(|| tip::path(folder), |(_, path)| path.clone()),
        offset: usize::try_from(ends.length).unwrap_or(usize::MAX),
    })
}

/// Writes the file of a new generation beside the old one, and only gives it
/// its name when it is whole.
fn begin(
    folder: &Path,
    generation: u64,
    durable: &Durable,
) -> Result<(File, PathBuf, Chain, u64), JournalError> {
    let path = folder.join(NAMES[usize::from(generation.is_multiple_of(2))]);
    let draft = path.with_extension("draft");
    let summary = Summary {
        generation,
        durable: durable.clone(),
    };
    let (line, chain) = encode(&CHAIN_START, &summary).map_err(at(&draft))?;
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&draft)(error)),
        _ => {}
    }
    let mut file = File::options()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .map_err(at(&draft))?;
    dctrl_crash::point("agent.before_summary_sync");
    dctrl_crash::torn("agent.summary_half_written", || {
        let _ = file.write_all(&line[..line.len() / 2]);
    });
    file.write_all(&line).map_err(at(&draft))?;
    file.sync_all().map_err(at(&draft))?;
    dctrl_crash::point("agent.after_summary_sync");
    fs::rename(&draft, &path).map_err(at(&path))?;
    dctrl_crash::point("agent.after_summary_named");
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(at(folder))?;
    Ok((file, path, chain, line.len() as u64))
}

/// Two agents with one journal would each pulse.
fn lock(folder: &Path) -> Result<nix::fcntl::Flock<File>, JournalError> {
    let path = folder.join("lock");
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(at(&path))?;
    nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock)
        .map_err(|_| JournalError::Busy(folder.to_owned()))
}

fn at(path: &Path) -> impl Fn(io::Error) -> JournalError + use<'_> {
    move |source| JournalError::Io {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
