//! The named places at which programs let themselves be killed
//! (`DCTRL_CRASH`).

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::programs::Programs;

/// Of the agent, in the order in which a vend passes them.
pub(super) const AGENT: &[&str] = &[
    "agent.after_safe_state",
    "agent.before_summary_sync",
    "agent.summary_half_written",
    "agent.after_summary_sync",
    "agent.after_summary_named",
    "agent.after_journal_open",
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

/// The variable that names one.
pub(super) const VARIABLE: &str = "DCTRL_CRASH";

/// Most places that a program may name.
const PLACES_MAX: usize = 1_000;

/// Those of the node, as it says itself.
///
/// # Errors
/// Where it does not.
pub(super) fn of_node(programs: &Programs) -> Result<Vec<String>> {
    let said = Command::new(programs.node())
        .arg("crash-points")
        .output()
        .context("the node's program does not start")?;
    let text = String::from_utf8(said.stdout)?;
    let places: Vec<String> = text.lines().map(str::to_owned).collect();
    ensure!(
        said.status.success() && (1..=PLACES_MAX).contains(&places.len()),
        "`dctrl-node crash-points` names {} places",
        places.len()
    );
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_has_exactly_these_places() {
        let source = include_str!("../../../../machine-agent/src/crash.rs");
        let named: Vec<&str> = source
            .lines()
            .filter_map(|line| line.trim().strip_prefix("\"agent."))
            .filter_map(|rest| rest.split('"').next())
            .collect();
        let ours: Vec<&str> = AGENT
            .iter()
            .filter_map(|place| place.strip_prefix("agent."))
            .collect();
        assert_eq!(named, ours);
    }
}
