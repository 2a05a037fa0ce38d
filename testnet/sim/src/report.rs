//! What one run found.

use dctrl_consensus::Digest;

use crate::marks::Marks;
use crate::rules::Rules;

/// One run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The seed that replays it.
    pub seed: u64,
    /// Nodes in the federation.
    pub nodes: usize,
    /// The rules that were fixed for it.
    pub rules: Rules,
    /// What the run was about, for people.
    pub story: String,
    /// What went wrong; empty where nothing did.
    pub violations: Vec<String>,
    /// Virtual nanoseconds.
    pub simulated_ns: u64,
    /// Actions that users submitted, to honest nodes and to liars.
    pub submitted: u64,
    /// Actions that were ordered, each counted once.
    pub actions: u64,
    /// Blocks agreed on.
    pub blocks: u64,
    /// What the run met.
    pub marks: Marks,
    /// A digest of all that happened: the same seed gives the same.
    pub digest: Digest,
}

impl Report {
    /// The command that replays this run alone.
    #[must_use]
    pub fn replay_command(&self) -> String {
        let (seed, nodes, rules) = (self.seed, self.nodes, self.rules.arguments());
        format!("cargo xtask sim --seeds 1 --first {seed} --nodes {nodes}{rules}")
    }
}
