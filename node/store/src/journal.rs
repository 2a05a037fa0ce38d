//! The log of everything: one write and one sync for each batch.
//!
//! Records and blocks are long and written once: they live here and nowhere
//! else. Everything else is short; it is written here to be durable, and into
//! RocksDB, without a log of its own, to be found. After a crash RocksDB is
//! brought up to date from the entries behind the last batch that its files
//! hold.
//!
//! A segment is a file of fixed length. One that is no longer needed becomes
//! the next one: writing over blocks that a file has already costs a third of
//! growing it. A batch lies in one segment; a full segment ends with an entry
//! that says so, so that a missing tail is noticed.
//!
//! Deliberately absent: what the entries mean, and any thread.

mod frame;
mod read;
mod segment;
mod tip;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use self::frame::{Frame, HEADER_BYTES, Kind};
pub(crate) use self::read::{BlockRow, Place, Record, Replay, Segments, journal_error, read_block};
use self::segment::Segment;
use self::tip::Tip;
use crate::options::Options;

/// Where a commit ends: what RocksDB keeps of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    /// The batch's number, from 1.
    pub(crate) batch: u64,
    /// Its segment.
    pub(crate) segment: u64,
}

impl Mark {
    pub(crate) fn encode(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.batch.to_be_bytes());
        bytes[8..].copy_from_slice(&self.segment.to_be_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (batch, segment) = bytes.split_first_chunk::<8>()?;
        Some(Self {
            batch: u64::from_be_bytes(*batch),
            segment: u64::from_be_bytes(segment.try_into().ok()?),
        })
    }
}

/// A record or block of a batch.
#[derive(Debug)]
pub(crate) struct Long {
    pub(crate) number: u64,
    pub(crate) bytes: Vec<u8>,
}

/// The journal, open for writing.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    current: Segment,
    tip: Tip,
    /// Closed segments, oldest first.
    closed: VecDeque<Closed>,
    last_batch: u64,
    /// Where the records stand that are still needed; the first of them has
    /// the number behind `forgotten`.
    places: VecDeque<Place>,
    forgotten: u64,
    sync: bool,
    segment_bytes: usize,
}

/// A full segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closed {
    pub(crate) segment: u64,
    /// The last record in it or before it.
    pub(crate) last_record: u64,
}

impl Journal {
    /// Goes on where `replay` ended; `last_record` is the last record that was
    /// ever written.
    pub(crate) fn resume(
        folder: &Path,
        replay: Replay,
        last_record: u64,
        options: &Options,
    ) -> io::Result<Self> {
        let (sync, length) = (options.sync, options.segment_bytes);
        let current = match replay.end {
            Some((number, offset)) => Segment::reopen(folder, number, offset, last_record, length)?,
            None => Segment::create(folder, 1, 0, 0, length)?,
        };
        Ok(Self {
            folder: folder.to_owned(),
            tip: Tip::open(folder)?,
            current,
            closed: replay.closed.into(),
            forgotten: last_record.saturating_sub(replay.places.len() as u64),
            places: replay.places,
            last_batch: replay.last_batch,
            sync,
            segment_bytes: length,
        })
    }

    /// Makes room for a batch that is so long with all its entries, and says
    /// where it will end.
    ///
    /// # Errors
    /// Where a new segment cannot be made.
    pub(crate) fn prepare(&mut self, bytes: usize) -> io::Result<Mark> {
        // The entry that ends the segment must fit behind.
        if !self.current.has_room(bytes + HEADER_BYTES) {
            self.roll(bytes + HEADER_BYTES)?;
        }
        Ok(Mark {
            batch: self.last_batch + 1,
            segment: self.current.number,
        })
    }

    fn roll(&mut self, needed: usize) -> io::Result<()> {
        let (number, last_record) = (self.current.number, self.current.last_record);
        let end = Frame {
            kind: Kind::End,
            number: number + 1,
            payload: &[],
        };
        let header = end.header(number);
        dctrl_crash::fallible("store.roll.before_end")?;
        dctrl_crash::torn("store.roll.end_half_written", || {
            self.current.append_half(&[IoSlice::new(&header)]);
        });
        self.current.append(&mut [IoSlice::new(&header)])?;
        dctrl_crash::fallible("store.roll.end_written")?;
        self.current.sync()?;
        dctrl_crash::point("store.roll.end_synced");
        self.closed.push_back(Closed {
            segment: number,
            last_record,
        });
        let length = self.segment_bytes;
        self.current = Segment::create(&self.folder, number + 1, needed, last_record, length)?;
        Ok(())
    }

    /// Where a block of the prepared batch will stand, when these many bytes of
    /// entries are before it.
    pub(crate) fn place(&self, before: usize, length: usize) -> Place {
        Place {
            segment: self.current.number,
            offset: (self.current.written + before) as u64,
            length: length as u64,
        }
    }

    /// Notes where the records of the prepared batch will stand; gives how many
    /// bytes of entries they are.
    pub(crate) fn place_records(&mut self, records: &[Long]) -> usize {
        let mut before = 0;
        for record in records {
            let place = self.place(before, record.bytes.len());
            self.places.push_back(place);
            before += entry_bytes(record.bytes.len());
        }
        before
    }

    /// Where a record stands that is still needed.
    pub(crate) fn place_of(&self, record: u64) -> Option<Place> {
        let at = record.checked_sub(self.forgotten + 1)?;
        self.places.get(usize::try_from(at).ok()?).copied()
    }

    /// Forgets where records up to this one stand.
    pub(crate) fn forget(&mut self, through: u64) {
        while self.forgotten < through && self.places.pop_front().is_some() {
            self.forgotten += 1;
        }
    }

    /// Writes the prepared batch and syncs it.
    ///
    /// # Errors
    /// Where the disk fails: what is on it is unknown then.
    pub(crate) fn write(
        &mut self,
        records: &[Long],
        blocks: &[Long],
        changes: &[u8],
    ) -> io::Result<()> {
        let frames: Vec<Frame<'_>> = frames(records, blocks)
            .chain([Frame {
                kind: Kind::Commit,
                number: self.last_batch + 1,
                payload: changes,
            }])
            .collect();
        let segment = self.current.number;
        let headers: Vec<_> = frames.iter().map(|frame| frame.header(segment)).collect();
        let mut slices: Vec<IoSlice<'_>> = headers
            .iter()
            .zip(&frames)
            .flat_map(|(header, frame)| [IoSlice::new(header), IoSlice::new(frame.payload)])
            .collect();
        dctrl_crash::fallible("store.commit.before_write")?;
        dctrl_crash::torn("store.commit.half_written", || {
            self.current.append_half(&slices);
        });
        self.current.append(&mut slices)?;
        dctrl_crash::fallible("store.commit.written")?;
        if self.sync {
            self.current.sync()?;
            dctrl_crash::point("store.commit.synced");
            self.tip.note(self.last_batch + 1)?;
        }
        dctrl_crash::point("store.commit.noted");
        if let Some(last) = records.last() {
            self.current.last_record = last.number;
        }
        self.last_batch += 1;
        Ok(())
    }

    /// Gives up closed segments whose records are all up to `pruned` and whose
    /// batches RocksDB's files hold (those below `flushed`), oldest first, as
    /// long as `history_bytes` of closed ones stay.
    ///
    /// # Errors
    /// Where files cannot be removed.
    pub(crate) fn prune(
        &mut self,
        pruned: u64,
        flushed: u64,
        history_bytes: u64,
    ) -> io::Result<()> {
        let keep = usize::try_from(history_bytes / self.segment_bytes as u64);
        let keep = keep.unwrap_or(usize::MAX);
        while let Some(oldest) = self.closed.front().copied() {
            let needed = oldest.last_record > pruned || oldest.segment >= flushed;
            if needed || self.closed.len() <= keep {
                break;
            }
            self.closed.pop_front();
            segment::retire(&self.folder, oldest.segment, self.segment_bytes)?;
        }
        Ok(())
    }

    /// How many closed segments there are from this one on.
    #[must_use]
    pub(crate) fn closed_since(&self, segment: u64) -> usize {
        let since = self.closed.iter().filter(|it| it.segment >= segment);
        since.count()
    }

    /// The segment that is written.
    pub(crate) fn current(&self) -> u64 {
        self.current.number
    }

    /// The first segment with a record above this one.
    pub(crate) fn first_with_record_above(&self, record: u64) -> u64 {
        let closed = self.closed.iter().find(|it| it.last_record > record);
        closed.map_or(self.current.number, |it| it.segment)
    }
}

fn frames<'l>(records: &'l [Long], blocks: &'l [Long]) -> impl Iterator<Item = Frame<'l>> {
    let frame = |kind| {
        move |long: &'l Long| Frame {
            kind,
            number: long.number,
            payload: &long.bytes,
        }
    };
    let records = records.iter().map(frame(Kind::Record));
    records.chain(blocks.iter().map(frame(Kind::Block)))
}

/// Bytes of an entry with so long a payload.
pub(crate) fn entry_bytes(payload: usize) -> usize {
    HEADER_BYTES + payload
}
