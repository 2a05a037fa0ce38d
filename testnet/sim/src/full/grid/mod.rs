//! One reorganisation of a given depth, when the first vend has just come to a
//! given step; beside that nothing goes wrong.

mod steps;

use std::collections::BTreeSet;

use dctrl_effects::chain::Hash;
use dctrl_proto::v1::VendState;

use super::plan::{Plan, Planted};
use super::report::FullReport;
use super::run;
use super::world::World;
use crate::grid::{STRUCK, UNDONE};
use crate::rules::Rules;
use crate::scenario::SECOND;
use steps::At;
pub(crate) use steps::grid_steps;
pub(super) use steps::{Goods, Step};

/// Nodes of one run.
const NODES: usize = 4;
/// Purchases of one run: the vend that is struck, and others around it.
const PURCHASES: usize = 4;
/// Between two blocks of the chain, on average.
const BLOCK_EVERY: u64 = 3 * SECOND;
/// How long a quote holds, milliseconds.
const QUOTE_MS: u32 = 20_000;
/// Confirmations that a payment takes which is not sold on unconfirmed.
const CONFIRMATIONS: u32 = 3;

/// When the chain is reorganised, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blow {
    pub(super) step: &'static Step,
    depth: u32,
    lost: bool,
}

/// How the blow stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Struck {
    /// No vend has come to the step.
    NotYet,
    /// These have; it comes next.
    Now(BTreeSet<String>),
    /// It has come, and then the chain was so high.
    At(u32),
}

/// Plays one cell of the grid.
pub(crate) fn play_cell(name: &str, depth: u32, lost: bool, seed: u64) -> FullReport {
    play(name, depth, lost, seed, None)
}

/// What an error is found as that is planted into a cell.
#[must_use]
pub fn find_planted_in_cell(
    name: &str,
    depth: u32,
    lost: bool,
    planted: Planted,
) -> Option<String> {
    let violations = play(name, depth, lost, 0, Some(planted)).violations;
    violations.into_iter().next()
}

fn play(name: &str, depth: u32, lost: bool, seed: u64, planted: Option<Planted>) -> FullReport {
    let mut plan = Plan::calm(seed, NODES);
    plan.purchases = PURCHASES;
    plan.block_every = BLOCK_EVERY;
    plan.quote_ms = QUOTE_MS;
    plan.confirmations = CONFIRMATIONS;
    plan.planted = planted;
    plan.blow = steps::named(name).map(|step| Blow { step, depth, lost });
    run(plan, seed, Rules::default())
}

impl World {
    /// What everybody buys, and how they pay, where the plan says so.
    pub(super) fn blow_step(&self) -> Option<&'static Step> {
        self.plan.blow.map(|blow| blow.step)
    }

    /// A block is final: whether a vend has come to the step.
    pub(super) fn look_for_vend(&mut self) {
        let Some(blow) = self.plan.blow.filter(|_| self.blow == Struck::NotYet) else {
            return;
        };
        let books = &self.checks.books;
        let there: BTreeSet<String> = match blow.step.at {
            At::Vend(state) => {
                let vends = books.vends.values();
                vends
                    .filter(|vend| vend.history.iter().any(|step| step.state() == state))
                    .map(|vend| vend.id.clone())
                    .collect()
            }
            At::Payment(state, deep) => books
                .payments()
                .filter(|one| one.state() == state && one.confirmations >= deep)
                .map(|one| one.vend_id.clone())
                .collect(),
            At::Agent(_) => return,
        };
        if !there.is_empty() {
            self.blow = Struck::Now(there);
        }
    }

    /// An agent passes a named place: whether that is the step.
    pub(super) fn look_for_agent(&mut self, point: &'static str) {
        let Some(blow) = self.plan.blow.filter(|_| self.blow == Struck::NotYet) else {
            return;
        };
        if blow.step.at == At::Agent(point) {
            let ordered = |state| {
                let paid = matches!(state, VendState::Authorised | VendState::Dispatched);
                paid || state == VendState::Accepted
            };
            let vends = self.checks.books.vends.values();
            let vends = vends.filter(|vend| ordered(vend.state()));
            self.blow = Struck::Now(vends.map(|vend| vend.id.clone()).collect());
        }
    }

    /// Strikes, where a vend has just come to its step.
    pub(super) fn maybe_strike(&mut self) {
        let Some(blow) = self.plan.blow else { return };
        let Struck::Now(vends) = &self.blow else {
            return;
        };
        let payments = self.checks.books.payments();
        let paid: BTreeSet<Hash> = payments
            .filter(|one| vends.contains(&one.vend_id))
            .filter_map(|one| Hash::from_slice(&one.outpoint.as_ref()?.txid))
            .collect();
        let chain = &self.market.chain;
        let tip = chain.tip().height;
        let undone = (tip + 1 - blow.depth..=tip)
            .filter_map(|height| chain.block_at(height))
            .flat_map(|block| &block.transactions)
            .any(|one| paid.contains(&one.txid));
        self.reorganise(blow.depth, blow.lost);
        self.blow = Struck::At(self.market.chain.tip().height);
        self.trace.note(&[21, self.now, u64::from(blow.depth)], &[]);
        if self.market.chain.tip().height == tip + 1 {
            self.seen.hit(STRUCK);
        }
        if undone {
            self.seen.hit(UNDONE);
        }
    }

    /// Whether the blow has come, and so many blocks since that everybody must
    /// know what it did.
    pub(super) fn is_past_blow(&self, blocks: u32) -> bool {
        let tip = self.market.chain.tip().height;
        match self.blow {
            Struck::At(height) => tip >= height + blocks,
            Struck::NotYet | Struck::Now(_) => self.plan.blow.is_none(),
        }
    }
}
