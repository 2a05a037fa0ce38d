//! Drive real processes, a real bitcoind and faults.
//!
//! One harness serves `cargo xtask demo`, `cargo xtask bench vend` and the
//! system tests: a [`Federation`] is made with `dctrl testnet init`, its nodes,
//! chain and agent are processes of ours, and everything is asked through the
//! doors that the outside has: gRPC, the `dctrl` command line, and the pin
//! trace of the agent.
//!
//! Invariants: every wait has a deadline; every process is stopped by its own
//! id, at the latest when its owner is dropped; ports are free ones, so that
//! several federations can run side by side.
//!
//! Deliberately absent: any crate of the node. What is driven here is what is
//! shipped.

pub mod bench;
mod chain;
pub mod chaos;
mod cli;
mod client;
pub mod consensus;
pub mod crash_points;
pub mod demo;
mod federation;
pub mod idle;
pub mod payout;
mod ports;
mod process;
mod programs;
mod random;
pub mod reorgs;
pub mod restart;
mod story;
mod trace;
mod wait;

pub use chain::{Bitcoind, Chain, ChainKind, Purse, Simulated, Txid};
pub use cli::{Cli, Said};
pub use client::Client;
pub use federation::{Federation, MACHINE, NODE_NAMES, Options, SLOT_EMPTY, SLOT_FIAT, SLOT_SATS};
pub use ports::{Ports, free_ports};
pub use process::Process;
pub use programs::{Programs, bitcoind};
pub use story::Story;
pub use trace::{Pulse, Trace, now_ms};
pub use wait::{POLL, until, within};
