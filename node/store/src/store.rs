//! Open a node's folder, and write to it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rocksdb::{ColumnFamily, DB, DBIterator, Direction, IteratorMode, WriteBatch};

use crate::batch::Batch;
use crate::columns::{self, key_number, number_key};
use crate::error::StoreError;
use crate::limits::BATCH_BYTES_MAX;
use crate::options::{self, Options};
use crate::snapshot::Snapshot;

/// Held while the folder is open. RocksDB has a lock of its own, but tells a
/// second user only by the text of an error.
const LOCK_FILE: &str = "dctrl.lock";

/// A node's database. Clones share it; it closes with the last of them.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    db: DB,
    tip: Mutex<Tip>,
    sync: bool,
    _lock: File,
}

/// The last number of everything that has no gaps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tip {
    pub(crate) record: u64,
    /// `None` before genesis.
    pub(crate) executed: Option<u64>,
    pub(crate) certificate: u64,
    /// 0 for the roster of the genesis.
    pub(crate) roster: u64,
    /// A write failed: what is on disk is unknown.
    failed: bool,
}

impl Store {
    /// Opens the database in `folder`, making it where there is none.
    ///
    /// # Errors
    /// Where the folder is in use, damaged, or of another version or program.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, StoreError> {
        let lock = lock(folder)?;
        let rocks = options::database(options);
        refuse_foreign(folder, &rocks)?;
        let open_error = |source| StoreError::Open {
            folder: folder.to_owned(),
            source,
        };
        let families = options::families(options);
        let db = DB::open_cf_descriptors(&rocks, folder, families).map_err(open_error)?;
        check_schema(&db, folder)?;
        let tip = Tip {
            record: last_number(&db, columns::RECORDS)?.unwrap_or(0),
            executed: read_number(&db, columns::EXECUTED_KEY)?,
            certificate: last_number(&db, columns::CERTIFICATES)?.unwrap_or(0),
            roster: last_number(&db, columns::ROSTERS)?.unwrap_or(0),
            failed: false,
        };
        tracing::info!(folder = %folder.display(), ?tip, "store opened");
        Ok(Self(Arc::new(Inner {
            db,
            tip: Mutex::new(tip),
            sync: options.sync,
            _lock: lock,
        })))
    }

    /// An empty batch.
    #[must_use]
    pub fn begin(&self) -> Batch {
        Batch::new(self.clone())
    }

    /// Writes all of `batch`, or nothing, and returns when it is synced.
    ///
    /// # Errors
    /// Where the batch is too long or would make a gap: then nothing happened.
    /// Where the disk fails: then nothing more is written until a restart.
    pub fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        // Held while writing, so that two batches cannot both be the next one.
        let mut tip = self.tip();
        if tip.failed {
            return Err(StoreError::Failed);
        }
        let next = batch.check(*tip)?;
        let changes = batch.into_changes();
        let bytes = changes.size_in_bytes();
        if bytes > BATCH_BYTES_MAX {
            return Err(StoreError::TooLong {
                what: "a batch",
                found: bytes,
                max: BATCH_BYTES_MAX,
            });
        }
        if let Err(error) = self.0.db.write_opt(changes, &options::written(self.0.sync)) {
            tip.failed = true;
            tracing::error!(%error, "a write failed; nothing is written until a restart");
            return Err(StoreError::Write(error));
        }
        *tip = next;
        Ok(())
    }

    /// All consensus records, ascending from 1, as they are on disk now. They
    /// are read one by one while the iterator advances.
    #[must_use]
    pub fn records(&self) -> Records<'_> {
        let start = number_key(0);
        let mode = IteratorMode::From(&start, Direction::Forward);
        let family = self.family(columns::RECORDS);
        Records {
            iterator: self.0.db.iterator_cf(family, mode),
            last: 0,
            ended: false,
        }
    }

    /// Everything as it is now, unmoved by later commits. A snapshot keeps old
    /// versions on disk, so it is for one answer, not for long.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<'_> {
        Snapshot::new(self, self.0.db.snapshot())
    }

    /// The column family of this name, which is one of [`columns::ALL`].
    pub(crate) fn family(&self, name: &'static str) -> &ColumnFamily {
        family(&self.0.db, name)
    }

    fn tip(&self) -> MutexGuard<'_, Tip> {
        self.0.tip.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Store::records`].
pub struct Records<'s> {
    iterator: DBIterator<'s>,
    last: u64,
    ended: bool,
}

impl Iterator for Records<'_> {
    type Item = Result<(u64, Vec<u8>), StoreError>;

    /// The next record; after an error nothing more.
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.iterator.next()?;
        let expected = self.last + 1;
        let record = next
            .map_err(read_error(columns::RECORDS))
            .and_then(|(key, bytes)| {
                if key_number(&key) != Some(expected) {
                    return Err(damaged(columns::RECORDS, expected));
                }
                self.last = expected;
                Ok((expected, bytes.into_vec()))
            });
        self.ended = record.is_err();
        Some(record)
    }
}

pub(crate) fn read_error(what: &'static str) -> impl Fn(rocksdb::Error) -> StoreError {
    move |source| StoreError::Read { what, source }
}

pub(crate) fn damaged(what: &'static str, number: u64) -> StoreError {
    StoreError::Damaged { what, number }
}

fn family<'d>(db: &'d DB, name: &'static str) -> &'d ColumnFamily {
    db.cf_handle(name)
        .expect("every column family was opened with the database")
}

fn lock(folder: &Path) -> Result<File, StoreError> {
    let error = |source| StoreError::Folder {
        folder: folder.to_owned(),
        source,
    };
    fs::create_dir_all(folder).map_err(error)?;
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(false);
    let file = options.open(folder.join(LOCK_FILE)).map_err(error)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            folder: folder.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(error(source)),
    }
}

/// Refuses a database with column families that are not ours, before RocksDB
/// makes ours beside them.
fn refuse_foreign(folder: &Path, rocks: &rocksdb::Options) -> Result<(), StoreError> {
    if !folder.join("CURRENT").exists() {
        return Ok(());
    }
    let found = DB::list_cf(rocks, folder).map_err(|source| StoreError::Open {
        folder: folder.to_owned(),
        source,
    })?;
    let ours = |name: &String| name == "default" || columns::ALL.iter().any(|(own, _)| own == name);
    match found.iter().find(|name| !ours(name)) {
        Some(name) => Err(foreign(folder, format!("it has the column family {name}"))),
        None => Ok(()),
    }
}

fn foreign(folder: &Path, problem: String) -> StoreError {
    StoreError::Foreign {
        folder: folder.to_owned(),
        problem,
    }
}

/// Compares the schema version, and writes it where the database is new.
fn check_schema(db: &DB, folder: &Path) -> Result<(), StoreError> {
    let meta = family(db, columns::META);
    let expected = columns::SCHEMA_VERSION;
    let value = db
        .get_cf(meta, columns::SCHEMA_KEY)
        .map_err(read_error(columns::META))?;
    let Some(value) = value else {
        if db.iterator_cf(meta, IteratorMode::Start).next().is_some() {
            return Err(foreign(folder, "it has no schema version".to_owned()));
        }
        let mut batch = WriteBatch::default();
        batch.put_cf(meta, columns::SCHEMA_KEY, expected.to_be_bytes());
        return db
            .write_opt(batch, &options::written(true))
            .map_err(StoreError::Write);
    };
    match value.as_slice().try_into().map(u32::from_be_bytes) {
        Ok(found) if found == expected => Ok(()),
        Ok(found) => Err(StoreError::Schema {
            folder: folder.to_owned(),
            found,
            expected,
        }),
        Err(_) => Err(foreign(
            folder,
            "its schema version is no number".to_owned(),
        )),
    }
}

fn read_number(db: &DB, key: &[u8]) -> Result<Option<u64>, StoreError> {
    let value = db
        .get_cf(family(db, columns::META), key)
        .map_err(read_error(columns::META))?;
    match value {
        Some(value) => match key_number(&value) {
            Some(number) => Ok(Some(number)),
            None => Err(damaged(columns::META, 0)),
        },
        None => Ok(None),
    }
}

fn last_number(db: &DB, name: &'static str) -> Result<Option<u64>, StoreError> {
    match db.iterator_cf(family(db, name), IteratorMode::End).next() {
        Some(Ok((key, _))) => key_number(&key).map(Some).ok_or_else(|| damaged(name, 0)),
        Some(Err(source)) => Err(read_error(name)(source)),
        None => Ok(None),
    }
}
