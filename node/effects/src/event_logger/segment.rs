//! The files of the log: `events-<index of the first entry>.jsonl`.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
};

use dctrl_proto::v1::BusBody;

use super::entry::{Entry, EntryError, FIRST, Gap};

const PREFIX: &str = "events-";
const SUFFIX: &str = ".jsonl";

/// Bytes that may be written before they are synced: more than the longest
/// line. Of so many a power cut may leave any part, such as a later line whole
/// and an earlier one not.
pub(super) const UNSYNCED_BYTES_MAX: u64 = 4 << 20;

/// Why the log cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file cannot be used.
    #[error("{path}: {source}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The last segment is damaged before its end.
    #[error("{path}, line {line}: {error}; nothing is appended to a damaged log")]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        error: EntryError,
    },
    /// An entry has no JSON form.
    #[error("an entry cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// The end of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Index of the last entry; 0 for none.
    pub(super) index: u64,
    pub(super) hash: [u8; 32],
    /// Height and position of its frame.
    pub(super) height: u64,
    pub(super) sub_index: u32,
    /// It was the last frame of its block.
    pub(super) ends_block: bool,
}

/// The frame that every block ends with has this topic.
const BLOCK_TOPIC: &str = "block";

/// The log, open for appending.
#[derive(Debug)]
pub struct Log {
    folder: PathBuf,
    segment_bytes_max: u64,
    file: Option<(PathBuf, File, u64)>,
    /// Written since the last sync, bytes.
    unsynced: u64,
    pub(super) end: End,
}

impl Log {
    /// Opens the log and finds its end; cuts off what a power cut left of lines
    /// that were not synced. Whoever follows the bus gets them again.
    ///
    /// # Errors
    /// The log is damaged before its end, or cannot be read.
    pub fn open(folder: &Path, segment_bytes_max: u64) -> Result<Self, LogError> {
        let wrong = |source| LogError::File {
            path: folder.to_owned(),
            source,
        };
        fs::create_dir_all(folder).map_err(wrong)?;
        let mut log = Self {
            folder: folder.to_owned(),
            segment_bytes_max,
            file: None,
            unsynced: 0,
            end: End {
                index: 0,
                hash: FIRST,
                height: 0,
                sub_index: 0,
                ends_block: true,
            },
        };
        let mut last = segments(folder).map_err(wrong)?;
        while let Some((_, path)) = last.pop() {
            if log.resume(&path)? {
                break;
            }
            // The segment was made, and then the power went.
            fs::remove_file(&path).map_err(|source| LogError::File { path, source })?;
        }
        Ok(log)
    }

    /// Goes on at the end of a segment; false when it has no whole line.
    fn resume(&mut self, path: &Path) -> Result<bool, LogError> {
        let wrong = |source| LogError::File {
            path: path.to_owned(),
            source,
        };
        let mut good_bytes = 0;
        let read = File::open(path).map_err(wrong)?;
        let all_bytes = read.metadata().map_err(wrong)?.len();
        let mut reader = BufReader::new(read);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let bytes = reader.read_until(b'\n', &mut line).map_err(wrong)?;
            // Without its end a line was never synced.
            if bytes == 0 || line.pop() != Some(b'\n') {
                break;
            }
            let (entry, hash) = match Entry::read(&line) {
                Ok(read) => read,
                // So near the end it was never synced.
                Err(_) if all_bytes - good_bytes <= UNSYNCED_BYTES_MAX => break,
                Err(error) => {
                    return Err(LogError::Damaged {
                        path: path.to_owned(),
                        line: number,
                        error,
                    });
                }
            };
            good_bytes += bytes as u64;
            self.end = End {
                index: entry.index,
                hash,
                height: entry.height,
                sub_index: entry.sub_index,
                ends_block: entry.topic == BLOCK_TOPIC || entry.gap().is_some(),
            };
        }
        if good_bytes == 0 {
            return Ok(false);
        }
        let file = OpenOptions::new().append(true).open(path).map_err(wrong)?;
        if all_bytes > good_bytes {
            let bytes = all_bytes - good_bytes;
            tracing::warn!(path = %path.display(), bytes, "a torn end of the log is cut off");
            file.set_len(good_bytes).map_err(wrong)?;
            dctrl_crash::point("effects.log.torn_line_cut");
        }
        // What is gone on from may itself never have been synced.
        file.sync_data().map_err(wrong)?;
        self.file = Some((path.to_owned(), file, good_bytes));
        Ok(true)
    }

    /// Appends a frame, whose encoded body is `bytes`; durable only after
    /// [`Self::sync`].
    ///
    /// # Errors
    /// It cannot be written.
    pub fn append(&mut self, body: &BusBody, bytes: &[u8]) -> Result<(), LogError> {
        let index = self.end.index + 1;
        let entry = Entry::new(index, body, bytes, self.end.hash)?;
        self.append_entry(&entry, body.topic == BLOCK_TOPIC)
    }

    /// Appends that frames are missing; durable only after [`Self::sync`].
    pub(super) fn append_gap(&mut self, gap: &Gap) -> Result<(), LogError> {
        let entry = Entry::of_gap(self.end.index + 1, gap, self.end.hash)?;
        self.append_entry(&entry, true)
    }

    fn append_entry(&mut self, entry: &Entry, ends_block: bool) -> Result<(), LogError> {
        let (mut line, hash) = entry.line()?;
        line.push(b'\n');
        let full = |written: u64| written >= self.segment_bytes_max;
        if self
            .file
            .as_ref()
            .is_none_or(|(_, _, written)| full(*written))
        {
            self.begin_segment(entry.index)?;
        }
        if self.unsynced > 0 && self.unsynced + line.len() as u64 > UNSYNCED_BYTES_MAX {
            self.sync()?;
        }
        if let Some((path, file, written)) = &mut self.file {
            self.unsynced += line.len() as u64;
            dctrl_crash::torn("effects.log.half_written", || {
                let _ = file.write_all(&line[..line.len() / 2]);
            });
            let written_whole = file
                .write_all(&line)
                .and_then(|()| dctrl_crash::fallible("effects.log.written"));
            written_whole.map_err(|source| LogError::File {
                path: path.clone(),
                source,
            })?;
            *written += line.len() as u64;
        }
        self.end = End {
            index: entry.index,
            hash,
            height: entry.height,
            sub_index: entry.sub_index,
            ends_block,
        };
        Ok(())
    }

    /// Returns when everything appended is on the disk.
    ///
    /// # Errors
    /// The disk fails.
    pub fn sync(&mut self) -> Result<(), LogError> {
        if let Some((path, file, _)) = &self.file {
            file.sync_data().map_err(|source| LogError::File {
                path: path.clone(),
                source,
            })?;
            self.unsynced = 0;
            dctrl_crash::point("effects.log.synced");
        }
        Ok(())
    }

    fn begin_segment(&mut self, first: u64) -> Result<(), LogError> {
        self.sync()?;
        let path = self.folder.join(format!("{PREFIX}{first:012}{SUFFIX}"));
        let made = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(&path)
            // The name must survive a power cut as well as the lines.
            .and_then(|file| File::open(&self.folder)?.sync_all().map(|()| file));
        match made {
            Ok(file) => {
                dctrl_crash::point("effects.log.segment_made");
                self.file = Some((path, file, 0));
                Ok(())
            }
            Err(source) => Err(LogError::File { path, source }),
        }
    }
}

/// The segments of a folder, by the index of their first entry.
pub(super) fn segments(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut segments = Vec::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let first = name
            .and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX))
            .and_then(|first| first.parse().ok());
        if let Some(first) = first {
            segments.push((first, path));
        }
    }
    segments.sort_unstable();
    Ok(segments)
}
