//! Run one node by wiring the rooms together.
//!
//! [`run`] reads the configuration, opens the store, replays the consensus
//! log, and starts, in order: gossip, bus and door, effects, pipeline, API. It
//! stops intake first: API, effects, then the pipeline, which finishes what is
//! queued, and the network last. Every room is its own crate; this one only
//! hands them channels, and [`pipeline`] is the only place where
//! consensus and ledger meet. [`opaque`] runs the same engine without a
//! ledger, to measure it.
//!
//! Deliberately absent: business, wire formats, and any second way in.

pub mod admission;
mod boot;
mod checker;
pub mod config;
pub mod crash;
pub mod db;
mod disk;
mod door;
mod effects;
mod engine;
pub mod exit;
mod fill;
mod frame;
mod inbox;
mod live;
mod machines;
pub mod membership;
pub mod opaque;
pub mod pipeline;
mod renewal;
mod run;
mod scrub;
mod signals;
mod signatures;
mod space;
mod stopping;
mod waiting;

pub use disk::{Disk, DiskError};
pub use effects::{EffectKind, run_effect};
pub use engine::EngineError;
pub use fill::{Fill, fill_bulk};
pub use run::{RunError, check, run, run_filled, vouch};
pub use stopping::UNSTOPPED;

/// Ends at SIGTERM or Ctrl-C; a second one ends the process at once.
pub async fn shutdown() {
    signals::shutdown().await;
}
