//! Every bound of this crate, with its unit and reason.

use dctrl_consensus::snapshot::STATE_CHUNK_BYTES_MAX;
pub use dctrl_consensus::snapshot::STATE_CHUNKS_MAX;

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

/// Length of every chunk of a state but the last, bytes: one fits into a message
/// between nodes, with what is around it.
pub const STATE_CHUNK_BYTES: usize = STATE_CHUNK_BYTES_MAX;

/// Longest key of a state that is taken over, bytes.
pub const STATE_KEY_BYTES_MAX: usize = 4096;

/// Longest value of a state that is taken over, bytes: the longest genesis and
/// something above it.
pub const STATE_VALUE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes of entries that are written at once while a state is taken over.
pub(crate) const INSTALL_BATCH_BYTES: usize = 1024 * 1024;

/// States of seals that are kept for peers: the newest, and the one before,
/// which some peer may just be fetching.
pub const EXPORTS_KEPT: usize = 2;

const _: () = assert!(STATE_CHUNK_BYTES > STATE_KEY_BYTES_MAX);
const _: () = assert!(INSTALL_BATCH_BYTES + STATE_VALUE_BYTES_MAX < BATCH_BYTES_MAX);

/// Segments of the journal that are filled before RocksDB writes its files:
/// what is read again after a crash, and what a flush is worth.
pub(crate) const UNFLUSHED_SEGMENTS_MAX: usize = 8;

/// Bytes of old blocks that are kept where nothing else is asked for: years of
/// vending, minutes of a flood.
pub const HISTORY_BYTES: u64 = 8 << 30;

/// Length of a segment of the journal, bytes, where nothing else is asked for.
pub const SEGMENT_BYTES: usize = 32 << 20;

/// Length of a piece of a filter or an index, bytes: as long as a block.
pub(crate) const METADATA_BLOCK_BYTES: usize = 4096;

/// Files that RocksDB keeps open.
pub(crate) const OPEN_FILES_MAX: i32 = 256;

/// RocksDB's own text log: size of a file in bytes, and how many are kept.
pub(crate) const INFO_LOG_BYTES_MAX: usize = 4 * 1024 * 1024;
pub(crate) const INFO_LOG_FILES_MAX: usize = 4;

/// Longest cursor name, bytes.
pub const CURSOR_NAME_BYTES_MAX: usize = 64;
