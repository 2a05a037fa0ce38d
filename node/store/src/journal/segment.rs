//! One file of the journal, open for writing.
//!
//! A file whose blocks were written before is synced with less: where they are
//! only reserved, each sync has to write what the file system notes of them,
//! too, one write of the disk after the other. So a spare one is written full
//! of zeros aside, as long as no used one is there to be written over.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Length of a segment, bytes, unless one batch needs more.
pub(crate) const SEGMENT_BYTES: usize = 32 << 20;

/// A file that is free to become the next segment.
const SPARE: &str = "spare";

/// A file on its way to be [`SPARE`].
const UNFINISHED: &str = "spare.unfinished";

/// Bytes of a spare file that are written and synced at once, so that the
/// syncs of batches do not wait long behind them.
const ZEROS_AT_ONCE: usize = 1 << 20;

/// The segment that is written.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    file: File,
    /// Where the next entry goes.
    pub(super) written: usize,
    length: usize,
    pub(super) last_record: u64,
    /// Its blocks were written before.
    pub(super) is_used: bool,
}

impl Segment {
    /// A new segment with room for at least `bytes`.
    pub(super) fn create(
        folder: &Path,
        number: u64,
        bytes: usize,
        last_record: u64,
    ) -> io::Result<Self> {
        let path = path(folder, number);
        let spare = folder.join(SPARE);
        let mut is_used = spare.exists();
        if is_used {
            fs::rename(&spare, &path)?;
        }
        let mut options = OpenOptions::new();
        let file = options
            .create(true)
            .write(true)
            .truncate(false)
            .open(&path)?;
        let length = bytes.max(SEGMENT_BYTES);
        if file.metadata()?.len() < length as u64 {
            is_used = false;
            allocate(&file, length)?;
            file.sync_all()?;
        }
        File::open(folder)?.sync_all()?;
        Ok(Self {
            number,
            file,
            written: 0,
            length,
            last_record,
            is_used,
        })
    }

    /// The last segment after a restart; what is behind `written` is void.
    pub(super) fn reopen(
        folder: &Path,
        number: u64,
        written: usize,
        last_record: u64,
    ) -> io::Result<Self> {
        let path = path(folder, number);
        let mut file = OpenOptions::new().write(true).open(&path)?;
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        let length = length.max(SEGMENT_BYTES).max(written);
        // A torn batch must never be continued into a whole one.
        file.set_len(written as u64)?;
        allocate(&file, length)?;
        file.sync_all()?;
        file.seek(SeekFrom::Start(written as u64))?;
        Ok(Self {
            number,
            file,
            written,
            length,
            last_record,
            is_used: false,
        })
    }

    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.written + bytes <= self.length
    }

    pub(super) fn append(&mut self, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
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
        Ok(())
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

/// Whether a file waits to be the next segment.
pub(super) fn has_spare(folder: &Path) -> bool {
    folder.join(SPARE).exists()
}

/// Makes a file that waits to be the next segment. Takes a while.
pub(crate) fn make_spare(folder: &Path) -> io::Result<()> {
    let unfinished = folder.join(UNFINISHED);
    let mut file = File::create(&unfinished)?;
    let zeros = vec![0; ZEROS_AT_ONCE];
    for _ in 0..SEGMENT_BYTES / ZEROS_AT_ONCE {
        file.write_all(&zeros)?;
        file.sync_data()?;
    }
    file.sync_all()?;
    fs::rename(unfinished, folder.join(SPARE))
}

const _: () = assert!(SEGMENT_BYTES.is_multiple_of(ZEROS_AT_ONCE));

/// The file of a segment.
pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}.seg"))
}

/// Gives up a segment: its file waits to be the next one, or goes.
pub(super) fn retire(folder: &Path, number: u64) -> io::Result<()> {
    let path = path(folder, number);
    let spare = folder.join(SPARE);
    if spare.exists() || fs::metadata(&path)?.len() != SEGMENT_BYTES as u64 {
        fs::remove_file(path)
    } else {
        fs::rename(path, spare)
    }
}
