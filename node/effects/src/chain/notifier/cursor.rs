//! The last block dealt with, in a small file of its own: one JSON object with
//! `height`, `hash` and `check`.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

use super::super::{Hash, Tip};
use crate::sealed;

#[derive(Serialize, Deserialize)]
struct Stored {
    height: u32,
    hash: String,
}

/// What the file says; `None` when there is none or it is damaged, which only
/// makes the next walk longer.
#[must_use]
pub fn read(path: &Path) -> Option<Tip> {
    let stored: Stored = sealed::open(fs::read(path).ok()?.strip_suffix(b"\n")?)?;
    Some(Tip {
        height: stored.height,
        hash: Hash::from_slice(&hex::decode(stored.hash).ok()?)?,
    })
}

/// Replaces the file as a whole. It is not synced: a lost one costs a walk.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, tip: Tip) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut text = sealed::seal(&Stored {
        height: tip.height,
        hash: tip.hash.to_string(),
    })?;
    text.push(b'\n');
    dctrl_crash::torn("effects.cursor.half_written", || {
        let _ = fs::write(&new, &text[..text.len() / 2]);
    });
    fs::write(&new, &text)?;
    dctrl_crash::fallible("effects.cursor.written")?;
    fs::rename(&new, path)?;
    dctrl_crash::point("effects.cursor.named");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_a_damaged_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cursor");
        assert_eq!(read(&path), None);
        let tip = Tip {
            height: 7,
            hash: Hash([9; 32]),
        };
        write(&path, tip).unwrap();
        assert_eq!(read(&path), Some(tip));
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, damaged).unwrap();
            assert_eq!(read(&path), None, "byte {at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(read(&path), None, "cut at {at}");
        }
    }
}
