//! The bytes of one file, and what of them is not durable.

/// Smallest piece that a disk writes whole, bytes.
const SECTOR: usize = 512;

/// One unsynced change: what was there, and what came instead.
#[derive(Debug)]
struct Change {
    moment: u64,
    offset: usize,
    /// From `offset` on, as far as the file went.
    old: Vec<u8>,
    new: Vec<u8>,
    length_before: usize,
    length_after: usize,
}

/// A file's bytes.
#[derive(Debug, Default)]
pub(super) struct Data {
    bytes: Vec<u8>,
    changes: Vec<Change>,
}

/// What is left of one change after a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    Nothing,
    /// So many bytes of its beginning, in whole sectors of the file.
    Part(usize),
    All,
}

impl Data {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes that the unsynced changes hold.
    pub(super) fn unsynced(&self) -> usize {
        let held = |change: &Change| change.old.len() + change.new.len();
        self.changes.iter().map(held).sum()
    }

    /// Makes everything durable; how many bytes of changes that releases.
    pub(super) fn sync(&mut self) -> usize {
        let released = self.unsynced();
        self.changes.clear();
        released
    }

    /// Replaces bytes from `offset` on; a gap is filled with zeros.
    pub(super) fn write(&mut self, moment: u64, offset: u64, new: &[u8]) {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let length_before = self.bytes.len();
        let end = offset.saturating_add(new.len());
        let old = self.bytes[offset.min(length_before)..end.min(length_before)].to_vec();
        self.put(offset, new);
        self.changes.push(Change {
            moment,
            offset,
            old,
            new: new.to_vec(),
            length_before,
            length_after: self.bytes.len(),
        });
    }

    /// Cuts the file, or fills it with zeros.
    pub(super) fn truncate(&mut self, moment: u64, length: u64) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let length_before = self.bytes.len();
        let old = self.bytes[length.min(length_before)..].to_vec();
        self.bytes.resize(length, 0);
        self.changes.push(Change {
            moment,
            offset: length.min(length_before),
            old,
            new: Vec::new(),
            length_before,
            length_after: length,
        });
    }

    /// The power is cut: of each unsynced change, in their order, `left` says
    /// what is found. Everything found is durable.
    pub(super) fn cut(&mut self, mut left: impl FnMut(u64, usize) -> Left) {
        let changes = std::mem::take(&mut self.changes);
        for change in changes.iter().rev() {
            self.bytes
                .resize(change.length_before.max(change.offset), 0);
            self.put(change.offset, &change.old);
            self.bytes.resize(change.length_before, 0);
        }
        for change in &changes {
            match left(change.moment, change.new.len()) {
                Left::Nothing => {}
                Left::All if change.new.is_empty() => self.bytes.resize(change.length_after, 0),
                Left::All => self.put(change.offset, &change.new),
                Left::Part(bytes) => {
                    let end = (change.offset + bytes) / SECTOR * SECTOR;
                    let bytes = end.saturating_sub(change.offset).min(change.new.len());
                    if bytes > 0 {
                        self.put(change.offset, &change.new[..bytes]);
                    }
                }
            }
        }
    }

    fn put(&mut self, offset: usize, new: &[u8]) {
        let end = offset + new.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[offset..end].copy_from_slice(new);
    }
}
