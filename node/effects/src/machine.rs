//! Turn what machines say, and what they no longer say, into alerts.
//!
//! Begins with the node's facts of `machine.` and `vend.`, so that its view of
//! each machine is whole after every start; what a sensor reported last is no
//! fact, but the alert that it raised is known from the file. An alert is raised once and
//! cleared once: both are lines of a JSON file, from which a restarted
//! notifier also knows what it has raised before.
//!
//! Deliberately absent: any action. The ledger itself decides from whom it
//! sells; this is for people.

mod alerts;
mod notifier;
mod view;

pub use alerts::{Alert, AlertFile, AlertKind, Alerts};
pub use notifier::{MachineNotifierConfig, start};
