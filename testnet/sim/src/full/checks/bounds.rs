//! What waits stays within bounds, whatever peers and disks do.

use std::collections::BTreeMap;

use crate::checks::Bounds;
use crate::full::world::World;

/// Observations of one node on their way at most: those of all payments.
const OUTBOX_MAX: usize = 10_000;
/// Blocks by which a node's publication may be behind what is final there.
const UNPUBLISHED_MAX: u64 = 64;
/// Receipts of one machine that are not known to be applied.
const RECEIPTS_MAX: usize = 64;

/// The highest layer that any node was seen in, by epoch. A node names the layer
/// of its own last event and may make none for long, and the others may be in the
/// next epoch already, whose layers begin anew.
#[derive(Debug, Default)]
pub(in crate::full) struct Layers(BTreeMap<u64, u64>);

impl Layers {
    fn see(&mut self, epoch: u64, layer: u64) {
        let highest = self.0.entry(epoch).or_default();
        *highest = layer.max(*highest);
    }

    fn highest(&self, epoch: u64) -> u64 {
        self.0.get(&epoch).copied().unwrap_or(0)
    }
}

/// Looks at all that waits anywhere.
pub(in crate::full) fn check_bounds(world: &mut World) -> Result<(), String> {
    let limits = &world.founding.setting.limits;
    let nodes = world.nodes.iter();
    let up: Vec<_> = nodes
        .filter_map(|node| Some((node, node.engine.as_ref()?.summary())))
        .collect();
    let layers = &mut world.checks.layers;
    for (_, summary) in &up {
        layers.see(summary.epoch, summary.layer.unwrap_or(0));
    }
    for (node, summary) in &up {
        let seat = node.seat;
        Bounds::check(seat, summary, limits, layers.highest(summary.epoch))?;
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
