//! Measure what the design promises.
//!
//! The benches measure one node's work on one core: what the consensus engine
//! does with a federation's events ([`recording`]) and what the ledger does
//! with a block of actions ([`workload`]). The latency of a vend through all
//! processes is measured by `cargo xtask bench vend`.

pub mod lockstep;
pub mod recording;
pub mod workload;
