//! All that a seed stands for.

use super::grid::Blow;
use super::planted::Planted;
use crate::prng::Prng;

/// Payouts of one run.
pub const PAYOUTS_PER_RUN: u64 = 50;

/// Deepest reorganisation, blocks.
pub(super) const DEPTH_MAX: u32 = 100;

/// A run.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) nodes: usize,
    /// Seats that lie.
    pub(super) liars: Vec<usize>,
    pub(super) threshold: usize,
    pub(super) copayers: usize,
    /// Fewer than the threshold; the first ones.
    pub(super) malicious: usize,
    /// Never there until all is healed; the last ones.
    pub(super) absent: usize,
    /// Approvals that a large payout takes.
    pub(super) approvals: u32,
    pub(super) allow_list: bool,
    /// Members who pay in.
    pub(super) members: usize,
    pub(super) payouts: u64,
    /// Deepest reorganisation, blocks.
    pub(super) reorg_max: u32,
    /// Whether the whole wallet's keys are stolen, once.
    pub(super) theft: bool,
    pub(super) planted: Option<Planted>,
    /// One reorganisation, at one step of the first payout.
    pub(super) blow: Option<Blow>,
}

impl Plan {
    pub(super) fn of(seed: u64, payouts: u64) -> Self {
        let mut chance = Prng::new(seed ^ 0x7061_796f_7574_7321);
        let nodes = if chance.chance(250) { 7 } else { 4 };
        let faulty = (nodes - 1) / 3;
        let lying = usize::try_from(chance.below(faulty as u64 + 1)).unwrap_or(0);
        let (threshold, copayers) = if chance.chance(300) { (3, 5) } else { (2, 3) };
        let malicious = usize::try_from(chance.below(threshold as u64)).unwrap_or(0);
        let spare = (copayers - threshold) as u64;
        let absent = usize::try_from(chance.below(spare + 1)).unwrap_or(0);
        let first = usize::try_from(chance.below(nodes as u64)).unwrap_or(0);
        Self {
            nodes,
            liars: (0..lying).map(|one| (first + one) % nodes).collect(),
            threshold,
            copayers,
            malicious,
            absent,
            approvals: 2,
            allow_list: chance.chance(400),
            members: 4,
            payouts,
            reorg_max: *[2, 5, 12, 40, DEPTH_MAX]
                .get(usize::try_from(chance.below(5)).unwrap_or(0))
                .unwrap_or(&2),
            theft: chance.chance(150),
            planted: None,
            blow: None,
        }
    }

    /// Nothing goes wrong.
    pub(super) fn calm(payouts: u64) -> Self {
        Self {
            nodes: 4,
            liars: Vec::new(),
            threshold: 2,
            copayers: 3,
            malicious: 0,
            absent: 0,
            approvals: 2,
            allow_list: false,
            members: 4,
            payouts,
            reorg_max: 0,
            theft: false,
            planted: None,
            blow: None,
        }
    }

    pub(super) fn is_liar(&self, seat: usize) -> bool {
        self.liars.contains(&seat)
    }

    pub(super) fn is_malicious(&self, copayer: usize) -> bool {
        copayer < self.malicious
    }

    pub(super) fn is_absent(&self, copayer: usize) -> bool {
        copayer + self.absent >= self.copayers
    }
}
