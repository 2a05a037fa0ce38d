//! Every bound of this crate, with its unit and reason.

/// Largest batch, bytes: many times what one block can change. RocksDB itself
/// would take 4 GiB and hold it in memory several times over.
pub const BATCH_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Frames in one answer of [`Snapshot::frames`](crate::Snapshot::frames).
pub const FRAMES_MAX: usize = 512;

/// Bytes of all frames in one answer, as they are encoded. An answer must fit
/// into one frame of the network, 1 MiB; the last frame may exceed this.
pub const FRAMES_BYTES_MAX: usize = 512 * 1024;

/// Heights that one answer looks through. Of 20,000 blocks without a match a
/// reader learns in five answers, none of which keeps others waiting.
pub const FRAMES_HEIGHTS_MAX: u64 = 4_096;

/// Bytes of outputs that one answer looks through.
pub const FRAMES_SCAN_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Changes of membership in one answer.
pub const ROSTER_STEPS_MAX: usize = 256;

/// Bytes of changes of membership in one answer; the last may exceed this by
/// less than 32 KiB.
pub const ROSTER_STEPS_BYTES_MAX: usize = 512 * 1024;

/// Segments of the journal that are filled before RocksDB writes its files:
/// what is read again after a crash, and what a flush is worth.
pub(crate) const UNFLUSHED_SEGMENTS_MAX: usize = 8;

/// Bytes of old blocks that are kept where nothing else is asked for: years of
/// vending, minutes of a flood.
pub const HISTORY_BYTES: u64 = 8 << 30;

/// Files that RocksDB keeps open.
pub(crate) const OPEN_FILES_MAX: i32 = 256;

/// RocksDB's own text log: size of a file in bytes, and how many are kept.
pub(crate) const INFO_LOG_BYTES_MAX: usize = 4 * 1024 * 1024;
pub(crate) const INFO_LOG_FILES_MAX: usize = 4;

/// Longest cursor name, bytes.
pub const CURSOR_NAME_BYTES_MAX: usize = 64;
