//! What waits stays within bounds, whatever peers and disks do.

use crate::checks::Bounds;
use crate::full::world::World;

/// Observations of one node on their way at most: those of all payments.
const OUTBOX_MAX: usize = 10_000;
/// Blocks by which a node's publication may be behind what is final there.
const UNPUBLISHED_MAX: u64 = 64;
/// Receipts of one machine that are not known to be applied.
const RECEIPTS_MAX: usize = 64;

/// Looks at all that waits anywhere.
pub(in crate::full) fn check_bounds(world: &World) -> Result<(), String> {
    let limits = &world.founding.setting.limits;
    for node in &world.nodes {
        let Some(engine) = &node.engine else { continue };
        let summary = engine.summary();
        Bounds::check(node.seat, &summary, limits, summary.layer.unwrap_or(0))?;
        let seat = node.seat;
        let unpublished = node.store.final_height - node.published.min(node.store.final_height);
        if node.notifier.outbox.len() > OUTBOX_MAX {
            return Err(format!("node {seat} has too much to say"));
        }
        if unpublished > UNPUBLISHED_MAX {
            return Err(format!("node {seat} has {unpublished} blocks to publish"));
        }
    }
    for agent in &world.agents {
        let receipts = agent.durable().map_or(0, |durable| durable.receipts.len());
        if receipts > RECEIPTS_MAX {
            let id = &agent.id;
            return Err(format!("machine {id} has {receipts} receipts to send"));
        }
    }
    Ok(())
}
