//! Collect what is to be written at once.

use dctrl_ledger::ChangeSet;
use rocksdb::WriteBatch;

use crate::columns::{self, cursor_key, number_key};
use crate::error::StoreError;
use crate::journal::{Long, entry_bytes};
use crate::leaves;
use crate::limits::CURSOR_NAME_BYTES_MAX;
use crate::store::{Store, Tip};

/// Changes that become durable together, by [`Store::commit`]. Dropping a
/// batch forgets it.
pub struct Batch {
    store: Store,
    changes: WriteBatch,
    records: Vec<Long>,
    executed: Vec<u64>,
    blocks: Vec<Long>,
    blocks_of_records: Vec<(u64, Vec<Part>)>,
    pruned: Option<u64>,
    outputs: Vec<u64>,
    certificates: Vec<u64>,
    rosters: Vec<u64>,
    longest_cursor_name: usize,
    /// The state that it changes.
    state: &'static str,
    generation: u64,
}

impl Batch {
    pub(crate) fn new(store: Store) -> Self {
        let live = store.live();
        Self {
            store,
            state: live.state,
            generation: live.generation,
            changes: WriteBatch::default(),
            records: Vec::new(),
            executed: Vec::new(),
            blocks: Vec::new(),
            blocks_of_records: Vec::new(),
            pruned: None,
            outputs: Vec::new(),
            certificates: Vec::new(),
            rosters: Vec::new(),
            longest_cursor_name: 0,
        }
    }

    /// Appends a consensus record; `number` follows the last one.
    pub fn record(&mut self, number: u64, bytes: impl Into<Vec<u8>>) -> &mut Self {
        let bytes = bytes.into();
        self.records.push(Long { number, bytes });
        self
    }

    /// Says that no record up to this one is needed any more.
    pub fn prune(&mut self, through: u64) -> &mut Self {
        self.pruned = self.pruned.max(Some(through));
        self
    }

    /// Keeps an ordered block and its header.
    pub fn block(&mut self, height: u64, block: impl Into<Vec<u8>>, header: &[u8]) -> &mut Self {
        self.blocks.push(Long {
            number: height,
            bytes: block.into(),
        });
        self.put(columns::HEADERS, &number_key(height), header)
    }

    /// Carries out changes of the ledger's state.
    pub fn state(&mut self, changes: &ChangeSet) -> &mut Self {
        let family = self.store.family(self.state);
        for (key, value) in changes {
            match value {
                Some(value) => self.changes.put_cf(family, key, value),
                None => self.changes.delete_cf(family, key),
            }
        }
        self
    }

    /// Keeps the leaves that the outputs root of this height covers, in order.
    pub fn outputs(&mut self, height: u64, leaves: &[Vec<u8>]) -> &mut Self {
        self.outputs.push(height);
        self.put(
            columns::OUTPUTS,
            &number_key(height),
            &leaves::encode(leaves),
        )
    }

    /// Keeps a certificate: the height is final from then on. It follows the
    /// last one or repeats one.
    pub fn certificate(&mut self, height: u64, certificate: &[u8]) -> &mut Self {
        self.certificates.push(height);
        self.put(columns::CERTIFICATES, &number_key(height), certificate)
    }

    /// Keeps a change of membership, by the number of the roster that it
    /// begins. It follows the last one or repeats one.
    pub fn roster_step(&mut self, number: u64, step: &[u8]) -> &mut Self {
        self.rosters.push(number);
        self.put(columns::ROSTERS, &number_key(number), step)
    }

    /// Moves a follower's cursor.
    pub fn cursor(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.longest_cursor_name = self.longest_cursor_name.max(name.len());
        self.put(columns::META, &cursor_key(name), value)
    }

    /// Says that the state in this batch is that of `height`: 0 for genesis,
    /// then one more each time. From 1 on the batch holds the height's block
    /// and outputs too.
    pub fn executed(&mut self, height: u64) -> &mut Self {
        self.executed.push(height);
        self.put(columns::META, columns::EXECUTED_KEY, &number_key(height))
    }

    /// Keeps an ordered block whose transactions stand in records, and its
    /// header: the block is not written a second time.
    pub fn block_of_records(&mut self, height: u64, parts: Vec<Part>, header: &[u8]) -> &mut Self {
        self.blocks_of_records.push((height, parts));
        self.put(columns::HEADERS, &number_key(height), header)
    }

    fn put(&mut self, family: &'static str, key: &[u8], value: &[u8]) -> &mut Self {
        self.changes.put_cf(self.store.family(family), key, value);
        self
    }

    /// The tip after this batch, or why the batch does not follow `tip`.
    pub(crate) fn check(&self, mut tip: Tip) -> Result<Tip, StoreError> {
        if self.longest_cursor_name > CURSOR_NAME_BYTES_MAX {
            return Err(StoreError::TooLong {
                what: "a cursor name",
                found: self.longest_cursor_name,
                max: CURSOR_NAME_BYTES_MAX,
            });
        }
        for found in self.records.iter().map(|record| record.number) {
            follows("record", tip.record, tip.record + 1, found)?;
            tip.record = found;
        }
        for &found in &self.executed {
            let next = tip.executed.map_or(0, |last| last + 1);
            follows("executed height", tip.executed.unwrap_or(0), next, found)?;
            if found > 0 && !(self.has_block(found) && self.outputs.contains(&found)) {
                return Err(StoreError::Incomplete { height: found });
            }
            tip.executed = Some(found);
        }
        for &found in &self.certificates {
            // After a restart consensus repeats the last ones.
            if found == 0 || found > tip.certificate {
                follows("certificate", tip.certificate, tip.certificate + 1, found)?;
                tip.certificate = found;
            }
        }
        for &found in &self.rosters {
            if found == 0 || found > tip.roster {
                follows("roster", tip.roster, tip.roster + 1, found)?;
                tip.roster = found;
            }
        }
        // A certificate for what was not executed here could prove nothing.
        if tip.certificate > tip.executed.unwrap_or(0) {
            return Err(StoreError::Order {
                what: "certificate",
                last: tip.executed.unwrap_or(0),
                found: tip.certificate,
            });
        }
        Ok(tip)
    }

    fn has_block(&self, height: u64) -> bool {
        let mut of_records = self.blocks_of_records.iter().map(|(number, _)| *number);
        self.blocks.iter().any(|block| block.number == height)
            || of_records.any(|number| number == height)
    }

    /// Whether the state was taken over from peers after the batch was begun.
    pub(crate) fn is_outdated(&self, generation: u64) -> bool {
        self.generation != generation
    }

    pub(crate) fn into_parts(self) -> Parts {
        Parts {
            changes: self.changes,
            records: self.records,
            blocks: self.blocks,
            blocks_of_records: self.blocks_of_records,
            pruned: self.pruned,
        }
    }
}

/// The part of a block that one record holds: its last bytes, which are the
/// transactions, each behind its length as u32, big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The record's number.
    pub record: u64,
    /// How many of its last bytes.
    pub bytes: usize,
}

/// What a batch consists of.
#[derive(Default)]
pub(crate) struct Parts {
    /// For RocksDB.
    pub(crate) changes: WriteBatch,
    pub(crate) records: Vec<Long>,
    pub(crate) blocks: Vec<Long>,
    pub(crate) blocks_of_records: Vec<(u64, Vec<Part>)>,
    pub(crate) pruned: Option<u64>,
}

impl Parts {
    /// Bytes of the records and blocks as entries of the journal.
    pub(crate) fn long_bytes(&self) -> usize {
        let all = self.records.iter().chain(&self.blocks);
        all.map(|long| entry_bytes(long.bytes.len())).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        let long = self.records.is_empty() && self.blocks.is_empty();
        long && self.changes.is_empty() && self.pruned.is_none()
    }
}

fn follows(what: &'static str, last: u64, next: u64, found: u64) -> Result<(), StoreError> {
    if found == next {
        Ok(())
    } else {
        Err(StoreError::Order { what, last, found })
    }
}
