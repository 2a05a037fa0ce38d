//! The ledger from outside: whole blocks of signed actions, and a full audit
//! after each.

#![allow(clippy::unwrap_used, reason = "a failure in a test is a panic")]

mod address;
mod answers;
mod catalogue;
mod claims;
mod common;
mod deadlines;
mod envelope;
mod facts;
mod genesis;
mod grid;
mod held;
mod machine;
mod nodes;
mod nodes_leave;
mod nodes_renew;
mod nodes_votes;
mod payments;
mod payouts;
mod replicas;
mod risk;
mod rosters;
mod signatures;
mod tabs;
mod told;
