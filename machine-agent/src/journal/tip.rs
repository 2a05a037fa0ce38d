//! How far the journal was written, beside it.
//!
//! A line that is gone looks like one that was never written, and it may say
//! that the pulse was given. So after each synced line its place is noted here,
//! without a sync of its own: what stands here is never ahead of the journal,
//! and a journal that ends before it is damaged. A note that cannot be read
//! says nothing.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::line::{CHAIN_START, decode, encode};

const NAME: &str = "tip";

/// The end of the last synced line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) generation: u64,
    pub(super) length: u64,
}

pub(super) struct Tip(File);

impl Tip {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let mut options = File::options();
        options.write(true).create(true).truncate(false).mode(0o600);
        options.open(path(folder)).map(Self)
    }

    /// Call only when the line is synced.
    pub(super) fn note(&self, place: Place) -> io::Result<()> {
        let (line, _) = encode(&CHAIN_START, &place)?;
        self.0.write_all_at(&line, 0)
    }
}

/// The last place that was noted.
pub(super) fn read(folder: &Path) -> Place {
    let bytes = fs::read(path(folder)).unwrap_or_default();
    let text = decode(&CHAIN_START, &bytes).map(|(text, _)| text);
    text.and_then(|text| serde_json::from_slice(text).ok())
        .unwrap_or_default()
}

pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}
