//! Read everything that an open store holds, a little at a time, so that what
//! rots is found while the peers still have it.
//!
//! Every row of every column by RocksDB's checksums, then every entry of every
//! full segment of the journal. Blocks in memory are not read again from the
//! disk, and pages that the kernel holds may not be either: what is found is
//! damaged, and what is damaged is found when it has left memory.
//!
//! Deliberately absent: the pace, the mending, and what the bytes mean, at which
//! [`crate::check`] looks in a closed store.

use rocksdb::{Direction, IteratorMode, ReadOptions};

use crate::check::Finding;
use crate::columns;
use crate::error::StoreError;
use crate::journal::Segments;
use crate::store::Store;

/// A pass over a store, and how far it is.
#[derive(Debug, Default)]
pub struct Scrub {
    place: Place,
}

/// Whether a pass has come to its end; the next step begins another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scrubbed {
    /// There is more.
    Part,
    /// That was the last.
    Whole,
}

#[derive(Debug)]
enum Place {
    /// From this key on of the column at this position.
    Rows { column: usize, from: Vec<u8> },
    /// From this segment on.
    Segments { from: u64 },
}

impl Default for Place {
    fn default() -> Self {
        Self::Rows {
            column: 0,
            from: Vec::new(),
        }
    }
}

impl Scrub {
    /// Looks at so many bytes more, or at one segment, or at the rest of a
    /// column that is shorter.
    ///
    /// # Errors
    /// What is damaged; the next step goes on behind it.
    pub fn step(&mut self, store: &Store, bytes_max: usize) -> Result<Scrubbed, Finding> {
        let place = std::mem::take(&mut self.place);
        match place {
            Place::Rows { column, from } => {
                let (name, _) = columns::ALL[column];
                let (next, read) = match rows(store, name, &from, bytes_max) {
                    Ok(next) => (next, Ok(Scrubbed::Part)),
                    Err(finding) => (None, Err(finding)),
                };
                self.place = match next {
                    Some(from) => Place::Rows { column, from },
                    None if column + 1 < columns::ALL.len() => Place::Rows {
                        column: column + 1,
                        from: Vec::new(),
                    },
                    None => Place::Segments { from: 0 },
                };
                read
            }
            Place::Segments { from } => {
                let journal = store.journal_folder();
                let current = store.current_segment();
                let all = Segments::list(journal, 0).map_err(|error| finding("journal", &error))?;
                let Some(next) = all.next_from(from).filter(|next| *next < current) else {
                    return Ok(Scrubbed::Whole);
                };
                self.place = Place::Segments { from: next + 1 };
                all.check_full(next)
                    .map(|()| Scrubbed::Part)
                    .map_err(|error| finding(&format!("journal segment {next}"), &error))
            }
        }
    }
}

fn finding(place: &str, error: &StoreError) -> Finding {
    Finding {
        place: place.to_owned(),
        number: None,
        problem: error.to_string(),
    }
}

/// Reads rows from this key on; gives where to go on, where there are more.
fn rows(
    store: &Store,
    name: &'static str,
    from: &[u8],
    bytes_max: usize,
) -> Result<Option<Vec<u8>>, Finding> {
    let mut options = ReadOptions::default();
    options.set_verify_checksums(true);
    options.fill_cache(false);
    let mode = IteratorMode::From(from, Direction::Forward);
    let mut bytes = 0;
    for row in store
        .db()
        .iterator_cf_opt(store.family(name), options, mode)
    {
        // The error names the file and the place in it.
        let (key, value) = row.map_err(|error| Finding {
            place: name.to_owned(),
            number: None,
            problem: error.to_string(),
        })?;
        bytes += key.len() + value.len();
        if bytes >= bytes_max {
            return Ok(Some([&key[..], &[0]].concat()));
        }
    }
    Ok(None)
}
