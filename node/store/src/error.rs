//! What can go wrong on disk, by blame.

use std::io;
use std::path::PathBuf;

/// Why the store did not open, read or write.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process, or this one, has the folder open.
    #[error("{} is in use by another process", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder was written by another version of this program.
    #[error(
        "{} has schema version {found}, this program writes version {expected}; {}",
        folder.display(),
        if found > expected {
            "a newer program has written it, so install that one"
        } else {
            "it is older than any that can be brought forward, so set it aside and let the node \
             fetch everything from its peers"
        }
    )]
    Schema {
        /// The folder.
        folder: PathBuf,
        /// What it has.
        found: u32,
        /// What this program can read.
        expected: u32,
    },
    /// The folder holds a database that is not a node's.
    #[error("{} holds a database that is not a node's: {problem}", folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// What gave it away.
        problem: String,
    },
    /// The folder cannot be made or locked.
    #[error("{}: {source}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// RocksDB does not open the folder: damage, or rights.
    #[error("{} does not open; if it is damaged, rebuild it from the peers: {source}", folder.display())]
    Open {
        /// The folder.
        folder: PathBuf,
        /// What RocksDB said.
        source: rocksdb::Error,
    },
    /// Something could not be read.
    #[error("reading {what}: {source}")]
    Read {
        /// The column family.
        what: &'static str,
        /// What RocksDB said.
        source: rocksdb::Error,
    },
    /// The batch could not be written or synced. Nothing is accepted from now
    /// on: what is on disk is known only after the folder is opened anew.
    #[error("writing failed, and nothing is written until a restart: {0}")]
    Write(rocksdb::Error),
    /// The journal could not be read or written. After a failed write nothing
    /// is accepted, as after [`StoreError::Write`].
    #[error("the journal {}: {source}", path.display())]
    Journal {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The batch was begun before the state was taken over from peers.
    #[error("the batch belongs to a state that was replaced")]
    Outdated,
    /// The outputs below this height are not kept here.
    #[error("blocks before {first} are not kept here")]
    Pruned {
        /// The first height that is kept.
        first: u64,
    },
    /// An earlier write failed.
    #[error("an earlier write failed; nothing is written until a restart")]
    Failed,
    /// The batch skips or repeats a number.
    #[error("{what} {found} does not follow {last}")]
    Order {
        /// What is numbered.
        what: &'static str,
        /// The last one there is; 0 for none.
        last: u64,
        /// The one in the batch.
        found: u64,
    },
    /// The batch says that a height was executed, without its block or outputs.
    #[error("the batch executes height {height} without its block or outputs")]
    Incomplete {
        /// The height.
        height: u64,
    },
    /// The batch or a name in it is over its limit.
    #[error("{what} of {found} bytes, more than {max}")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// How long it is, bytes.
        found: usize,
        /// The limit, bytes.
        max: usize,
    },
    /// The journal is damaged before its end: behind this place stands what was
    /// promised, and it cannot be reached.
    #[error("the journal {} is damaged at byte {offset}: {what}", path.display())]
    JournalDamaged {
        /// The file.
        path: PathBuf,
        /// Where the last whole batch before the damage ends.
        offset: u64,
        /// What gave it away.
        what: &'static str,
    },
    /// A value on disk is not what this crate writes.
    #[error("{what} {number} is damaged or missing")]
    Damaged {
        /// The column family.
        what: &'static str,
        /// Its number or height.
        number: u64,
    },
}

/// Who is to blame for a [`StoreError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The disk fails or is full. The process ends; a later start may succeed.
    Disk,
    /// What is on the disk is not what was written: it is to be rebuilt.
    Damage,
    /// A caller, another process or another version.
    Other,
}

impl StoreError {
    /// Who is to blame.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::Folder { .. } | Self::Failed => Blame::Disk,
            // A file that ends too early or is not there is no fault of the disk.
            Self::Journal { source, .. } => match source.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound => Blame::Damage,
                _ => Blame::Disk,
            },
            Self::Open { source, .. } | Self::Read { source, .. } | Self::Write(source) => {
                match source.kind() {
                    // RocksDB calls a file that is not there an error of the disk.
                    rocksdb::ErrorKind::IOError if !is_missing(source) => Blame::Disk,
                    _ => Blame::Damage,
                }
            }
            Self::JournalDamaged { .. } | Self::Damaged { .. } => Blame::Damage,
            _ => Blame::Other,
        }
    }
}

/// Whether RocksDB misses a file of its own; only its text tells.
fn is_missing(error: &rocksdb::Error) -> bool {
    AsRef::<str>::as_ref(error).contains("No such file or directory")
}
