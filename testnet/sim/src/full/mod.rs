//! The whole system in one seeded world: the real consensus core and the real
//! ledger in each node, stores on simulated disks, frames of the bus, the
//! agents' real state machine with its journal, motors and sensors, the chain
//! with its payments, and the people around all that.
//!
//! What flows where: `plan` (all that a seed stands for) → `world` (time and
//! happenings) → `drive` and `node` (cores, ledgers, stores), `bus`,
//! `machines` and `agent`, `market`, `notify`, `people` → `checks` (what must
//! hold) → [`FullReport`] → [`FullCampaign`].
//!
//! What is the product's own: consensus, ledger (guard, execution, audit),
//! agent (decisions, journal bytes, names of crash points), the chain
//! notifier's sight, the broadcaster's view of payouts, the wallet's
//! transactions, the chain model, and the bus's sequencer. What is
//! mirrored, because it is woven into threads and sockets: the pipeline
//! (`node`, `drive`), the store (`store`), replays and doors (`bus`, `ears`),
//! the outbox of observations (`notify`), and the agent's loop (`machines`).
//!
//! Absent: changes of membership, states of seals (nodes keep all blocks), and
//! liars within consensus, which the smaller world has. Of payouts the world of
//! `payouts` has more: mempools of each node, forged PSBTs, refunds, children.

mod agent;
mod broadcaster;
mod bus;
mod campaign;
mod checks;
mod copayers;
mod drive;
mod ears;
mod founding;
mod grid;
mod liars;
mod machines;
mod market;
mod node;
mod notifier;
mod notify;
mod outputs;
mod parties;
mod people;
mod physics;
mod plan;
mod planted;
mod points;
mod report;
mod script;
mod seen;
mod settle;
mod store;
mod world;

pub use campaign::{FullCampaign, FullTotal};
pub use grid::find_planted_in_cell;
pub(crate) use grid::{grid_steps, play_cell};
pub use plan::{Planted, Size};
pub use report::FullReport;

use plan::Plan;
use world::World;

use crate::rules::Rules;

/// Seeds in which a planted error is looked for.
const PLANTED_SEEDS: u64 = 12;

/// Runs one seed of the whole world with this many nodes, 1 to 16.
///
/// # Panics
/// Where `nodes` is outside that range.
#[must_use]
pub fn simulate_full(seed: u64, nodes: usize, size: Size, rules: Rules) -> FullReport {
    assert!((1..=16).contains(&nodes), "1 to 16 nodes are simulated");
    run(Plan::of(seed, nodes, size), seed, rules)
}

/// A quiet site, or one in a storm, with an error that must be found.
#[must_use]
pub fn simulate_planted(seed: u64, stormy: bool, planted: Planted) -> FullReport {
    let mut plan = if stormy {
        Plan::of(seed, 4, Size::Usual)
    } else {
        Plan::calm(seed, 4)
    };
    plan.plant(planted);
    run(plan, seed, Rules::default())
}

/// What each planted error is found as; not every seed comes to its place, so
/// some are tried.
#[must_use]
pub fn find_planted(planted: Planted, stormy: bool) -> Option<String> {
    (0..PLANTED_SEEDS).find_map(|seed| {
        let violations = simulate_planted(seed, stormy, planted).violations;
        violations.into_iter().next()
    })
}

fn run(plan: Plan, seed: u64, rules: Rules) -> FullReport {
    let mut world = World::new(plan, seed, rules);
    if world.violations.is_empty() {
        world.run_phases();
    }
    FullReport::of(world, seed, rules)
}
