//! A disk that forgets what was not synced.
//!
//! The log is a row of frames: length, checksum, body. A crash keeps the
//! synced bytes and, of the others, a prefix (that may end within a frame) or
//! any subset of the sectors. Opening it reads frames until one does not
//! check, as a store does that treats a torn tail as normal.

use dctrl_consensus::crypto::sha256;

use crate::marks::{Mark, Marks};
use crate::prng::Prng;

/// What is written or lost as one, bytes.
const SECTOR_BYTES: usize = 512;
/// Length and checksum in front of a body, bytes.
const FRAME_HEAD_BYTES: usize = 8;

/// What became of the bytes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// A prefix of them is there.
    Prefix,
    /// Some sectors of them are there.
    Subset,
    /// The whole disk is another one, and empty.
    Wiped,
    /// The whole disk is as it was at this share of the log, in thousandths.
    Older(u64),
}

/// An append-only log in bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    bytes: Vec<u8>,
    synced: usize,
    /// Where frames begin.
    starts: Vec<usize>,
}

/// What became of bytes that were safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// One bit is another one.
    Flipped,
    /// One frame stands where another one stood.
    Misdirected,
}

impl Disk {
    /// Appends one frame; it is safe once [`Disk::sync`] covers it.
    pub(crate) fn append(&mut self, body: &[u8]) {
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        self.starts.push(self.bytes.len());
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(&checksum(body));
        self.bytes.extend_from_slice(body);
    }

    /// The length that a sync begun now will make safe.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// All bytes up to here survive a crash.
    pub(crate) fn sync(&mut self, through: usize) {
        self.synced = self.synced.max(through);
    }

    /// Loses all that was not synced.
    pub(crate) fn forget_unsynced(&mut self) {
        self.bytes.truncate(self.synced);
        self.starts.retain(|start| *start < self.synced);
    }

    /// Loses what the fate takes, and cuts the log behind the last whole frame.
    pub(crate) fn crash(&mut self, fate: Fate, chance: &mut Prng, marks: &mut Marks) {
        let before = self.bytes.len();
        match fate {
            Fate::Prefix => {
                let unsynced = (before - self.synced) as u64;
                let kept = usize::try_from(chance.between(0, unsynced)).unwrap_or(0);
                self.bytes.truncate(self.synced + kept);
            }
            Fate::Subset => self.lose_sectors(chance),
            Fate::Wiped => {
                self.bytes.clear();
                marks.hit(Mark::DiskWiped);
            }
            Fate::Older(per_mille) => {
                let kept = self.synced as u64 * per_mille / 1000;
                self.bytes.truncate(usize::try_from(kept).unwrap_or(0));
                marks.hit(Mark::DiskOlder);
            }
        }
        let whole = whole_frames(&self.bytes);
        if matches!(fate, Fate::Prefix | Fate::Subset) {
            assert!(whole >= self.synced, "synced frames survive a crash");
            let torn = if fate == Fate::Prefix {
                Mark::TailTorn
            } else {
                Mark::TailHoled
            };
            if whole < self.bytes.len() {
                marks.hit(torn);
            }
            if whole < before {
                marks.hit(Mark::TailLost);
            }
        }
        self.bytes.truncate(whole);
        self.starts.retain(|start| *start < whole);
        self.synced = whole;
    }

    /// Harms a frame that was safe, but not the last one; `None` where there
    /// is none.
    pub(crate) fn damage(&mut self, chance: &mut Prng) -> Option<Damage> {
        let frames = self.starts.len().checked_sub(2)?;
        let at = usize::try_from(chance.below(frames as u64)).ok()?;
        let (begin, end) = (self.starts[at], self.starts[at + 1]);
        let later = self.starts[at + 1..].windows(2);
        let twin = later
            .map(|pair| (pair[0], pair[1]))
            .find(|(from, to)| to - from <= end - begin);
        match twin.filter(|_| chance.chance(500)) {
            Some((from, to)) => {
                self.bytes.copy_within(from..to, begin);
                Some(Damage::Misdirected)
            }
            None => {
                let byte = begin + usize::try_from(chance.below((end - begin) as u64)).ok()?;
                self.bytes[byte] ^= 1 << chance.below(8);
                Some(Damage::Flipped)
            }
        }
    }

    /// Whether a frame does not check although a later one does: that is no
    /// torn end.
    pub(crate) fn is_damaged(&self) -> bool {
        let whole = whole_frames(&self.bytes);
        let later = self.starts.iter().filter(|start| **start > whole);
        later
            .copied()
            .any(|start| frame(&self.bytes[start..]).is_some())
    }

    /// A lost sector reads as zeros.
    fn lose_sectors(&mut self, chance: &mut Prng) {
        let mut at = self.synced;
        while at < self.bytes.len() {
            let end = (at / SECTOR_BYTES + 1) * SECTOR_BYTES;
            let end = end.min(self.bytes.len());
            if chance.chance(400) {
                self.bytes[at..end].fill(0);
            }
            at = end;
        }
    }

    /// The bodies of all frames.
    pub(crate) fn frames(&self) -> impl Iterator<Item = &[u8]> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let body = frame(&self.bytes[at..])?;
            at += FRAME_HEAD_BYTES + body.len();
            Some(body)
        })
    }
}

fn checksum(body: &[u8]) -> [u8; 4] {
    let digest = sha256(b"dctrl-sim-frame\0", &[body]).0;
    [digest[0], digest[1], digest[2], digest[3]]
}

/// The body of the frame at the start, if it is whole. None is empty: a lost
/// sector would look like one.
fn frame(bytes: &[u8]) -> Option<&[u8]> {
    let (head, rest) = bytes.split_at_checked(FRAME_HEAD_BYTES)?;
    let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
    let body = rest.get(..usize::try_from(length).ok()?)?;
    (!body.is_empty() && checksum(body) == head[4..]).then_some(body)
}

fn whole_frames(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(body) = frame(&bytes[at..]) {
        at += FRAME_HEAD_BYTES + body.len();
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(synced_frames: usize, frames: usize) -> Disk {
        let mut disk = Disk::default();
        for number in 0..frames {
            disk.append(format!("frame {number} {}", "x".repeat(97 * number)).as_bytes());
            if number + 1 == synced_frames {
                disk.sync(disk.len());
            }
        }
        disk
    }

    #[test]
    fn a_crash_keeps_what_was_synced_and_a_whole_prefix_of_the_rest() {
        for seed in 0..200 {
            for fate in [Fate::Prefix, Fate::Subset] {
                let (whole, mut crashed) = (disk(3, 9), disk(3, 9));
                crashed.crash(fate, &mut Prng::new(seed), &mut Marks::default());
                let kept: Vec<&[u8]> = crashed.frames().collect();
                assert!(kept.len() >= 3);
                assert!(whole.frames().take(kept.len()).eq(kept));
            }
        }
    }

    #[test]
    fn an_older_disk_ends_before_what_was_synced() {
        let mut older = disk(9, 9);
        older.crash(Fate::Older(500), &mut Prng::new(1), &mut Marks::default());
        assert!((1..9).contains(&older.frames().count()));
    }
}
