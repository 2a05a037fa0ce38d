//! What one run found.

use std::any::Any;

use dctrl_consensus::Digest;

use crate::marks::Marks;
use crate::rules::Rules;

/// What one node knew at the end of a run that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The node's seat.
    pub seat: usize,
    /// Its latest events in the notation of drawings.
    pub text: String,
    /// The same as SVG.
    pub svg: String,
}

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
    /// What honest nodes knew, where something went wrong.
    pub pictures: Vec<Picture>,
    /// A digest of all that happened: the same seed gives the same.
    pub digest: Digest,
}

impl Report {
    /// A run that ended in a panic, which is a violation as any other.
    #[must_use]
    pub fn of_panic(seed: u64, nodes: usize, rules: Rules, panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Self {
            seed,
            nodes,
            rules,
            story: String::new(),
            violations: vec![format!("a panic: {}", text.unwrap_or("without a word"))],
            simulated_ns: 0,
            submitted: 0,
            actions: 0,
            blocks: 0,
            marks: Marks::default(),
            pictures: Vec::new(),
            digest: Digest::ZERO,
        }
    }

    /// The command that replays this run alone.
    #[must_use]
    pub fn replay_command(&self) -> String {
        let (seed, nodes, rules) = (self.seed, self.nodes, self.rules.arguments());
        format!("cargo xtask sim --seeds 1 --first {seed} --nodes {nodes}{rules}")
    }
}
