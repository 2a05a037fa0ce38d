//! Payouts in one seeded world: the real ledger on several replicas, the real
//! broadcaster and chain notifier of each node, a bitcoin network with a
//! mempool at each of them, and people, some of whom cheat.
//!
//! What flows where: `plan` (all that a seed stands for) → `world` (time and
//! order) → `copayers`, `refunds`, `attacks`
//! and `payers` (people), `watchers` and `liars` (nodes),
//! `net` (the chain) → `checks` (what must hold) → [`PayoutReport`] →
//! [`PayoutCampaign`].
//!
//! What is the product's own: the ledger with its audit, the wallet's
//! transactions, the sight of chain and payouts. What is made here a second
//! time, so that it is checked: the wallet's keys and scripts, and the verdict
//! on signatures of spends.
//!
//! Absent: consensus (all replicas are given the same order; the other worlds
//! have it), signatures of actions, machines, disks, and the outboxes.

mod attacks;
mod backend;
mod campaign;
mod checks;
mod copayers;
mod founding;
mod grid;
mod liars;
mod net;
mod payers;
mod plan;
mod planted;
mod refunds;
mod replicas;
mod report;
mod watchers;
mod world;

pub use campaign::{PayoutCampaign, PayoutTotal};
pub(crate) use checks::is_over;
pub(crate) use copayers::newest;
pub use grid::find_planted_in_cell;
pub(crate) use grid::{can_replace, grid_steps, play_cell};
pub use plan::PAYOUTS_PER_RUN;
pub use planted::Planted;
pub use report::PayoutReport;

use plan::Plan;
use world::World;

use crate::copayer_keys::wallet;
use crate::grid::Form;

/// Steps of the storm behind the last proposal, so that much of it is met.
const STORM_STEPS: u64 = 60;
/// Steps in which all must come to an end once all is healed.
const HEALED_STEPS_MAX: u64 = 2_500;
/// Steps of a run with faults, at most.
const STORM_STEPS_MAX: u64 = 6_000;
/// Blocks that bury the last payout, so that nobody watches it any more.
const BURIED: u32 = 110;
/// Steps in which nodes learn of that.
const LAST_STEPS: u64 = 40;
/// Seeds in which a planted error is looked for.
const PLANTED_SEEDS: u64 = 10;

/// Runs one seed with so many payouts.
#[must_use]
pub fn simulate_payouts(seed: u64, payouts: u64) -> PayoutReport {
    run(Plan::of(seed, payouts), seed)
}

/// What a planted error is found as; not every seed comes to its place, so
/// some are tried.
#[must_use]
pub fn find_planted(planted: Planted) -> Option<String> {
    if planted == Planted::StaysInBlock {
        return find_planted_in_cell("confirmed_1", 7, Form::Replaced, planted);
    }
    (0..PLANTED_SEEDS).find_map(|seed| {
        let mut plan = Plan::of(seed, 12);
        plan.planted = Some(planted);
        if planted == Planted::Unwatched {
            plan.reorg_max = plan::DEPTH_MAX;
        }
        if matches!(planted, Planted::Misbook | Planted::Strike) {
            plan = Plan {
                planted: plan.planted,
                ..Plan::calm(3)
            };
        }
        let violations = run(plan, seed).violations;
        (!violations.is_empty()).then(|| violations.join("; "))
    })
}

fn run(plan: Plan, seed: u64) -> PayoutReport {
    let keys = wallet(plan.threshold, plan.copayers);
    let payouts = plan.payouts;
    match World::new(plan, seed, keys) {
        Ok(mut world) => {
            phases(&mut world);
            PayoutReport::of(world, seed)
        }
        Err(what) => PayoutReport::failed(seed, payouts, what),
    }
}

/// Storm, healing, burial; it ends early where something is wrong.
fn phases(world: &mut World) {
    let mut left = STORM_STEPS;
    while left > 0 && world.step < STORM_STEPS_MAX && world.violations.is_empty() {
        world.step();
        if !world.wants_more() && !world.waits_for_blow() {
            left -= 1;
        }
    }
    world.storm = false;
    let until = world.step + HEALED_STEPS_MAX;
    while world.step < until && world.violations.is_empty() {
        world.step();
        if world.unfinished().is_empty() {
            break;
        }
    }
    if !world.violations.is_empty() {
        return;
    }
    let unfinished: Vec<String> = world
        .unfinished()
        .iter()
        .map(|payout| world.describe_unfinished(payout))
        .collect();
    unfinished
        .into_iter()
        .for_each(|what| world.violation(what));
    if !world.violations.is_empty() {
        return;
    }
    for _ in 0..BURIED {
        world.net.mine();
    }
    for _ in 0..LAST_STEPS {
        world.step();
    }
    world.check_end();
}
