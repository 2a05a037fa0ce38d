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
    let text = format!("{} {}\n", tip.height, tip.hash);
    dctrl_crash::torn("effects.cursor.half_written", || {
        let _ = fs::write(&new, &text[..text.len() / 2]);
    });
    fs::write(&new, text)?;
    dctrl_crash::fallible("effects.cursor.written")?;
    fs::rename(&new, path)?;
    dctrl_crash::point("effects.cursor.named");
    Ok(())
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
