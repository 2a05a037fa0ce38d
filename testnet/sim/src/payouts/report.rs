//! What one run of payouts found.

use std::collections::BTreeMap;

use dctrl_consensus::Digest;
use dctrl_proto::v1::PayoutState;

use super::world::World;

/// One run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayoutReport {
    /// The seed that replays it.
    pub seed: u64,
    /// Payouts that were to be proposed.
    pub payouts: u64,
    /// What the run was about, for people.
    pub story: String,
    /// What went wrong; empty where nothing did.
    pub violations: Vec<String>,
    /// Payouts that were proposed and taken.
    pub taken: u64,
    /// Payouts that the chain has paid.
    pub paid: u64,
    /// Blocks of the ledger.
    pub blocks: u64,
    /// Signed actions.
    pub actions: u64,
    /// Transactions that were built.
    pub versions: u64,
    /// What was met, by name.
    pub seen: BTreeMap<String, u64>,
    /// A digest of all that happened: the same seed gives the same.
    pub digest: Digest,
}

impl PayoutReport {
    pub(super) fn of(world: World, seed: u64) -> Self {
        let plan = &world.plan;
        let mut trace = world.trace;
        trace.note(&[world.step, world.actions], &world.replicas.last().0);
        let paid = |state: PayoutState| state == PayoutState::Confirmed;
        let all = world.known.values();
        Self {
            seed,
            payouts: plan.payouts,
            story: format!(
                "{} nodes of which {:?} lie, {} of {} copayers, {} malicious, {} absent, \
                 reorganisations up to {}",
                plan.nodes,
                plan.liars,
                plan.threshold,
                plan.copayers,
                plan.malicious,
                plan.absent,
                plan.reorg_max
            ),
            violations: world.violations,
            taken: world.intents.len() as u64,
            paid: all
                .clone()
                .filter(|one| one.settled && paid(one.state()))
                .count() as u64,
            blocks: world.blocks,
            actions: world.actions,
            versions: all.map(|payout| payout.versions.len() as u64).sum(),
            seen: world.seen,
            digest: trace.finish(),
        }
    }

    /// A run that could not begin, or ended in a panic.
    pub(super) fn failed(seed: u64, payouts: u64, what: String) -> Self {
        Self {
            seed,
            payouts,
            story: String::new(),
            violations: vec![what],
            taken: 0,
            paid: 0,
            blocks: 0,
            actions: 0,
            versions: 0,
            seen: BTreeMap::new(),
            digest: Digest::ZERO,
        }
    }

    /// The command that replays this run.
    #[must_use]
    pub fn replay_command(&self) -> String {
        let (seed, payouts) = (self.seed, self.payouts);
        format!("cargo xtask sim --world payouts --payouts {payouts} --first {seed}")
    }
}
