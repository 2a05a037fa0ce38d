//! Simulate a whole federation deterministically.
//!
//! Real engines run in virtual time over a network that loses, doubles, delays
//! and cuts, on disks that forget what was not synced, with one node run twice
//! under one key. A seed decides everything, so a failing seed is a bug report.
//!
//! Checked: every honest node puts out the same blocks; nothing submitted to an
//! honest node is lost once faults end; every block gets its certificate; no
//! honest node diverges or contradicts itself after a restart; an idle
//! federation makes no events.
//!
//! Absent: real signatures (messages are taken as verified), real disks and
//! sockets, and the ledger, which this crate replaces by a hash.

mod node;
mod prng;
mod report;
mod scenario;
mod world;

pub use prng::Prng;
pub use report::{Faults, Report, Total};

/// Runs one seed with this many nodes, 1 to 16.
///
/// # Panics
/// Where `nodes` is outside that range.
#[must_use]
pub fn simulate(seed: u64, nodes: usize) -> Report {
    assert!((1..=16).contains(&nodes), "1 to 16 nodes are simulated");
    world::World::new(seed, nodes).run()
}
