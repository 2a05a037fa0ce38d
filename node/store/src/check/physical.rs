//! The bytes, whatever they mean.

use std::path::Path;

use rocksdb::{DB, IteratorMode, ReadOptions};

use super::Report;
use crate::error::StoreError;
use crate::journal::Segments;
use crate::options::{self, Options};
use crate::store::{JOURNAL, family};
use crate::{columns, records};

/// Every entry of every segment, those with nothing but old blocks too.
pub(super) fn journal(folder: &Path, report: &mut Report) {
    let folder = folder.join(JOURNAL);
    let read = Segments::list(&folder, 0).and_then(|all| all.replay(false, |_, _| Ok(())));
    if let Err(error) = read {
        let place = match &error {
            StoreError::JournalDamaged { path, .. } | StoreError::Journal { path, .. } => path,
            _ => &folder,
        };
        report.find(&place.display().to_string(), None, error.to_string());
    }
}

/// Every row of every column; whether all can be read.
pub(super) fn columns(db: &DB, report: &mut Report) -> bool {
    let before = report.findings.len();
    for (name, _) in columns::ALL {
        let mut options = ReadOptions::default();
        options.set_verify_checksums(true);
        options.fill_cache(false);
        let rows = db.iterator_cf_opt(family(db, name), options, IteratorMode::Start);
        for row in rows {
            match row {
                Ok((key, _)) => {
                    report.rows += 1;
                    // Filters are read only by a look for a single row, in
                    // pieces of many rows.
                    let looked = db.get_pinned_cf(family(db, name), key);
                    if let Err(error) = looked {
                        report.find(name, None, error.to_string());
                        break;
                    }
                }
                // The error names the file and the place in it.
                Err(error) => {
                    report.find(name, None, error.to_string());
                    break;
                }
            }
        }
    }
    filters(db, report);
    report.findings.len() == before
}

/// The filters of the tables, which only a look for a single row reads: one in
/// each table.
fn filters(db: &DB, report: &mut Report) {
    let tables = match db.live_files() {
        Ok(tables) => tables,
        Err(error) => return report.find("database", None, error.to_string()),
    };
    for table in tables {
        let known = columns::ALL
            .into_iter()
            .find(|(name, _)| *name == table.column_family_name);
        if let (Some((name, _)), Some(key)) = (known, table.start_key)
            && let Err(error) = db.get_pinned_cf(family(db, name), key)
        {
            report.find(&table.name, None, error.to_string());
        }
    }
}

/// What can be looked at although the store does not open.
pub(super) fn unopened(folder: &Path, report: &mut Report) {
    let options = Options::default();
    let (rocks, families) = (options::reading(&options), options::families(&options));
    if records::check(folder).is_ok()
        && let Ok(db) = DB::open_cf_descriptors_read_only(&rocks, folder, families, false)
    {
        columns(&db, report);
    }
    let before = report.findings.first().map(|first| first.problem.clone());
    let mut of_journal = Report::default();
    journal(folder, &mut of_journal);
    // The store may have stumbled over the same.
    let findings = of_journal.findings.into_iter();
    let others = findings.filter(|finding| before.as_ref() != Some(&finding.problem));
    report.findings.extend(others);
}
