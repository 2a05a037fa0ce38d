//! Where a test stops a process that writes to the store. What a crash point
//! is, and how one is chosen, says `dctrl_crash`.

/// Every crash point of this crate, by the write that it belongs to.
pub const CRASH_POINTS: &[&str] = &[
    // A new folder.
    "store.schema.before",
    "store.schema.written",
    // A folder of an older version.
    "store.migrate.before_piece",
    "store.migrate.piece_written",
    // A start after a crash.
    "store.replay.batch_applied",
    "store.reopen.before_cut",
    "store.reopen.cut",
    "store.reopen.synced",
    // A batch.
    "store.commit.before_write",
    "store.commit.half_written",
    "store.commit.written",
    "store.commit.synced",
    "store.commit.noted",
    "store.commit.applied",
    // A full segment of the journal, and the next one.
    "store.roll.before_end",
    "store.roll.end_half_written",
    "store.roll.end_written",
    "store.roll.end_synced",
    "store.segment.spare_taken",
    "store.segment.before_allocation",
    "store.segment.before_folder_sync",
    "store.segment.made",
    // An old one.
    "store.retire.before",
    "store.retire.after",
    // RocksDB's files.
    "store.flush.before",
    "store.flush.after",
    "store.prune.before",
    "store.prune.after",
    // The state of a seal, kept for peers.
    "store.checkpoint.before",
    "store.checkpoint.made",
    "store.checkpoint.before_removal",
    "store.checkpoint.half_removed",
    "store.export.half_written",
    "store.export.written",
    "store.export.synced",
    "store.export.named",
    // That of a peer, taken over.
    "store.install.before_begin",
    "store.install.begun",
    "store.install.before_chunk",
    "store.install.chunk_written",
    "store.install.part_unpacked",
    "store.install.unpacked",
    "store.install.abandoned",
    "store.swap.before_flush",
    "store.swap.flushed",
    "store.swap.written",
    // Damaged data, set aside.
    "store.aside.before_move",
    "store.aside.moved",
];
