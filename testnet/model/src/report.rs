//! What was checked, how far, and with which result.

use std::{fs, time::Duration};

use serde::Serialize;

/// How a check covers what it claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Every case within the bounds.
    Exhaustive,
    /// As many random cases as stated.
    Sampled,
    /// An error was planted and has to be found.
    Control,
}

/// One check.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What was checked, with its bounds.
    pub name: String,
    /// How it covers that.
    pub kind: Kind,
    /// Distinct states, or graphs.
    pub states: usize,
    /// Transitions, or elections.
    pub steps: usize,
    /// Wall time.
    pub seconds: f64,
    /// Whether the claim held; for a control, whether the error was found.
    pub ok: bool,
    /// A counterexample, or what else is worth knowing.
    pub note: String,
}

/// All checks of a run.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The checks in order.
    pub checks: Vec<Check>,
    /// Claims that did not hold.
    pub violations: usize,
    /// Planted errors that were not found.
    pub missed_controls: usize,
    /// Distinct states of all exhaustive checks.
    pub states: usize,
    /// Graphs of all sampled checks.
    pub graphs: usize,
    /// Wall time.
    pub seconds: f64,
    /// Most memory the process had, MB; 0 where the system does not say.
    pub peak_rss_mb: usize,
    /// Whether everything is as it has to be.
    pub ok: bool,
}

impl Report {
    /// Adds a check and says what came of it, unless only JSON is wanted.
    pub fn add(&mut self, check: Check, quiet: bool) {
        match (check.kind, check.ok) {
            (Kind::Control, false) => self.missed_controls += 1,
            (_, false) => self.violations += 1,
            _ => {}
        }
        match check.kind {
            Kind::Exhaustive => self.states += check.states,
            Kind::Sampled => self.graphs += check.states,
            Kind::Control => {}
        }
        self.seconds += check.seconds;
        if !quiet {
            let word = match (check.kind, check.ok) {
                (Kind::Control, true) => "found",
                (Kind::Control, false) => "MISSED",
                (_, true) => "holds",
                (_, false) => "VIOLATED",
            };
            println!(
                "{word:8} {:72} {:>10} states {:>12} steps {:>8.1} s",
                check.name, check.states, check.steps, check.seconds
            );
            for line in check.note.lines() {
                println!("         {line}");
            }
        }
        self.checks.push(check);
    }

    /// Ends the run.
    pub fn finish(&mut self) {
        self.ok = self.violations + self.missed_controls == 0;
        self.peak_rss_mb = peak_rss_mb();
    }
}

/// Rounds to milliseconds.
#[must_use]
pub fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

fn peak_rss_mb() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|rest| rest.split_whitespace().next()?.parse::<usize>().ok());
    kilobytes.unwrap_or(0) / 1024
}
