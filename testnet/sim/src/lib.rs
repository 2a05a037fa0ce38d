//! Simulate a whole federation deterministically.
//!
//! Real engines run in virtual time over a network that loses, doubles,
//! replays, delays, clogs and cuts, on disks that forget what was not synced,
//! with clocks that are years off, among nodes that lie. A seed decides
//! everything, so a failing seed is a bug report.
//!
//! What flows where: `scenario` (all that a seed stands for) → `world` (time,
//! processes, network) → `engine` (the one place that touches the core) and
//! `actors` (the liars) → `checks` (what must hold) → [`Report`] → [`Campaign`].
//!
//! There are three worlds. The smallest one replaces the ledger by a hash and has
//! all lies that can be told within consensus; [`full`] has the real ledger,
//! machines with their agents, a chain and people; [`payouts`] has the ledger
//! without consensus, and all that can happen to money on its way out.
//!
//! Absent: real sockets and disks. Signatures are real in a few runs only; in
//! the others messages are taken as verified, and liars keep to their own keys.

mod actors;
mod agenda;
mod app;
mod campaign;
mod checks;
mod clock;
mod copayer_keys;
mod disk;
mod engine;
pub mod full;
pub mod grid;
mod lab;
pub mod latency;
mod marks;
mod network;
mod node;
pub mod payouts;
mod people;
mod prng;
mod puppet;
mod report;
mod rules;
mod scenario;
pub mod seals;
mod setting;
mod states;
mod trace;
pub mod twins;
mod world;

pub use campaign::{Campaign, RUNS_FOR_COVERAGE, Total};
pub use marks::{Group, Mark, Marks};
pub use prng::Prng;
pub use report::{Picture, Report};
pub use rules::Rules;

/// Runs one seed with this many nodes, 1 to 16, under these rules.
///
/// # Panics
/// Where `nodes` is outside that range.
#[must_use]
pub fn simulate(seed: u64, nodes: usize, rules: Rules) -> Report {
    assert!((1..=16).contains(&nodes), "1 to 16 nodes are simulated");
    world::World::new(seed, nodes, rules).run(seed, rules)
}
