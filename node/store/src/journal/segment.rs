//! One file of the journal, open for writing.
//!
//! Blocks that are only reserved cost each sync another write of the disk, for
//! what the file system notes of them. So a short batch that goes into such
//! blocks writes zeros ahead of the next ones, in the same sync, and those
//! write over what is there. A used file needs none of that.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Zeros written ahead at once: room for some ten short batches, and no more
/// than one sync writes without taking notably longer.
const ZEROS_AHEAD: usize = 128 << 10;

/// Longest batch that is short: zeros ahead of longer ones would cost more than
/// they save.
const SHORT_BYTES_MAX: usize = ZEROS_AHEAD / 2;

/// A file that is free to become the next segment.
const SPARE: &str = "spare";

/// The segment that is written.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    file: File,
    /// Where the next entry goes.
    pub(super) written: usize,
    length: usize,
    /// Blocks up to here were written before.
    used: usize,
    pub(super) last_record: u64,
}

impl Segment {
    /// A new segment with room for at least `bytes`.
    pub(super) fn create(
        folder: &Path,
        number: u64,
        bytes: usize,
        last_record: u64,
        segment_bytes: usize,
    ) -> io::Result<Self> {
        let path = path(folder, number);
        let spare = folder.join(SPARE);
        let mut used = 0;
        if spare.exists() {
            fs::rename(&spare, &path)?;
            dctrl_crash::point("store.segment.spare_taken");
            used = segment_bytes;
        }
        let mut options = OpenOptions::new();
        let file = options
            .create(true)
            .write(true)
            .truncate(false)
            .open(&path)?;
        let length = bytes.max(segment_bytes);
        if file.metadata()?.len() < length as u64 {
            dctrl_crash::fallible("store.segment.before_allocation")?;
            allocate(&file, length)?;
            file.sync_all()?;
        }
        dctrl_crash::fallible("store.segment.before_folder_sync")?;
        File::open(folder)?.sync_all()?;
        dctrl_crash::point("store.segment.made");
        Ok(Self {
            number,
            file,
            written: 0,
            length,
            used,
            last_record,
        })
    }

    /// The last segment after a restart; what is behind `written` is void.
    pub(super) fn reopen(
        folder: &Path,
        number: u64,
        written: usize,
        last_record: u64,
        segment_bytes: usize,
    ) -> io::Result<Self> {
        let path = path(folder, number);
        let mut file = OpenOptions::new().write(true).open(&path)?;
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        let length = length.max(segment_bytes).max(written);
        // A torn batch must never be continued into a whole one.
        dctrl_crash::fallible("store.reopen.before_cut")?;
        file.set_len(written as u64)?;
        dctrl_crash::point("store.reopen.cut");
        allocate(&file, length)?;
        file.sync_all()?;
        dctrl_crash::point("store.reopen.synced");
        file.seek(SeekFrom::Start(written as u64))?;
        Ok(Self {
            number,
            file,
            written,
            length,
            used: written,
            last_record,
        })
    }

    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.written + bytes <= self.length
    }

    pub(super) fn append(&mut self, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        let before = self.written;
        while !slices.is_empty() {
            match self.file.write_vectored(slices) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.written += count;
                    IoSlice::advance_slices(&mut slices, count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.written > self.used && self.written - before <= SHORT_BYTES_MAX {
            let ahead = ZEROS_AHEAD.min(self.length.saturating_sub(self.written));
            let at = self.written as u64;
            self.file.write_all_at(&[0; ZEROS_AHEAD][..ahead], at)?;
            self.used = self.written + ahead;
        }
        Ok(())
    }

    /// What a power cut in the middle of [`Self::append`] leaves.
    pub(super) fn append_half(&mut self, slices: &[IoSlice<'_>]) {
        let whole: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        // Whoever asks for this dies next, whatever came of it.
        let _ = self.file.write_all(&whole[..whole.len() / 2]);
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Reserves the blocks of the file, so that writing does not have to.
fn allocate(file: &File, length: usize) -> io::Result<()> {
    let length = i64::try_from(length).map_err(io::Error::other)?;
    nix::fcntl::fallocate(file, nix::fcntl::FallocateFlags::empty(), 0, length)?;
    Ok(())
}

/// The file of a segment.
pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}.seg"))
}

/// Gives up a segment: its file waits to be the next one, or goes.
pub(super) fn retire(folder: &Path, number: u64, segment_bytes: usize) -> io::Result<()> {
    let path = path(folder, number);
    let spare = folder.join(SPARE);
    dctrl_crash::fallible("store.retire.before")?;
    if spare.exists() || fs::metadata(&path)?.len() != segment_bytes as u64 {
        fs::remove_file(path)?;
    } else {
        fs::rename(path, spare)?;
    }
    dctrl_crash::point("store.retire.after");
    Ok(())
}
