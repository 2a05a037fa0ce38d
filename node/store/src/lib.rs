//! Keep everything on disk.
//!
//! A journal holds the consensus records and the blocks; one RocksDB holds
//! headers, outputs and certificates, the ledger's state, and the cursors of
//! followers, and knows where in the journal the blocks are. A [`Batch`]
//! collects all that changes together and [`Store::commit`] writes it to the
//! journal as one synced write, so after a crash either all of it is there or
//! nothing; RocksDB needs no log of its own. A [`Snapshot`] reads all of it
//! at one height.
//!
//! Invariants. Record numbers, executed heights and certificates have no gaps:
//! a batch that would make one is refused whole. What `commit` returned `Ok`
//! for survives a power cut. After a failed write nothing is accepted until
//! the folder is opened anew. A torn last write is normal after a power cut
//! and is dropped; damage before it refuses to open.
//!
//! Integrity of single values rests on RocksDB: every block of a file and every
//! entry of the write-ahead log has a checksum, which is verified on each
//! read. Whether a whole value is the right one is shown by hash chains above
//! this crate: headers name each other, certificates sign them, and the state
//! digest covers the state.
//!
//! The state of a seal can be kept aside for peers ([`Store::checkpoint`]) and
//! that of a peer taken over ([`Store::install`]).
//!
//! A closed store can be looked at as a whole ([`check`]), and set aside where
//! it is damaged ([`set_aside`]). An open one is read through a little at a time
//! ([`Scrub`]).
//!
//! Deliberately absent: knowledge of what the bytes mean, except the topic of
//! an output and, in [`check`], what proves a block; any decision about what may
//! be pruned; and any mending. A node whose disk is damaged is rebuilt from its
//! peers.

mod aside;
mod batch;
pub mod check;
mod columns;
mod crash;
mod error;
mod export;
mod frames;
mod install;
mod journal;
mod leaves;
pub mod limits;
mod manifest;
mod migrate;
mod open;
mod options;
mod records;
mod scrub;
mod snapshot;
mod store;

pub use aside::{Extent, aside_folder, set_aside};
pub use batch::{Batch, Part};
pub use crash::CRASH_POINTS;
pub use dctrl_consensus::snapshot::StateManifest;
pub use error::{Blame, StoreError};
pub use export::StateExport;
pub use frames::Frames;
pub use install::{CheckedState, InstallError, Seal, StateInstall};
pub use options::Options;
pub use scrub::{Scrub, Scrubbed};
pub use snapshot::{RosterSteps, Snapshot};
pub use store::{Records, Store};
