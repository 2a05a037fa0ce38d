//! Open a node's folder, and write to it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;

use rocksdb::{ColumnFamily, DB, FlushOptions, WriteBatch};

use crate::batch::{Batch, Part, Parts};
use crate::columns::{self, number_key};
use crate::error::StoreError;
use crate::journal::{self, BlockRow, Journal, Long, Record, Segments, entry_bytes, journal_error};
use crate::limits::{BATCH_BYTES_MAX, UNFLUSHED_SEGMENTS_MAX};
use crate::migrate;
use crate::open::{
    Lock, check_schema, last_number, live_state, lock, read_mark, read_number, read_pruned,
    refuse_foreign, refuse_headless, replay,
};
use crate::options::{self, Options};
use crate::snapshot::Snapshot;

/// The journal's folder.
pub(crate) const JOURNAL: &str = "journal";

/// Bytes of one row that a commit adds itself: key, value and their lengths.
const ROW_BYTES_MAX: usize = 64;

/// A node's database. Clones share it; it closes with the last of them.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    db: DB,
    /// The database's.
    home: PathBuf,
    /// The journal's.
    folder: PathBuf,
    writer: Mutex<Writer>,
    /// Written only while a state that was taken over becomes the present one.
    live: RwLock<Live>,
    /// Batches in segments below this one are in RocksDB's files.
    flushed: AtomicU64,
    flushing: AtomicBool,
    history_bytes: u64,
    _lock: Lock,
}

/// Which column family holds the state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Live {
    pub(crate) state: &'static str,
    /// Grows with each state that is taken over.
    pub(crate) generation: u64,
}

/// Who writes next.
pub(crate) struct Writer {
    pub(crate) tip: Tip,
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
    /// Outputs are kept from this height on.
    pub(crate) first_block: u64,
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
        refuse_headless(folder, &folder.join(JOURNAL))?;
        let open_error = |source| StoreError::Open {
            folder: folder.to_owned(),
            source,
        };
        let families = options::families(options);
        let db = DB::open_cf_descriptors(&rocks, folder, families).map_err(open_error)?;
        let schema = check_schema(&db, folder)?;
        let journal_folder = folder.join(JOURNAL);
        let mark = read_mark(&db)?;
        let replay = replay(&db, &journal_folder, mark)?;
        if schema != columns::SCHEMA_VERSION {
            migrate::migrate(&db, folder, schema, migrate::STEPS)?;
        }
        let (pruned, _) = read_pruned(&db)?;
        let tip = Tip {
            record: replay.last_record.max(pruned),
            executed: read_number(&db, columns::EXECUTED_KEY)?,
            certificate: last_number(&db, columns::CERTIFICATES)?.unwrap_or(0),
            roster: last_number(&db, columns::ROSTERS)?.unwrap_or(0),
            first_block: read_number(&db, columns::FIRST_BLOCK_KEY)?.unwrap_or(1),
            failed: false,
        };
        let journal = Journal::resume(&journal_folder, replay, tip.record, options);
        let mut journal = journal.map_err(journal_error(&journal_folder))?;
        journal.forget(pruned);
        tracing::info!(folder = %folder.display(), ?tip, "store opened");
        let live = Live {
            state: live_state(&db)?,
            generation: 0,
        };
        Ok(Self(Arc::new(Inner {
            db,
            home: folder.to_owned(),
            live: RwLock::new(live),
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
        if batch.is_outdated(self.live().generation) {
            return Err(StoreError::Outdated);
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
        self.write(&mut writer, parts)?;
        writer.tip = next;
        self.tidy(&mut writer)
    }

    /// Forgets headers, outputs and certificates below this height, and where
    /// their blocks are. Subscribers that lack them then get them elsewhere.
    /// Heights from the last final one on stay.
    ///
    /// # Errors
    /// Where the disk fails: then nothing more is written until a restart.
    pub fn prune_blocks(&self, below: u64) -> Result<(), StoreError> {
        let mut writer = self.writer();
        if writer.tip.failed {
            return Err(StoreError::Failed);
        }
        let below = below.min(writer.tip.certificate);
        if below <= writer.tip.first_block {
            return Ok(());
        }
        let mut parts = Parts::default();
        let from = writer.tip.first_block.saturating_sub(1);
        self.forget_blocks(&mut parts.changes, from, below);
        let (meta, first) = (self.family(columns::META), number_key(below));
        parts.changes.put_cf(meta, columns::FIRST_BLOCK_KEY, first);
        dctrl_crash::point("store.prune.before");
        self.write(&mut writer, parts)?;
        dctrl_crash::point("store.prune.after");
        writer.tip.first_block = below;
        Ok(())
    }

    /// Removes everything of the heights from `from` to before `to`.
    pub(crate) fn forget_blocks(&self, changes: &mut WriteBatch, from: u64, to: u64) {
        let (from, to) = (number_key(from), number_key(to));
        for name in [
            columns::BLOCKS,
            columns::HEADERS,
            columns::OUTPUTS,
            columns::CERTIFICATES,
        ] {
            changes.delete_range_cf(self.family(name), from, to);
        }
    }

    /// Makes the other state the present one, together with `changes`, the
    /// record behind the last one, and the tip that `next` makes, in one synced
    /// write.
    pub(crate) fn swap_state(
        &self,
        mut changes: WriteBatch,
        record: Option<(u64, &[u8])>,
        next: impl FnOnce(&mut Tip),
    ) -> Result<(), StoreError> {
        // What the journal does not have must be in RocksDB's files first.
        dctrl_crash::point("store.swap.before_flush");
        self.flush_now()?;
        dctrl_crash::point("store.swap.flushed");
        let mut writer = self.writer();
        if writer.tip.failed {
            return Err(StoreError::Failed);
        }
        // Nobody takes a snapshot between the write and the change of name.
        let mut live = self.0.live.write().unwrap_or_else(PoisonError::into_inner);
        let other = u8::from(live.state == columns::STATES[0]);
        changes.put_cf(self.family(columns::META), columns::LIVE_KEY, [other]);
        let mut parts = Parts {
            changes,
            ..Parts::default()
        };
        if let Some((number, bytes)) = record {
            let last = writer.tip.record;
            if number != last + 1 {
                let (what, found) = ("record", number);
                return Err(StoreError::Order { what, last, found });
            }
            let bytes = bytes.to_vec();
            parts.records.push(Long { number, bytes });
        }
        self.write(&mut writer, parts)?;
        dctrl_crash::point("store.swap.written");
        writer.tip.record += u64::from(record.is_some());
        next(&mut writer.tip);
        live.state = columns::STATES[usize::from(other)];
        live.generation += 1;
        Ok(())
    }

    /// Writes to where nobody looks yet. Not in the journal: what a crash
    /// takes of it comes again from peers.
    pub(crate) fn write_aside(&self, changes: WriteBatch) -> Result<(), StoreError> {
        let written = self.0.db.write_opt(changes, &options::journalled());
        written.map_err(|error| {
            self.writer().tip.failed = true;
            StoreError::Write(error)
        })
    }

    /// Writes, or closes the store for writing.
    fn write(&self, writer: &mut Writer, parts: Parts) -> Result<(), StoreError> {
        self.write_parts(writer, parts).inspect_err(|error| {
            writer.tip.failed = true;
            tracing::error!(%error, "a write failed; nothing is written until a restart");
        })
    }

    /// Into the journal, synced, and from there into RocksDB.
    fn write_parts(&self, writer: &mut Writer, mut parts: Parts) -> Result<(), StoreError> {
        let error = || journal_error(&self.0.folder);
        let of_records = parts.blocks_of_records.iter();
        let of_records = of_records.map(|(_, parts)| BlockRow::bytes_of_records(parts.len()));
        let of_records: usize = of_records.map(|bytes| bytes + ROW_BYTES_MAX).sum();
        let rows = (2 + parts.blocks.len()) * ROW_BYTES_MAX + of_records;
        let bytes = parts.long_bytes() + entry_bytes(parts.changes.size_in_bytes() + rows);
        let mark = writer.journal.prepare(bytes).map_err(error())?;
        let mut before = writer.journal.place_records(&parts.records);
        let blocks = self.family(columns::BLOCKS);
        for block in &parts.blocks {
            let row = BlockRow::Own(writer.journal.place(before, block.bytes.len()));
            before += entry_bytes(block.bytes.len());
            let key = number_key(block.number);
            parts.changes.put_cf(blocks, key, row.encode());
        }
        for (height, of_records) in &parts.blocks_of_records {
            let row = block_row(&writer.journal, of_records)?;
            let key = number_key(*height);
            parts.changes.put_cf(blocks, key, row.encode());
        }
        let meta = self.family(columns::META);
        parts.changes.put_cf(meta, columns::MARK_KEY, mark.encode());
        if let Some(through) = parts.pruned {
            let first = writer.journal.first_with_record_above(through);
            let row = [through.to_be_bytes(), first.to_be_bytes()].concat();
            parts.changes.put_cf(meta, columns::PRUNED_KEY, row);
            writer.pruned = writer.pruned.max(through);
            writer.journal.forget(through);
        }
        let changes = parts.changes.data();
        let written = writer.journal.write(&parts.records, &parts.blocks, changes);
        written.map_err(error())?;
        let rocks = self.0.db.write_opt(parts.changes, &options::journalled());
        rocks.map_err(StoreError::Write)?;
        dctrl_crash::point("store.commit.applied");
        Ok(())
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
        dctrl_crash::point("store.flush.before");
        let flushed = self.flush_now();
        dctrl_crash::point("store.flush.after");
        match flushed {
            Ok(()) => self.0.flushed.store(segment, Ordering::SeqCst),
            // Nobody knows what the disk holds, so nothing is tried again.
            Err(error) => {
                tracing::error!(%error, "the database cannot write its files");
                self.writer().tip.failed = true;
            }
        }
        self.0.flushing.store(false, Ordering::SeqCst);
    }

    /// Makes RocksDB write its files, and waits for it.
    fn flush_now(&self) -> Result<(), StoreError> {
        let families: Vec<_> = columns::ALL
            .iter()
            .map(|(name, _)| self.family(name))
            .collect();
        let flushed = self.0.db.flush_cfs_opt(&families, &FlushOptions::default());
        flushed.map_err(StoreError::Write)
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
        row: &[u8],
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let row = BlockRow::decode(row).ok_or_else(|| damaged(columns::BLOCKS, height))?;
        journal::read_block(&self.0.folder, height, &row)
    }

    /// Everything as it is now, unmoved by later commits. A snapshot keeps old
    /// versions on disk, so it is for one answer, not for long.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<'_> {
        // Held so that the state does not change its name in between.
        let live = self.0.live.read().unwrap_or_else(PoisonError::into_inner);
        Snapshot::new(self, self.0.db.snapshot(), live.state)
    }

    pub(crate) fn live(&self) -> Live {
        *self.0.live.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The database, for what only one module does with it.
    pub(crate) fn db(&self) -> &DB {
        &self.0.db
    }

    /// The folder of the journal.
    pub(crate) fn journal_folder(&self) -> &Path {
        &self.0.folder
    }

    /// The segment that is being written.
    pub(crate) fn current_segment(&self) -> u64 {
        self.writer().journal.current()
    }

    /// The folder of the database.
    pub(crate) fn home(&self) -> &Path {
        &self.0.home
    }

    /// The column family of this name, which is one of [`columns::ALL`].
    pub(crate) fn family(&self, name: &'static str) -> &ColumnFamily {
        family(&self.0.db, name)
    }

    pub(crate) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.0.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The row of a block whose transactions these records hold.
fn block_row(journal: &Journal, parts: &[Part]) -> Result<BlockRow, StoreError> {
    let part = |part: &Part| {
        let place = journal.place_of(part.record);
        let place = place.ok_or_else(|| damaged("record", part.record))?;
        Ok((place, part.bytes as u64))
    };
    let parts = parts.iter().map(part).collect::<Result<_, StoreError>>();
    parts.map(BlockRow::OfRecords)
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

pub(crate) fn read_error(what: &'static str) -> impl Fn(rocksdb::Error) -> StoreError {
    move |source| StoreError::Read { what, source }
}

pub(crate) fn damaged(what: &'static str, number: u64) -> StoreError {
    StoreError::Damaged { what, number }
}

pub(crate) fn family<'d>(db: &'d DB, name: &'static str) -> &'d ColumnFamily {
    db.cf_handle(name)
        .expect("every column family was opened with the database")
}
