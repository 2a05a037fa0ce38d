//! Read everything at one height.

use dctrl_ledger::StateRead;
use rocksdb::{Direction, IteratorMode, ReadOptions};

use crate::columns::{self, cursor_key, key_number, number_key};
use crate::error::StoreError;
use crate::leaves;
use crate::limits::{ROSTER_STEPS_BYTES_MAX, ROSTER_STEPS_MAX};
use crate::store::{Store, damaged, read_error};

/// A key and its value.
pub(crate) type Entry = (Box<[u8]>, Box<[u8]>);

/// An answer of [`Snapshot::roster_steps`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RosterSteps {
    /// Oldest first.
    pub steps: Vec<Vec<u8>>,
    /// There are more after the last one.
    pub more: bool,
}

/// The store as it was when the snapshot was taken.
///
/// As [`StateRead`] it has no way to report that the disk cannot be read, and
/// a ledger that went on with a missing value would diverge from the other
/// nodes: the process then ends with a message. All other reads return errors.
pub struct Snapshot<'s> {
    store: &'s Store,
    snapshot: rocksdb::Snapshot<'s>,
    /// For reading one value in the snapshot; made once, since a block reads
    /// very many.
    one: ReadOptions,
    /// The column family of the state.
    state: &'static str,
}

impl<'s> Snapshot<'s> {
    pub(crate) fn new(
        store: &'s Store,
        snapshot: rocksdb::Snapshot<'s>,
        state: &'static str,
    ) -> Self {
        let mut one = ReadOptions::default();
        one.set_snapshot(&snapshot);
        Self {
            store,
            snapshot,
            one,
            state,
        }
    }

    /// The height of the state: the last block that was executed. 0 is the
    /// state of genesis, `None` a store without one.
    ///
    /// # Errors
    /// Where the disk cannot be read or holds something else.
    pub fn executed(&self) -> Result<Option<u64>, StoreError> {
        let Some(value) = self.read(columns::META, columns::EXECUTED_KEY)? else {
            return Ok(None);
        };
        let height = key_number(&value).ok_or_else(|| damaged(columns::META, 0))?;
        Ok(Some(height))
    }

    /// As [`Snapshot::executed`], with 0 before genesis too.
    ///
    /// # Errors
    /// Where the disk cannot be read or holds something else.
    pub fn height(&self) -> Result<u64, StoreError> {
        Ok(self.executed()?.unwrap_or(0))
    }

    /// The first height whose block and outputs are kept; more than
    /// [`Snapshot::height`] where the state was just taken over from peers.
    ///
    /// # Errors
    /// Where the disk cannot be read or holds something else.
    pub fn first_block(&self) -> Result<u64, StoreError> {
        let Some(value) = self.read(columns::META, columns::FIRST_BLOCK_KEY)? else {
            return Ok(1);
        };
        key_number(&value).ok_or_else(|| damaged(columns::META, 0))
    }

    /// The last height with a certificate; 0 for none.
    ///
    /// # Errors
    /// Where the disk cannot be read or holds something else.
    pub fn final_height(&self) -> Result<u64, StoreError> {
        let what = columns::CERTIFICATES;
        let family = self.store.family(what);
        match self.snapshot.iterator_cf(family, IteratorMode::End).next() {
            Some(Ok((key, _))) => key_number(&key).ok_or_else(|| damaged(what, 0)),
            Some(Err(source)) => Err(read_error(what)(source)),
            None => Ok(0),
        }
    }

    /// The encoded header of a block.
    ///
    /// # Errors
    /// Where the disk cannot be read.
    pub fn header(&self, height: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(columns::HEADERS, &number_key(height))
    }

    /// A block as it was committed. Of very old ones only the header is kept.
    ///
    /// # Errors
    /// Where the disk cannot be read or holds something else.
    pub fn block(&self, height: u64) -> Result<Option<Vec<u8>>, StoreError> {
        match self.read(columns::BLOCKS, &number_key(height))? {
            Some(place) => self.store.read_block(height, &place),
            None => Ok(None),
        }
    }

    /// The encoded certificate of a block, where it is final here.
    ///
    /// # Errors
    /// Where the disk cannot be read.
    pub fn certificate(&self, height: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(columns::CERTIFICATES, &number_key(height))
    }

    /// Changes of membership after roster `after`, oldest first, as they were
    /// committed; a bounded number of them.
    ///
    /// # Errors
    /// Where the disk cannot be read or holds something else.
    pub fn roster_steps(&self, after: u64) -> Result<RosterSteps, StoreError> {
        let mut answer = RosterSteps::default();
        let mut bytes = 0;
        let Some(first) = after.checked_add(1) else {
            return Ok(answer);
        };
        let start = number_key(first);
        let entries = self.entries(columns::ROSTERS, &start, None);
        for (expected, entry) in (first..).zip(entries) {
            let (key, step) = entry?;
            if key_number(&key) != Some(expected) {
                return Err(damaged(columns::ROSTERS, expected));
            }
            if answer.steps.len() >= ROSTER_STEPS_MAX || bytes >= ROSTER_STEPS_BYTES_MAX {
                answer.more = true;
                break;
            }
            bytes += step.len();
            answer.steps.push(step.into_vec());
        }
        Ok(answer)
    }

    /// What a block put out, in order.
    ///
    /// # Errors
    /// Where the disk cannot be read or holds something else.
    pub fn outputs(&self, height: u64) -> Result<Option<Vec<Vec<u8>>>, StoreError> {
        let Some(value) = self.read(columns::OUTPUTS, &number_key(height))? else {
            return Ok(None);
        };
        let leaves = leaves::decode(&value).ok_or_else(|| damaged(columns::OUTPUTS, height))?;
        Ok(Some(leaves.into_iter().map(<[u8]>::to_vec).collect()))
    }

    /// A follower's cursor.
    ///
    /// # Errors
    /// Where the disk cannot be read.
    pub fn cursor(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(columns::META, &cursor_key(name))
    }

    /// The column family of the state.
    pub(crate) fn state_name(&self) -> &'static str {
        self.state
    }

    pub(crate) fn read(
        &self,
        what: &'static str,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let family = self.store.family(what);
        let found = self.store.db().get_pinned_cf_opt(family, key, &self.one);
        let found = found.map_err(read_error(what))?;
        Ok(found.map(|value| value.to_vec()))
    }

    /// Entries from `start` on, below `end` where there is one.
    pub(crate) fn entries(
        &self,
        what: &'static str,
        start: &[u8],
        end: Option<Vec<u8>>,
    ) -> impl Iterator<Item = Result<Entry, StoreError>> {
        let mut options = ReadOptions::default();
        options.set_verify_checksums(true);
        if let Some(end) = end {
            options.set_iterate_upper_bound(end);
        }
        let mode = IteratorMode::From(start, Direction::Forward);
        let family = self.store.family(what);
        let entries = self.snapshot.iterator_cf_opt(family, options, mode);
        entries.map(move |entry| entry.map_err(read_error(what)))
    }
}

impl StateRead for Snapshot<'_> {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.read(self.state, key)
            .unwrap_or_else(|error| end_process(&error))
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let start = after.filter(|after| *after >= prefix).unwrap_or(prefix);
        self.entries(self.state, start, end_of(prefix))
            .map(|entry| entry.unwrap_or_else(|error| end_process(&error)))
            .map(|(key, value)| (key.into_vec(), value.into_vec()))
            .skip_while(|(key, _)| after == Some(key.as_slice()))
            .take(limit)
            .collect()
    }
}

/// The first key that is greater than all keys with `prefix`, if there is one.
fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// Ends the process at once: no destructor must write what was half read.
fn end_process(error: &StoreError) -> ! {
    tracing::error!(%error, "the state cannot be read; the process ends");
    eprintln!("The state cannot be read, so this node stops: {error}");
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_key_of_its_length_or_shorter() {
        assert_eq!(end_of(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(end_of(&[1, 255, 255]), Some(vec![2]));
        assert_eq!(end_of(&[255]), None);
        assert_eq!(end_of(b""), None);
    }
}
