//! The whole product as its users meet it: real processes, driven from outside.
//!
//! Every test starts a federation of its own, so all are ignored in a plain
//! `cargo test`; `cargo xtask test` runs them, one at a time.

mod acknowledged;
mod agent_killed;
mod backends;
mod chaos;
mod copies;
mod damaged;
mod disk_full;
mod forgotten;
mod hints;
mod image;
mod main_job;
mod malformed;
mod membership;
mod moved;
mod node_lost;
mod payments;
mod payout;
mod refused;
mod replay;
mod settings;
mod stage;
mod stopping;
mod tabs;
