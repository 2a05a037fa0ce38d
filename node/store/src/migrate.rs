//! Bring a folder of an older schema version to the present one.
//!
//! A step leads from one version to the next. It is done in pieces, each one
//! atomic and synced together with the place where the next piece begins, so a
//! kill anywhere costs one piece and never leaves half of one. The last piece
//! of a step writes the new version. What the journal holds is in the
//! database's files before the first piece, so no entry of an older schema is
//! ever replayed over a newer one.
//!
//! There is no step yet: version 2 is the first that was released. A step is a
//! row in [`STEPS`] and a fixture of its version in `tests/fixtures`.
//!
//! Deliberately absent: the way back.

use std::path::Path;

use rocksdb::{DB, FlushOptions, WriteBatch, WriteOptions};

use crate::columns;
use crate::error::StoreError;
use crate::store::{family, read_error};

/// In `meta`: where the step that is under way goes on.
const PLACE_KEY: &[u8] = b"migrating";

/// One piece of a step: what it changes, and where the next one begins; nothing
/// behind the last.
pub(crate) struct Piece {
    pub(crate) changes: WriteBatch,
    pub(crate) next: Option<Vec<u8>>,
}

/// From one version to the next.
pub(crate) struct Step {
    pub(crate) from: u32,
    /// Makes the piece that begins at this place, empty for the first.
    pub(crate) piece: fn(&DB, &[u8]) -> Result<Piece, StoreError>,
}

/// Every step there is, oldest first.
pub(crate) const STEPS: &[Step] = &[];

/// The oldest version that can be brought to the present one.
pub(crate) fn oldest(steps: &[Step]) -> u32 {
    let first = steps.first().map(|step| step.from);
    first.unwrap_or(columns::SCHEMA_VERSION)
}

/// Takes all steps from `found` on; goes on where a killed process stopped.
///
/// # Errors
/// Where the disk fails. A later call goes on.
pub(crate) fn migrate(
    db: &DB,
    folder: &Path,
    mut found: u32,
    steps: &[Step],
) -> Result<(), StoreError> {
    for step in steps {
        if step.from != found {
            continue;
        }
        tracing::info!(folder = %folder.display(), from = found, "the schema is brought forward");
        flush(db)?;
        take(db, step)?;
        found += 1;
    }
    flush(db)
}

fn take(db: &DB, step: &Step) -> Result<(), StoreError> {
    let meta = family(db, columns::META);
    let read = db.get_cf(meta, PLACE_KEY);
    let mut place = read.map_err(read_error(columns::META))?.unwrap_or_default();
    loop {
        let mut piece = (step.piece)(db, &place)?;
        match &piece.next {
            Some(next) => piece.changes.put_cf(meta, PLACE_KEY, next),
            None => {
                piece.changes.delete_cf(meta, PLACE_KEY);
                let version = (step.from + 1).to_be_bytes();
                piece.changes.put_cf(meta, columns::SCHEMA_KEY, version);
            }
        }
        dctrl_crash::point("store.migrate.before_piece");
        // Not in the journal, so in RocksDB's own log.
        let mut options = WriteOptions::default();
        options.set_sync(true);
        db.write_opt(piece.changes, &options)
            .map_err(StoreError::Write)?;
        dctrl_crash::point("store.migrate.piece_written");
        match piece.next {
            Some(next) => place = next,
            None => return Ok(()),
        }
    }
}

fn flush(db: &DB) -> Result<(), StoreError> {
    let families: Vec<_> = columns::ALL
        .iter()
        .map(|(name, _)| family(db, name))
        .collect();
    let mut options = FlushOptions::default();
    options.set_wait(true);
    db.flush_cfs_opt(&families, &options)
        .map_err(StoreError::Write)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use rocksdb::{Direction, IteratorMode};

    use super::*;
    use crate::columns::number_key;
    use crate::open::read_schema;
    use crate::options::{self, Options};

    const FOLDER: &str = "DCTRL_STORE_MIGRATION_FOLDER";
    const ROWS: u64 = 7;
    const PIECE_ROWS: usize = 2;
    /// A version that never was, whose header rows have one byte less.
    const OLD: u32 = columns::SCHEMA_VERSION + 1;

    const TEST_STEPS: &[Step] = &[Step {
        from: OLD,
        piece: |db, place| {
            let headers = family(db, columns::HEADERS);
            let mut piece = Piece {
                changes: WriteBatch::default(),
                next: None,
            };
            let rows = db.iterator_cf(headers, IteratorMode::From(place, Direction::Forward));
            for (count, row) in rows.enumerate() {
                let (key, value) = row.map_err(read_error(columns::HEADERS))?;
                if count == PIECE_ROWS {
                    piece.next = Some(key.to_vec());
                    break;
                }
                piece
                    .changes
                    .put_cf(headers, key, [&value[..], b"!"].concat());
            }
            Ok(piece)
        },
    }];

    fn open(folder: &Path) -> DB {
        let options = Options::default();
        let families = options::families(&options);
        DB::open_cf_descriptors(&options::database(&options), folder, families).unwrap()
    }

    fn old(folder: &Path) {
        let db = open(folder);
        let mut changes = WriteBatch::default();
        for number in 0..ROWS {
            changes.put_cf(family(&db, columns::HEADERS), number_key(number), b"row");
        }
        changes.put_cf(
            family(&db, columns::META),
            columns::SCHEMA_KEY,
            OLD.to_be_bytes(),
        );
        db.write(changes).unwrap();
    }

    #[test]
    #[ignore = "the child of the next test; does nothing on its own"]
    fn child() {
        let Some(folder) = std::env::var_os(FOLDER) else {
            return;
        };
        let folder = Path::new(&folder);
        let db = open(folder);
        let found = read_schema(&db, folder).unwrap().unwrap();
        migrate(&db, folder, found, TEST_STEPS).unwrap();
    }

    /// Whether the child came through.
    fn run_child(folder: &Path, crash: &str) -> bool {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "migrate::tests::child", "--ignored"])
            .env(FOLDER, folder)
            .env("DCTRL_CRASH", crash)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
    }

    #[test]
    fn a_migration_that_is_killed_anywhere_goes_on_and_does_nothing_twice() {
        for point in ["store.migrate.before_piece", "store.migrate.piece_written"] {
            let mut kills = 0;
            for visit in 1.. {
                let folder = tempfile::tempdir().unwrap();
                old(folder.path());
                if run_child(folder.path(), &format!("{point}@{visit}")) {
                    break;
                }
                kills += 1;
                assert!(run_child(folder.path(), ""));
                let db = open(folder.path());
                assert_eq!(read_schema(&db, folder.path()).unwrap(), Some(OLD + 1));
                let headers = family(&db, columns::HEADERS);
                let rows: Vec<_> = db.iterator_cf(headers, IteratorMode::Start).collect();
                assert_eq!(rows.len() as u64, ROWS);
                for row in rows {
                    assert_eq!(&*row.unwrap().1, b"row!", "{point} {visit}");
                }
            }
            assert_eq!(kills, 4, "{point}: a kill for each piece");
        }
    }

    #[test]
    fn the_steps_lead_to_the_present_version_without_a_gap() {
        let mut version = oldest(STEPS);
        for step in STEPS {
            assert_eq!(step.from, version);
            version += 1;
        }
        assert_eq!(version, columns::SCHEMA_VERSION);
    }
}
