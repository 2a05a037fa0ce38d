//! Reading the journal: after a start, and one block at a time.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use dctrl_proto::v1::BlockPayload;
use prost::Message;

use super::frame::{Frame, HEADER_BYTES, Kind, parse};
use super::{Closed, segment, tip};
use crate::error::StoreError;
use crate::limits::SEGMENT_BYTES;

/// Where a block's entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    /// Of the block.
    pub(crate) length: u64,
}

impl Place {
    pub(crate) fn encode(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.segment.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_be_bytes());
        bytes[16..].copy_from_slice(&self.length.to_be_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 24] = bytes.try_into().ok()?;
        let number = |at: usize| {
            let bytes = bytes[at..].first_chunk::<8>().copied().unwrap_or_default();
            u64::from_be_bytes(bytes)
        };
        Some(Self {
            segment: number(0),
            offset: number(8),
            length: number(16),
        })
    }
}

/// What RocksDB knows of a block: where its own entry stands, or the records
/// that hold its transactions, and how many of their last bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BlockRow {
    Own(Place),
    OfRecords(Vec<(Place, u64)>),
}

/// What a row begins with.
const OWN: u8 = 0;
const OF_RECORDS: u8 = 1;

impl BlockRow {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Own(place) => [&[OWN], &place.encode()[..]].concat(),
            Self::OfRecords(parts) => {
                let mut row = Vec::with_capacity(1 + parts.len() * PART_BYTES);
                row.push(OF_RECORDS);
                for (place, bytes) in parts {
                    row.extend(place.encode());
                    row.extend(bytes.to_be_bytes());
                }
                row
            }
        }
    }

    pub(crate) fn decode(row: &[u8]) -> Option<Self> {
        let (kind, rest) = row.split_first()?;
        match *kind {
            OWN => Place::decode(rest).map(Self::Own),
            OF_RECORDS if rest.len() % PART_BYTES == 0 => {
                let part = |part: &[u8]| {
                    let (place, bytes) = part.split_at_checked(PART_BYTES - 8)?;
                    let bytes = u64::from_be_bytes(bytes.try_into().ok()?);
                    Some((Place::decode(place)?, bytes))
                };
                let parts = rest.chunks(PART_BYTES).map(part);
                parts.collect::<Option<_>>().map(Self::OfRecords)
            }
            _ => None,
        }
    }

    /// Bytes of the row of a block of so many records.
    pub(crate) fn bytes_of_records(records: usize) -> usize {
        1 + records * PART_BYTES
    }
}

/// A place and a length.
const PART_BYTES: usize = 32;

/// The block of this row; `None` where a segment of it has been given up.
pub(crate) fn read_block(
    folder: &Path,
    height: u64,
    row: &BlockRow,
) -> Result<Option<Vec<u8>>, StoreError> {
    let parts = match row {
        BlockRow::Own(place) => return read_entry(folder, Kind::Block, height, *place),
        BlockRow::OfRecords(parts) => parts,
    };
    let mut block = BlockPayload::default();
    for (place, bytes) in parts {
        let Some(record) = read_entry(folder, Kind::Record, height, *place)? else {
            return Ok(None);
        };
        let tail = usize::try_from(*bytes).ok();
        let start = tail.and_then(|bytes| record.len().checked_sub(bytes));
        let transactions = start.and_then(|start| transactions(&record[start..]));
        let transactions = transactions.ok_or(StoreError::Damaged {
            what: "block",
            number: height,
        })?;
        block.transactions.extend(transactions);
    }
    Ok(Some(block.encode_to_vec()))
}

/// Transactions, each behind its length.
fn transactions(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (transaction, rest) = rest.split_at_checked(length)?;
        found.push(transaction.to_vec());
        bytes = rest;
    }
    Some(found)
}

/// The entry at `place`, which belongs to the block of this height; a block's
/// own entry has its number too.
fn read_entry(
    folder: &Path,
    kind: Kind,
    height: u64,
    place: Place,
) -> Result<Option<Vec<u8>>, StoreError> {
    let damaged = || StoreError::Damaged {
        what: "block",
        number: height,
    };
    let path = segment::path(folder, place.segment);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(journal_error(&path)(source)),
    };
    let length = usize::try_from(place.length).map_err(|_| damaged())?;
    let mut entry = vec![0; HEADER_BYTES + length];
    file.read_exact_at(&mut entry, place.offset)
        .map_err(journal_error(&path))?;
    let is_it = parse(place.segment, &entry).is_some_and(|frame| {
        frame.kind == kind && (kind == Kind::Record || frame.number == height)
    });
    if is_it {
        entry.drain(..HEADER_BYTES);
        Ok(Some(entry))
    } else if path.exists() {
        Err(damaged())
    } else {
        Ok(None)
    }
}

pub(crate) fn journal_error(path: &Path) -> impl Fn(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Journal {
        path: path.clone(),
        source,
    }
}

/// What a start finds.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// The last segment, and where its whole batches end.
    pub(super) end: Option<(u64, usize)>,
    pub(super) closed: Vec<Closed>,
    pub(crate) last_batch: u64,
    pub(crate) last_record: u64,
    /// Where the records stand, oldest first; none is missing up to the last.
    pub(super) places: VecDeque<Place>,
}

/// The segments of a folder, read one after the other.
#[derive(Debug)]
pub(crate) struct Segments {
    folder: PathBuf,
    /// Ascending.
    numbers: Vec<u64>,
    /// Those before hold nothing but old blocks.
    first: u64,
}

impl Segments {
    /// Those in `folder`; from `first` on they are read.
    ///
    /// # Errors
    /// Where the folder cannot be read, or a segment is missing.
    pub(crate) fn list(folder: &Path, first: u64) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(journal_error(folder))?;
        let mut numbers = Vec::new();
        for entry in fs::read_dir(folder).map_err(journal_error(folder))? {
            let name = entry.map_err(journal_error(folder))?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".seg"));
            numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        let gap = numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]);
        if let Some(pair) = gap {
            return Err(missing(pair[0] + 1));
        }
        Ok(Self {
            folder: folder.to_owned(),
            numbers,
            first,
        })
    }

    /// The first segment from this number on.
    pub(crate) fn next_from(&self, from: u64) -> Option<u64> {
        self.numbers.iter().copied().find(|number| *number >= from)
    }

    /// Reads every entry of a segment that is full; one that is given up while
    /// it is read is no damage.
    ///
    /// # Errors
    /// Where an entry is damaged, or the disk fails.
    pub(crate) fn check_full(&self, number: u64) -> Result<(), StoreError> {
        let checked = read(&self.folder, number).and_then(|bytes| {
            let mut found = Replay::default();
            let took = &mut |_, _: Vec<(u64, &[u8])>, _: &[u8]| Ok(());
            let (written, ended) = batches(&self.folder, number, &bytes, &mut found, took)?;
            let what = "an entry before the end of the segment";
            if ended {
                Ok(())
            } else {
                Err(damage(&self.folder, number, written, what))
            }
        });
        if segment::path(&self.folder, number).exists() {
            checked
        } else {
            Ok(())
        }
    }

    /// The records of one segment after the other.
    pub(crate) fn records(self) -> impl Iterator<Item = Result<Vec<Record>, StoreError>> {
        let folder = self.folder;
        let numbers = self.numbers.into_iter();
        let from_first = numbers.filter(move |number| *number >= self.first);
        from_first.map(move |number| {
            let mut records = Vec::new();
            let mut found = Replay::default();
            let bytes = read(&folder, number)?;
            batches(&folder, number, &bytes, &mut found, &mut |_, batch, _| {
                records.extend(batch.into_iter().map(|(number, it)| (number, it.to_vec())));
                Ok(())
            })?;
            Ok(records)
        })
    }

    /// Hands each whole batch to `take`: its number and the changes. Where it
    /// `resumes`, a segment that was to follow is made.
    ///
    /// # Errors
    /// Where an entry before the last batch is damaged, or `take` fails.
    pub(crate) fn replay(
        self,
        resumes: bool,
        mut take: impl FnMut(u64, &[u8]) -> Result<(), StoreError>,
    ) -> Result<Replay, StoreError> {
        let mut found = Replay::default();
        for (place, number) in self.numbers.iter().enumerate() {
            if *number < self.first {
                found.closed.push(closed(*number, &found));
                continue;
            }
            let bytes = read(&self.folder, *number)?;
            let (written, ended) = batches(
                &self.folder,
                *number,
                &bytes,
                &mut found,
                &mut |batch, _, changes| take(batch, changes),
            )?;
            let last = place + 1 == self.numbers.len();
            if !last && !ended {
                let what = "an entry before the end of the segment";
                return Err(damage(&self.folder, *number, written, what));
            }
            if last && !ended {
                if has_later_batch(*number, &bytes[written..], found.last_batch) {
                    let what = "an entry with whole batches behind it";
                    return Err(damage(&self.folder, *number, written, what));
                }
                found.end = Some((*number, written));
                break;
            }
            found.closed.push(closed(*number, &found));
            if last && resumes {
                // The stop came before the next segment was made.
                found.next_after(&self.folder, *number)?;
            }
        }
        let noted = tip::read(&self.folder);
        if found.last_batch < noted {
            let (segment, at) = found.end.unwrap_or_default();
            let what = "batches that were written are missing";
            return Err(damage(&self.folder, segment, at, what));
        }
        Ok(found)
    }
}

fn read(folder: &Path, number: u64) -> Result<Vec<u8>, StoreError> {
    let path = segment::path(folder, number);
    fs::read(&path).map_err(journal_error(&path))
}

/// A record's number and bytes.
pub(crate) type Record = (u64, Vec<u8>);

/// Called with a batch's number, its records and its changes.
trait Take: FnMut(u64, Vec<(u64, &[u8])>, &[u8]) -> Result<(), StoreError> {}

impl<T: FnMut(u64, Vec<(u64, &[u8])>, &[u8]) -> Result<(), StoreError>> Take for T {}

impl Replay {
    /// Makes the segment that was to follow.
    fn next_after(&mut self, folder: &Path, number: u64) -> Result<(), StoreError> {
        segment::Segment::create(folder, number + 1, 0, self.last_record, SEGMENT_BYTES)
            .map_err(journal_error(folder))?;
        self.end = Some((number + 1, 0));
        Ok(())
    }
}

fn closed(segment: u64, found: &Replay) -> Closed {
    Closed {
        segment,
        last_record: found.last_record,
    }
}

fn missing(number: u64) -> StoreError {
    StoreError::Damaged {
        what: "journal segment",
        number,
    }
}

/// Reads whole batches; gives where they end, and whether the segment is full.
fn batches(
    folder: &Path,
    segment: u64,
    bytes: &[u8],
    found: &mut Replay,
    take: &mut impl Take,
) -> Result<(usize, bool), StoreError> {
    let (mut at, mut written) = (0, 0);
    let mut records = Vec::new();
    let mut places = Vec::new();
    while let Some(frame) = parse(segment, &bytes[at..]) {
        let place = Place {
            segment,
            offset: at as u64,
            length: frame.payload.len() as u64,
        };
        at += frame.length();
        match frame.kind {
            Kind::Record => {
                records.push((frame.number, frame.payload));
                places.push(place);
            }
            Kind::Block => {}
            Kind::Commit => {
                if found.last_batch > 0 && frame.number != found.last_batch + 1 {
                    return Err(damage(folder, segment, written, "a batch is missing"));
                }
                if let Some((last, _)) = records.last() {
                    found.last_record = *last;
                }
                found.places.extend(places.drain(..));
                take(frame.number, std::mem::take(&mut records), frame.payload)?;
                found.last_batch = frame.number;
                written = at;
            }
            Kind::End => return Ok((written, true)),
        }
    }
    Ok((written, false))
}

/// Behind the last whole batch there may be parts of one more, which nobody
/// was promised. A batch after that one shows that something was damaged.
fn has_later_batch(segment: u64, rest: &[u8], last_batch: u64) -> bool {
    let commit = (Kind::Commit as u32).to_le_bytes();
    let later = |at: usize| {
        let frame: Option<Frame<'_>> = parse(segment, &rest[at..]);
        frame.is_some_and(|frame| frame.kind == Kind::Commit && frame.number > last_batch + 1)
    };
    let kinds = rest.windows(4).enumerate().skip(4);
    let mut commits = kinds.filter(|(_, kind)| *kind == commit);
    commits.any(|(at, _)| later(at - 4))
}

fn damage(folder: &Path, segment: u64, offset: usize, what: &'static str) -> StoreError {
    StoreError::JournalDamaged {
        path: segment::path(folder, segment),
        offset: offset as u64,
        what,
    }
}
