//! What one run of the whole world found.

use dctrl_consensus::Digest;

use super::plan::Size;
use super::points;
use super::seen::Seen;
use super::world::World;
use crate::marks::Marks;
use crate::rules::Rules;

/// One run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FullReport {
    /// The seed that replays it.
    pub seed: u64,
    /// Nodes in the federation.
    pub nodes: usize,
    /// How much it held.
    pub size: Size,
    /// The rules that were fixed for it.
    pub rules: Rules,
    /// What the run was about, for people.
    pub story: String,
    /// What went wrong; empty where nothing did.
    pub violations: Vec<String>,
    /// Virtual nanoseconds.
    pub simulated_ns: u64,
    /// Vends that were quoted, however they ended.
    pub vends: u64,
    /// Lines that went high.
    pub pulses: u64,
    /// Blocks that are final.
    pub blocks: u64,
    /// Things that happened.
    pub steps: u64,
    /// Actions that people, machines and nodes signed and handed in.
    pub actions: u64,
    /// What network, disks and clocks did.
    pub marks: Marks,
    /// What the rest of the world met.
    pub seen: Seen,
    /// Crash points that the run passed.
    pub passed: Vec<&'static str>,
    /// Crash points at which a process was killed.
    pub struck: Vec<&'static str>,
    /// A digest of all that happened: the same seed gives the same.
    pub digest: Digest,
}

impl FullReport {
    pub(super) fn of(world: World, seed: u64, rules: Rules) -> Self {
        let plan = &world.plan;
        let story = format!(
            "{} purchases at {} machines among {:?}, saying {:?}, striking {:?}",
            plan.purchases, plan.machines, plan.cast.parts, plan.mouths, plan.strikes
        );
        let known = points::all();
        let passed = world.passed.keys().copied();
        Self {
            seed,
            nodes: plan.nodes,
            size: plan.size,
            rules,
            story,
            violations: world.violations,
            simulated_ns: world.now,
            vends: world.checks.books.vends.len() as u64,
            pulses: world.checks.pulses.count(),
            blocks: world.checks.agreement.last_final(),
            steps: world.steps,
            actions: world.actions,
            marks: world.marks,
            seen: world.seen,
            passed: passed.filter(|point| known.contains(point)).collect(),
            struck: world.struck,
            digest: world.trace.finish(),
        }
    }

    /// A run that ended in a panic, which is a violation as any other.
    pub(super) fn of_panic(
        (seed, nodes, size): (u64, usize, Size),
        rules: Rules,
        text: &str,
    ) -> Self {
        Self {
            seed,
            nodes,
            size,
            rules,
            story: String::new(),
            violations: vec![format!("a panic: {text}")],
            simulated_ns: 0,
            vends: 0,
            pulses: 0,
            blocks: 0,
            steps: 0,
            actions: 0,
            marks: Marks::default(),
            seen: Seen::default(),
            passed: Vec::new(),
            struck: Vec::new(),
            digest: Digest::ZERO,
        }
    }

    /// The command that replays this run: alone, or with the others of its
    /// sweep.
    #[must_use]
    pub fn replay_command(&self) -> String {
        let (seed, nodes, rules) = (self.seed, self.nodes, self.rules.arguments());
        let sweep = if self.struck.is_empty() {
            ""
        } else {
            " --sweep"
        };
        let size = match self.size {
            Size::Busy => " --size busy",
            Size::Usual | Size::One => "",
        };
        let world = format!("--world full{size}{sweep}");
        format!("cargo xtask sim {world} --seeds 1 --first {seed} --nodes {nodes}{rules}")
    }
}
