//! Look at everything that a closed store holds, and name what is damaged.
//!
//! First the bytes: every entry of every segment of the journal, and every row
//! of every column by RocksDB's checksums. Then what they mean: headers name
//! each other, blocks and outputs are those of their headers, certificates hold
//! under the rosters that the genesis leads to, the state has the digest that
//! the last header names, and nothing is missing in between.
//!
//! The store is opened for it as at a start, so what the journal holds is
//! brought into the database, and a torn last write is dropped.
//!
//! Deliberately absent: mending. What is damaged is set aside
//! ([`crate::set_aside`]) and comes again from peers.

mod chain;
mod physical;

use std::path::Path;

use dctrl_consensus::{ClusterId, Digest, Roster};
use dctrl_ledger::StateRead;

use crate::error::{Blame, StoreError};
use crate::options::Options;
use crate::store::Store;

/// Findings that are listed; where there are more, nothing is left to save.
pub const FINDINGS_MAX: usize = 1000;

/// Where the trust in certificates begins: the federation and the roster of its
/// genesis, as the state says it. `None` leaves signatures unchecked.
pub type Trust<'t> = &'t dyn Fn(&dyn StateRead) -> Option<(ClusterId, Roster)>;

/// One damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file or the column family.
    pub place: String,
    /// The height or number in it, where it has one.
    pub number: Option<u64>,
    /// What is wrong.
    pub problem: String,
}

/// What [`check`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The last executed height; 0 before genesis, and where it is unknown.
    pub height: u64,
    /// The last height with a certificate.
    pub final_height: u64,
    /// Blocks whose header, outputs and certificate were looked at.
    pub blocks: u64,
    /// Rows of all columns.
    pub rows: u64,
    /// The digest of the state.
    pub state_digest: Option<Digest>,
    /// Everything that is damaged; empty where all is sound.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing is damaged.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    fn find(&mut self, place: &str, number: Option<u64>, problem: impl Into<String>) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding {
                place: place.to_owned(),
                number,
                problem: problem.into(),
            });
        }
    }

    /// Keeps the result, or notes why there is none.
    fn keep<T>(&mut self, place: &str, number: u64, read: Result<T, StoreError>) -> Option<T> {
        read.map_err(|error| self.find(place, Some(number), error.to_string()))
            .ok()
    }
}

/// Looks at everything in `folder`, which nobody may have open; `options` are
/// those of its owner.
///
/// # Errors
/// Where nothing can be said: there is no store, it is in use, of another
/// version or program, or the disk fails.
pub fn check(folder: &Path, options: &Options, trust: Trust<'_>) -> Result<Report, StoreError> {
    if !folder.join("CURRENT").exists() && !folder.join("journal").exists() {
        return Err(StoreError::Folder {
            folder: folder.to_owned(),
            source: std::io::ErrorKind::NotFound.into(),
        });
    }
    let mut report = Report::default();
    match Store::open(folder, options) {
        Ok(store) => {
            physical::journal(folder, &mut report);
            let sound = physical::columns(store.db(), &mut report);
            // A state that cannot be read ends the process.
            if sound {
                chain::all(&store, trust, &mut report);
            }
        }
        Err(error) if error.blame() == Blame::Damage => {
            let place = match &error {
                StoreError::JournalDamaged { path, .. } | StoreError::Journal { path, .. } => {
                    path.display().to_string()
                }
                _ => folder.display().to_string(),
            };
            report.find(&place, None, error.to_string());
            physical::unopened(folder, &mut report);
        }
        Err(error) => return Err(error),
    }
    Ok(report)
}
