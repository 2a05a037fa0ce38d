//! The last block dealt with, in a small file of its own: `height hash`.

use std::{fs, io, path::Path};

use super::super::{Hash, Tip};

/// What the file says; `None` when there is none or it says nothing sensible,
/// which only makes the next walk longer.
pub(super) fn read(path: &Path) -> Option<Tip> {
    let text = fs::read_to_string(path).ok()?;
    let (height, hash) = text.trim_end().split_once(' ')?;
    Some(Tip {
        height: height.parse().ok()?,
        hash: Hash::from_slice(&hex::decode(hash).ok()?)?,
    })
}

/// Replaces the file as a whole. It is not synced: a lost one costs a walk.
pub(super) fn write(path: &Path, tip: Tip) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, format!("{} {}\n", tip.height, tip.hash))?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nonsense_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cursor");
        assert_eq!(read(&path), None);
        let tip = Tip {
            height: 7,
            hash: Hash([9; 32]),
        };
        write(&path, tip).unwrap();
        assert_eq!(read(&path), Some(tip));
        fs::write(&path, "7 99").unwrap();
        assert_eq!(read(&path), None);
    }
}
