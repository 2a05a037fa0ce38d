//! Named places where a test kills the process.
//!
//! With `DCTRL_CRASH=<name>` in its environment the process aborts when it
//! first comes to that place, as if the power had gone. Without the variable
//! a crash point costs one comparison.

use std::sync::OnceLock;

/// Every crash point, in the order in which a vend passes them.
pub const CRASH_POINTS: &[&str] = &[
    "agent.after_journal_open",
    "agent.after_safe_state",
    "agent.before_adopted_sync",
    "agent.after_adopted_sync",
    "agent.before_begun_sync",
    "agent.begun_half_written",
    "agent.after_begun_sync",
    "agent.order_received",
    "agent.before_armed_sync",
    "agent.armed_half_written",
    "agent.after_armed_sync",
    "agent.after_accept_sent",
    "agent.before_firing_sync",
    "agent.firing_half_written",
    "agent.after_firing_sync",
    "agent.pulse_high",
    "agent.pulse_low",
    "agent.after_pulse",
    "agent.before_settled_sync",
    "agent.settled_half_written",
    "agent.after_settled_sync",
    "agent.after_receipt_sent",
    "agent.before_applied_sync",
    "agent.after_applied_sync",
];

static WANTED: OnceLock<Option<String>> = OnceLock::new();

/// Whether the process was asked to die at `name`.
#[must_use]
pub fn wanted(name: &str) -> bool {
    WANTED
        .get_or_init(|| std::env::var("DCTRL_CRASH").ok())
        .as_deref()
        == Some(name)
}

/// Dies here if that was asked for.
pub fn crash_point(name: &str) {
    if wanted(name) {
        std::process::abort();
    }
}
