//! Open a node's folder, and write to it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rocksdb::{ColumnFamily, DB, FlushOptions, IteratorMode, WriteBatch, WriteOptions};

use crate::batch::{Batch, Parts};
use crate::columns::{self, key_number, number_key};
use crate::error::StoreError;
use crate::journal::{
    self, Journal, Mark, Place, Record, Replay, Segments, entry_bytes, journal_error,
};
use crate::limits::{BATCH_BYTES_MAX, UNFLUSHED_SEGMENTS_MAX};
use crate::options::{self, Options};
use crate::snapshot::Snapshot;

/// Held while the folder is open. RocksDB has a lock of its own, but tells a
/// second user only by the text of an error.
const LOCK_FILE: &str = "dctrl.lock";

/// The journal's folder.
const JOURNAL: &str = "journal";

/// Bytes of one row that a commit adds itself: key, value and their lengths.
const ROW_BYTES_MAX: usize = 64;

/// A node's database. Clones share it; it closes with the last of them.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    db: DB,
    folder: PathBuf,
    writer: Mutex<Writer>,
    /// Batches in segments below this one are in RocksDB's files.
    flushed: AtomicU64,
    flushing: AtomicBool,
    history_bytes: u64,
    _lock: File,
}

/// Who writes next.
struct Writer {
    tip: Tip,
    journal: Journal,
    pruned: u64,
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
        let journal_folder = folder.join(JOURNAL);
        let mark = read_mark(&db)?;
        let replay = replay(&db, &journal_folder, mark)?;
        let (pruned, _) = read_pruned(&db)?;
        let tip = Tip {
            record: replay.last_record.max(pruned),
            executed: read_number(&db, columns::EXECUTED_KEY)?,
            certificate: last_number(&db, columns::CERTIFICATES)?.unwrap_or(0),
            roster: last_number(&db, columns::ROSTERS)?.unwrap_or(0),
            failed: false,
        };
        let journal = Journal::resume(&journal_folder, replay, options.sync);
        let journal = journal.map_err(journal_error(&journal_folder))?;
        tracing::info!(folder = %folder.display(), ?tip, "store opened");
        Ok(Self(Arc::new(Inner {
            db,
            folder: journal_folder,
            writer: Mutex::new(Writer {
                tip,
                journal,
                pruned,
            }),
            flushed: AtomicU64::new(mark.segment),
            flushing: AtomicBool::new(false),
            history_bytes: options.history_bytes,
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
        let mut writer = self.writer();
        if writer.tip.failed {
            return Err(StoreError::Failed);
        }
        let next = batch.check(writer.tip)?;
        let parts = batch.into_parts();
        if parts.is_empty() {
            return Ok(());
        }
        let bytes = parts.long_bytes() + parts.changes.size_in_bytes();
        if bytes > BATCH_BYTES_MAX {
            return Err(StoreError::TooLong {
                what: "a batch",
                found: bytes,
                max: BATCH_BYTES_MAX,
            });
        }
        if let Err(error) = self.write(&mut writer, parts) {
            writer.tip.failed = true;
            tracing::error!(%error, "a write failed; nothing is written until a restart");
            return Err(error);
        }
        writer.tip = next;
        self.tidy(&mut writer)
    }

    /// Into the journal, synced, and from there into RocksDB.
    fn write(&self, writer: &mut Writer, mut parts: Parts) -> Result<(), StoreError> {
        let error = || journal_error(&self.0.folder);
        let rows = (2 + parts.blocks.len()) * ROW_BYTES_MAX;
        let bytes = parts.long_bytes() + entry_bytes(parts.changes.size_in_bytes() + rows);
        let mark = writer.journal.prepare(bytes).map_err(error())?;
        let records = parts.records.iter();
        let mut before = records.map(|record| entry_bytes(record.bytes.len())).sum();
        for block in &parts.blocks {
            let place = writer.journal.place(before, block.bytes.len());
            before += entry_bytes(block.bytes.len());
            let key = number_key(block.number);
            let family = self.family(columns::BLOCKS);
            parts.changes.put_cf(family, key, place.encode());
        }
        let meta = self.family(columns::META);
        parts.changes.put_cf(meta, columns::MARK_KEY, mark.encode());
        if let Some(through) = parts.pruned {
            let first = writer.journal.first_with_record_above(through);
            let row = [through.to_be_bytes(), first.to_be_bytes()].concat();
            parts.changes.put_cf(meta, columns::PRUNED_KEY, row);
            writer.pruned = writer.pruned.max(through);
        }
        let changes = parts.changes.data();
        let written = writer.journal.write(&parts.records, &parts.blocks, changes);
        written.map_err(error())?;
        let rocks = self.0.db.write_opt(parts.changes, &options::journalled());
        rocks.map_err(StoreError::Write)
    }

    /// Lets go of old segments, and of what keeps them.
    fn tidy(&self, writer: &mut Writer) -> Result<(), StoreError> {
        let flushed = self.0.flushed.load(Ordering::SeqCst);
        let (pruned, history) = (writer.pruned, self.0.history_bytes);
        let tidied = writer.journal.prune(pruned, flushed, history);
        tidied.map_err(journal_error(&self.0.folder))?;
        if writer.journal.closed_since(flushed) > UNFLUSHED_SEGMENTS_MAX
            && !self.0.flushing.swap(true, Ordering::SeqCst)
        {
            let (store, segment) = (self.clone(), writer.journal.current());
            thread::spawn(move || store.flush(segment));
        }
        Ok(())
    }

    /// Makes RocksDB write its files; batches below `segment` are in them then.
    fn flush(&self, segment: u64) {
        let families: Vec<_> = columns::ALL
            .iter()
            .map(|(name, _)| self.family(name))
            .collect();
        match self.0.db.flush_cfs_opt(&families, &FlushOptions::default()) {
            Ok(()) => self.0.flushed.store(segment, Ordering::SeqCst),
            // The next write meets the same disk.
            Err(error) => tracing::error!(%error, "the database cannot write its files"),
        }
        self.0.flushing.store(false, Ordering::SeqCst);
    }

    /// All consensus records that are still needed, ascending, as they are on
    /// disk now. They are read from the journal while the iterator advances;
    /// call it before anything is written.
    ///
    /// # Errors
    /// Where the journal cannot be listed.
    pub fn records(&self) -> Result<Records, StoreError> {
        let (pruned, first) = read_pruned(&self.0.db)?;
        let segments = Segments::list(&self.0.folder, first)?;
        Ok(Records {
            segments: Box::new(segments.records()),
            read: Vec::new().into_iter(),
            last: pruned,
            ended: false,
        })
    }

    pub(crate) fn read_block(
        &self,
        height: u64,
        place: &[u8],
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let place = Place::decode(place).ok_or_else(|| damaged(columns::BLOCKS, height))?;
        journal::read_block(&self.0.folder, height, place)
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

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.0.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Store::records`].
pub struct Records {
    segments: Box<dyn Iterator<Item = Result<Vec<Record>, StoreError>>>,
    read: std::vec::IntoIter<Record>,
    last: u64,
    ended: bool,
}

impl Records {
    fn read_on(&mut self) -> Option<Result<Record, StoreError>> {
        loop {
            if let Some(record) = self.read.next() {
                // Those before were pruned.
                if record.0 > self.last {
                    return Some(Ok(record));
                }
                continue;
            }
            match self.segments.next()? {
                Ok(records) => self.read = records.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Iterator for Records {
    type Item = Result<(u64, Vec<u8>), StoreError>;

    /// The next record; after an error nothing more.
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let expected = self.last + 1;
        let record = self.read_on()?.and_then(|record| {
            if record.0 != expected {
                return Err(damaged("record", expected));
            }
            self.last = expected;
            Ok(record)
        });
        self.ended = record.is_err();
        Some(record)
    }
}

/// Brings RocksDB up to date with the journal.
fn replay(db: &DB, folder: &Path, mark: Mark) -> Result<Replay, StoreError> {
    let (_, first) = read_pruned(db)?;
    // The records are needed too, to know the last number.
    let segments = Segments::list(folder, first.min(mark.segment))?;
    let mut next = None;
    let found = segments.replay(|batch, changes| {
        if batch <= mark.batch {
            return Ok(());
        }
        if batch != next.unwrap_or(mark.batch + 1) {
            return Err(damaged("journal batch", mark.batch + 1));
        }
        next = Some(batch + 1);
        let changes = WriteBatch::from_data(changes);
        db.write_opt(changes, &options::journalled())
            .map_err(StoreError::Write)
    })?;
    if found.last_batch < mark.batch {
        return Err(damaged("journal batch", mark.batch));
    }
    Ok(found)
}

fn read_mark(db: &DB) -> Result<Mark, StoreError> {
    let value = db
        .get_cf(family(db, columns::META), columns::MARK_KEY)
        .map_err(read_error(columns::META))?;
    match value {
        Some(value) => Mark::decode(&value).ok_or_else(|| damaged(columns::META, 0)),
        None => Ok(Mark::default()),
    }
}

/// The last record that is not needed, and the segment where the next begins.
fn read_pruned(db: &DB) -> Result<(u64, u64), StoreError> {
    let value = db
        .get_cf(family(db, columns::META), columns::PRUNED_KEY)
        .map_err(read_error(columns::META))?;
    let row = value.as_deref().map(Mark::decode);
    match row {
        Some(Some(row)) => Ok((row.batch, row.segment)),
        Some(None) => Err(damaged(columns::META, 0)),
        None => Ok((0, 0)),
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
        // No journal yet, so RocksDB's own log.
        let mut written = WriteOptions::default();
        written.set_sync(true);
        return db.write_opt(batch, &written).map_err(StoreError::Write);
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
