//! Seeded damage to one file.

use std::fs;
use std::path::{Path, PathBuf};

/// What disks misplace, bytes.
const BLOCKS: [usize; 2] = [512, 4096];
/// Draws until one changes something.
const DRAWS_MAX: usize = 40;

/// A sequence of numbers that its seed decides (splitmix64).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub(crate) fn one<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Flip,
    Truncate,
    Zero,
    MovedWithin,
    MovedBetween,
    Older,
    Missing,
}

const KINDS: [Kind; 8] = [
    Kind::Flip,
    Kind::Flip,
    Kind::Truncate,
    Kind::Zero,
    Kind::MovedWithin,
    Kind::MovedBetween,
    Kind::Older,
    Kind::Missing,
];

/// Damages the file in place, so that its inode stays. `others` are files to
/// take misdirected blocks from, `older` is an earlier version of this one.
pub(crate) fn damage(
    file: &Path,
    others: &[PathBuf],
    older: Option<&Path>,
    chance: &mut Chance,
) -> Kind {
    let before = fs::read(file).unwrap();
    for _ in 0..DRAWS_MAX {
        let kind = *chance.one(&KINDS);
        if kind == Kind::Missing {
            fs::remove_file(file).unwrap();
            return kind;
        }
        let after = match kind {
            Kind::Older => older.and_then(|older| fs::read(older).ok()),
            Kind::MovedBetween => {
                let source = fs::read(chance.one(others)).unwrap_or_default();
                moved(&before, &source, chance)
            }
            kind => changed(kind, &before, chance),
        };
        if let Some(after) = after.filter(|after| *after != before) {
            fs::write(file, after).unwrap();
            return kind;
        }
    }
    // Nothing else changes a file without a byte.
    fs::write(file, [&before[..], b"?"].concat()).unwrap();
    Kind::Flip
}

fn changed(kind: Kind, before: &[u8], chance: &mut Chance) -> Option<Vec<u8>> {
    // Behind the last byte that says anything is only room.
    let used = before.iter().rposition(|byte| *byte != 0)? + 1;
    let mut after = before.to_vec();
    match kind {
        Kind::Flip => after[chance.below(used)] ^= 1 << chance.below(8),
        Kind::Truncate => after.truncate(chance.below(used)),
        Kind::Zero => {
            let block = *chance.one(&BLOCKS);
            let start = chance.below(used) / block * block;
            let end = (start + block).min(after.len());
            after[start..end].fill(0);
        }
        _ => return moved(before, before, chance),
    }
    Some(after)
}

/// A block of `source` where another one belongs.
fn moved(before: &[u8], source: &[u8], chance: &mut Chance) -> Option<Vec<u8>> {
    let block = *chance.one(&BLOCKS);
    let used = before.iter().rposition(|byte| *byte != 0)? + 1;
    let from = chance.below(source.len().max(1)) / block * block;
    let to = chance.below(used) / block * block;
    let bytes = source.get(from..source.len().min(from + block))?;
    let mut after = before.to_vec();
    let end = (to + bytes.len()).min(after.len());
    after[to..end].copy_from_slice(&bytes[..end - to]);
    Some(after)
}

/// Copies a folder with everything in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// The files below a folder, in order, by their place in it.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(folder.join(&inner)).unwrap() {
            let entry = entry.unwrap();
            let place = inner.join(entry.file_name());
            if entry.path().is_dir() {
                folders.push(place);
            } else {
                found.push(place);
            }
        }
    }
    found.sort();
    found
}
