//! What a run found.

use dctrl_consensus::Digest;
use serde_json::{Value, json};

/// How often each kind of fault struck.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Messages lost by chance.
    pub lost: u64,
    /// Messages delivered twice.
    pub duplicated: u64,
    /// Messages lost to a partition.
    pub cut: u64,
    /// Processes killed, with the loss of what was not synced.
    pub crashes: u64,
    /// Proofs of forks put out by nodes.
    pub forks_proven: u64,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The seed that replays it.
    pub seed: u64,
    /// Nodes in the federation.
    pub nodes: usize,
    /// What went wrong; empty where nothing did.
    pub violations: Vec<String>,
    /// Virtual nanoseconds.
    pub simulated_ns: u64,
    /// Transactions submitted.
    pub actions: u64,
    /// Blocks agreed on.
    pub blocks: u64,
    /// Faults that struck.
    pub faults: Faults,
    /// A digest of all that happened: the same seed gives the same.
    pub digest: Digest,
}

impl Report {
    pub(crate) fn new(seed: u64, nodes: usize) -> Self {
        Self {
            seed,
            nodes,
            violations: Vec::new(),
            simulated_ns: 0,
            actions: 0,
            blocks: 0,
            faults: Faults::default(),
            digest: Digest::ZERO,
        }
    }

    /// The command that replays this run alone.
    #[must_use]
    pub fn replay_command(&self) -> String {
        format!(
            "cargo run -p dctrl-sim -- --seeds 1 --first {} --nodes {}",
            self.seed, self.nodes
        )
    }
}

/// The sum of many runs.
#[derive(Debug, Clone, Default)]
pub struct Total {
    seeds: u64,
    violations: u64,
    simulated_ns: u128,
    actions: u64,
    blocks: u64,
    faults: Faults,
    first_failing: Option<(u64, usize)>,
}

impl Total {
    /// Adds a run.
    pub fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.violations += report.violations.len() as u64;
        self.simulated_ns += u128::from(report.simulated_ns);
        self.actions += report.actions;
        self.blocks += report.blocks;
        self.faults.lost += report.faults.lost;
        self.faults.duplicated += report.faults.duplicated;
        self.faults.cut += report.faults.cut;
        self.faults.crashes += report.faults.crashes;
        self.faults.forks_proven += report.faults.forks_proven;
        if !report.violations.is_empty() && self.first_failing.is_none() {
            self.first_failing = Some((report.seed, report.nodes));
        }
    }

    /// Whether nothing went wrong in any run.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violations == 0
    }

    /// The sum as one JSON object.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "seeds": self.seeds,
            "violations": self.violations,
            "simulated_s": u64::try_from(self.simulated_ns / 1_000_000_000).unwrap_or(u64::MAX),
            "actions": self.actions,
            "blocks": self.blocks,
            "faults": {
                "lost": self.faults.lost,
                "duplicated": self.faults.duplicated,
                "cut": self.faults.cut,
                "crashes": self.faults.crashes,
                "forks_proven": self.faults.forks_proven,
            },
            "first_failing_seed": self.first_failing.map(|(seed, _)| seed),
            "first_failing_nodes": self.first_failing.map(|(_, nodes)| nodes),
        })
    }
}
