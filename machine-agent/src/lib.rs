//! Actuate one machine: obey certified orders, report what happened.
//!
//! The agent trusts the federation and no single node. It pulses a line at
//! most once for an order, whatever is killed or cut off at whatever moment,
//! and says what happened in a receipt that it signs once.
//!
//! Where to look
//! - [`machine`]: the decisions, a pure state machine `step(now, input) -> effects`.
//! - [`journal`]: what survives a power cut; written and synced before the deed.
//! - [`actuator`]: the hands, a closed set: GPIO line, local program, fake.
//! - [`sensor`]: door, drop and tilt, debounced and numbered.
//! - [`stopping`]: the phases of an orderly end.
//! - [`agent`]: the loop that performs effects, with the two threads that talk
//!   to the federation.
//!
//! Hardware requirement: the level of a GPIO line after its process has died
//! depends on the chip, and a killed agent cannot lower anything. The motor
//! must hang behind a hardware one-shot or watchdog relay that bounds its
//! on-time; the agent bounds the pulse in every case that software can.
//!
//! Deliberately absent: prices, members and payments, and any retry of a pulse.

pub mod actuator;
pub mod agent;
pub mod clock;
pub mod config;
pub mod crash;
pub mod journal;
pub mod link;
pub mod machine;
pub mod sensor;
pub mod stopping;
