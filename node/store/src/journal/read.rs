//! Reading the journal: after a start, and one block at a time.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::frame::{Frame, HEADER_BYTES, Kind, parse};
use super::{Closed, segment};
use crate::error::StoreError;

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

/// The block at `place`; `None` where its segment has been given up.
pub(crate) fn read_block(
    folder: &Path,
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
    let block = parse(place.segment, &entry)
        .is_some_and(|frame| frame.kind == Kind::Block && frame.number == height);
    if block {
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

    /// The records of one segment after the other.
    pub(crate) fn records(self) -> impl Iterator<Item = Result<Vec<Record>, StoreError>> {
        let folder = self.folder;
        let numbers = self.numbers.into_iter();
        let from_first = numbers.filter(move |number| *number >= self.first);
        from_first.map(move |number| {
            let mut records = Vec::new();
            let mut found = Replay::default();
            let bytes = read(&folder, number)?;
            batches(number, &bytes, &mut found, &mut |_, batch, _| {
                records.extend(batch.into_iter().map(|(number, it)| (number, it.to_vec())));
                Ok(())
            })?;
            Ok(records)
        })
    }

    /// Hands each whole batch to `take`: its number and the changes.
    ///
    /// # Errors
    /// Where an entry before the last batch is damaged, or `take` fails.
    pub(crate) fn replay(
        self,
        mut take: impl FnMut(u64, &[u8]) -> Result<(), StoreError>,
    ) -> Result<Replay, StoreError> {
        let mut found = Replay::default();
        for (place, number) in self.numbers.iter().enumerate() {
            if *number < self.first {
                found.closed.push(closed(*number, &found));
                continue;
            }
            let bytes = read(&self.folder, *number)?;
            let (written, ended) =
                batches(*number, &bytes, &mut found, &mut |batch, _, changes| {
                    take(batch, changes)
                })?;
            let last = place + 1 == self.numbers.len();
            if !last && !ended {
                return Err(missing(*number));
            }
            if last && !ended {
                refuse_damage(*number, &bytes[written..], found.last_batch)?;
                found.end = Some((*number, written));
                break;
            }
            found.closed.push(closed(*number, &found));
            if last {
                // The stop came before the next segment was made.
                found.next_after(&self.folder, *number)?;
            }
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
        segment::Segment::create(folder, number + 1, 0, self.last_record)
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
    segment: u64,
    bytes: &[u8],
    found: &mut Replay,
    take: &mut impl Take,
) -> Result<(usize, bool), StoreError> {
    let (mut at, mut written) = (0, 0);
    let mut records = Vec::new();
    while let Some(frame) = parse(segment, &bytes[at..]) {
        at += frame.length();
        match frame.kind {
            Kind::Record => records.push((frame.number, frame.payload)),
            Kind::Block => {}
            Kind::Commit => {
                if found.last_batch > 0 && frame.number != found.last_batch + 1 {
                    return Err(missing(segment));
                }
                if let Some((last, _)) = records.last() {
                    found.last_record = *last;
                }
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
fn refuse_damage(segment: u64, rest: &[u8], last_batch: u64) -> Result<(), StoreError> {
    let commit = (Kind::Commit as u32).to_le_bytes();
    let later = |at: usize| {
        let frame: Option<Frame<'_>> = parse(segment, &rest[at..]);
        frame.is_some_and(|frame| frame.kind == Kind::Commit && frame.number > last_batch + 1)
    };
    let kinds = rest.windows(4).enumerate().skip(4);
    let mut commits = kinds.filter(|(_, kind)| *kind == commit);
    if commits.any(|(at, _)| later(at - 4)) {
        return Err(missing(segment));
    }
    Ok(())
}
