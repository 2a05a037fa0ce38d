//! How RocksDB is set up: durable first, small in memory.

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType,
    DBRecoveryMode, Options as RocksOptions, WriteOptions,
};

use crate::{columns, limits};

/// Bits that tell which rows of the state are not among the latest changes, as a
/// share of the memory for these: a dozen for each row. Each new action asks for
/// two rows that are nowhere.
const STATE_FILTER_SHARE: f64 = 0.01;

/// How much memory the store may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Cache of blocks read from disk, bytes, for all column families together.
    pub cache_bytes: usize,
    /// Changes kept in memory before they are flushed, bytes, for all column
    /// families together.
    pub write_buffer_bytes: usize,
    /// Whether a commit returns only when it is on disk. Without it a crash of
    /// the machine loses what was promised: for measurements only.
    pub sync: bool,
    /// Bytes of old blocks that are kept; older ones are forgotten, except for
    /// their headers, certificates and outputs.
    pub history_bytes: u64,
    /// Length of a segment of the journal, bytes, unless one batch needs more.
    pub segment_bytes: usize,
}

impl Default for Options {
    /// Small enough for several nodes on one machine.
    fn default() -> Self {
        Self {
            cache_bytes: 16 * 1024 * 1024,
            write_buffer_bytes: 16 * 1024 * 1024,
            sync: true,
            history_bytes: limits::HISTORY_BYTES,
            segment_bytes: limits::SEGMENT_BYTES,
        }
    }
}

/// Options of the database as a whole.
pub(crate) fn database(options: &Options) -> RocksOptions {
    let mut rocks = RocksOptions::default();
    rocks.create_if_missing(true);
    rocks.create_missing_column_families(true);
    rocks.set_paranoid_checks(true);
    // RocksDB's own log holds only what a new folder and a migration write, all
    // of it synced. A torn last record is what a power cut leaves of a write
    // that nobody was promised; damage before it must not open as an earlier
    // state, and neither must a log that is missing.
    rocks.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    rocks.set_track_and_verify_wals_in_manifest(true);
    // It would read every table's properties at each start, for estimates.
    rocks.set_skip_stats_update_on_db_open(true);
    // All column families reach their files together, so that they are the
    // state after one batch, from which the journal goes on.
    rocks.set_atomic_flush(true);
    rocks.set_db_write_buffer_size(options.write_buffer_bytes);
    rocks.set_max_open_files(limits::OPEN_FILES_MAX);
    rocks.set_max_background_jobs(2);
    rocks.set_max_log_file_size(limits::INFO_LOG_BYTES_MAX);
    rocks.set_keep_log_file_num(limits::INFO_LOG_FILES_MAX);
    rocks
}

/// Those for looking at it: nothing is made.
pub(crate) fn reading(options: &Options) -> RocksOptions {
    let mut rocks = database(options);
    rocks.create_if_missing(false);
    rocks.create_missing_column_families(false);
    rocks
}

/// The column families, which share one cache.
pub(crate) fn families(options: &Options) -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(options.cache_bytes);
    let family = |(name, compress): (&str, bool)| {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&cache);
        blocks.set_cache_index_and_filter_blocks(true);
        blocks.set_bloom_filter(10.0, false);
        // Filters and indexes in pieces: those of a long history are larger than
        // the cache, and each look for a row that is nowhere read them whole.
        blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
        blocks.set_partition_filters(true);
        blocks.set_metadata_block_size(limits::METADATA_BLOCK_BYTES);
        blocks.set_pin_top_level_index_and_filter(true);
        let mut rocks = RocksOptions::default();
        rocks.set_block_based_table_factory(&blocks);
        rocks.set_write_buffer_size(options.write_buffer_bytes);
        if columns::STATES.contains(&name) {
            rocks.set_memtable_whole_key_filtering(true);
            rocks.set_memtable_prefix_bloom_ratio(STATE_FILTER_SHARE);
        }
        rocks.set_compression_type(match compress {
            true => DBCompressionType::Lz4,
            false => DBCompressionType::None,
        });
        ColumnFamilyDescriptor::new(name, rocks)
    };
    columns::ALL.into_iter().map(family).collect()
}

/// The journal has it already.
pub(crate) fn journalled() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}
