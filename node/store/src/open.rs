//! What is looked at before a folder is used: is it free, ours, and of this
//! version, and how far did it get.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;

use rocksdb::{DB, IteratorMode, WriteBatch, WriteOptions};

use crate::columns::{self, key_number};
use crate::error::StoreError;
use crate::journal::{Mark, Replay, Segments};
use crate::store::{damaged, family, read_error};
use crate::{migrate, options, records};

/// Held while the folder is open. RocksDB has a lock of its own, but tells a
/// second user only by the text of an error.
pub(crate) const LOCK_FILE: &str = "dctrl.lock";

/// The lock on a folder, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Drop for Lock {
    /// Unlocks by itself. The lock is the open file's, and a child that another
    /// thread is just forking has that open too until it begins its own program.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::debug!(%error, "the lock goes with its file");
        }
    }
}

/// Takes a folder for this process.
///
/// # Errors
/// Another one has it, or it cannot be made.
pub(crate) fn lock(folder: &Path) -> Result<Lock, StoreError> {
    let error = |source| StoreError::Folder {
        folder: folder.to_owned(),
        source,
    };
    fs::create_dir_all(folder).map_err(error)?;
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(false);
    let file = options.open(folder.join(LOCK_FILE)).map_err(error)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            folder: folder.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(error(source)),
    }
}

/// Refuses a database with column families that are not ours, before RocksDB
/// makes ours beside them.
pub(crate) fn refuse_foreign(folder: &Path, rocks: &rocksdb::Options) -> Result<(), StoreError> {
    if !folder.join("CURRENT").exists() {
        return Ok(());
    }
    records::check(folder)?;
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

/// Refuses a journal without its database: RocksDB would make an empty one.
pub(crate) fn refuse_headless(folder: &Path, journal: &Path) -> Result<(), StoreError> {
    if journal.exists() && !folder.join("CURRENT").exists() {
        return Err(damaged("database file CURRENT", 0));
    }
    Ok(())
}

fn foreign(folder: &Path, problem: String) -> StoreError {
    StoreError::Foreign {
        folder: folder.to_owned(),
        problem,
    }
}

/// The schema version of the database, which is written where it is new.
///
/// # Errors
/// Where this program cannot read that version.
pub(crate) fn check_schema(db: &DB, folder: &Path) -> Result<u32, StoreError> {
    let present = columns::SCHEMA_VERSION;
    let Some(found) = read_schema(db, folder)? else {
        write_schema(db, present)?;
        return Ok(present);
    };
    if (migrate::oldest(migrate::STEPS)..=present).contains(&found) {
        Ok(found)
    } else {
        Err(StoreError::Schema {
            folder: folder.to_owned(),
            found,
            expected: present,
        })
    }
}

/// The version that the database names; nothing in an empty one.
pub(crate) fn read_schema(db: &DB, folder: &Path) -> Result<Option<u32>, StoreError> {
    let meta = family(db, columns::META);
    let value = db
        .get_cf(meta, columns::SCHEMA_KEY)
        .map_err(read_error(columns::META))?;
    let Some(value) = value else {
        if db.iterator_cf(meta, IteratorMode::Start).next().is_some() {
            return Err(foreign(folder, "it has no schema version".to_owned()));
        }
        return Ok(None);
    };
    match value.as_slice().try_into() {
        Ok(bytes) => Ok(Some(u32::from_be_bytes(bytes))),
        Err(_) => Err(foreign(
            folder,
            "its schema version is no number".to_owned(),
        )),
    }
}

fn write_schema(db: &DB, version: u32) -> Result<(), StoreError> {
    let mut batch = WriteBatch::default();
    let meta = family(db, columns::META);
    batch.put_cf(meta, columns::SCHEMA_KEY, version.to_be_bytes());
    // No journal yet, so RocksDB's own log.
    let mut written = WriteOptions::default();
    written.set_sync(true);
    dctrl_crash::point("store.schema.before");
    db.write_opt(batch, &written).map_err(StoreError::Write)?;
    dctrl_crash::point("store.schema.written");
    Ok(())
}

/// The name of the column family with the present state.
pub(crate) fn live_state(db: &DB) -> Result<&'static str, StoreError> {
    let value = db
        .get_cf(family(db, columns::META), columns::LIVE_KEY)
        .map_err(read_error(columns::META))?;
    let position = match value.as_deref() {
        None => Some(0),
        Some([position]) => Some(usize::from(*position)),
        Some(_) => None,
    };
    let name = position.and_then(|position| columns::STATES.get(position));
    name.copied().ok_or_else(|| damaged(columns::META, 0))
}

pub(crate) fn read_number(db: &DB, key: &[u8]) -> Result<Option<u64>, StoreError> {
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

pub(crate) fn last_number(db: &DB, name: &'static str) -> Result<Option<u64>, StoreError> {
    match db.iterator_cf(family(db, name), IteratorMode::End).next() {
        Some(Ok((key, _))) => key_number(&key).map(Some).ok_or_else(|| damaged(name, 0)),
        Some(Err(source)) => Err(read_error(name)(source)),
        None => Ok(None),
    }
}

/// Brings RocksDB up to date with the journal.
pub(crate) fn replay(db: &DB, folder: &Path, mark: Mark) -> Result<Replay, StoreError> {
    let (_, first) = read_pruned(db)?;
    // The records are needed too, to know the last number.
    let segments = Segments::list(folder, first.min(mark.segment))?;
    let mut next = None;
    let found = segments.replay(true, |batch, changes| {
        if batch <= mark.batch {
            return Ok(());
        }
        if batch != next.unwrap_or(mark.batch + 1) {
            return Err(damaged("journal batch", mark.batch + 1));
        }
        next = Some(batch + 1);
        let changes = WriteBatch::from_data(changes);
        db.write_opt(changes, &options::journalled())
            .map_err(StoreError::Write)?;
        dctrl_crash::point("store.replay.batch_applied");
        Ok(())
    })?;
    if found.last_batch < mark.batch {
        return Err(damaged("journal batch", mark.batch));
    }
    Ok(found)
}

pub(crate) fn read_mark(db: &DB) -> Result<Mark, StoreError> {
    let value = db
        .get_cf(family(db, columns::META), columns::MARK_KEY)
        .map_err(read_error(columns::META))?;
    match value {
        Some(value) => Mark::decode(&value).ok_or_else(|| damaged(columns::META, 0)),
        None => Ok(Mark::default()),
    }
}

/// The last record that is not needed, and the segment where the next begins.
pub(crate) fn read_pruned(db: &DB) -> Result<(u64, u64), StoreError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_free_again_although_a_child_has_inherited_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path()).unwrap();
        // What a fork makes of it, until the child begins its own program.
        let inherited = held.0.try_clone().unwrap();
        assert!(matches!(lock(folder.path()), Err(StoreError::InUse { .. })));
        drop(held);
        lock(folder.path()).unwrap();
        drop(inherited);
    }
}
