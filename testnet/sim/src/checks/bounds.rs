//! Memory stays within the bounds that the limits name, whatever peers do.

use dctrl_consensus::{Limits, Summary};

use crate::engine::Seat;

/// Events by which a graph may grow in an hour without quorum: each node makes
/// at most one in its layer, one more where it wakes, and what was on its way.
const GROWTH_WITHOUT_QUORUM_MAX: usize = 6;

/// What nodes held when quorum was lost.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    before: Vec<Option<usize>>,
}

impl Bounds {
    /// Checks one node against its limits. `layer` is the highest of any node.
    pub(crate) fn check(
        seat: Seat,
        summary: &Summary,
        limits: &Limits,
        layer: u64,
    ) -> Result<(), String> {
        let nodes = summary.known.len();
        let of_chains: u64 = summary.known.iter().flatten().map(|seq| seq + 1).sum();
        let branches = nodes * limits.branches_brought_max * nodes;
        let layer = usize::try_from(layer).unwrap_or(usize::MAX / nodes / 64);
        let in_layers = nodes * (layer + 2) * limits.layer_events_max as usize;
        let of_chains = usize::try_from(of_chains).unwrap_or(usize::MAX);
        let within = [
            (
                "orphan events",
                summary.orphan_events,
                // Its own share, and what events of others need of it.
                2 * nodes * limits.orphan_events_max,
            ),
            (
                "pool bytes",
                summary.pool_bytes,
                // And what own events of an epoch that was sealed had in them.
                limits.pool_bytes_max + limits.layer_events_max as usize * limits.event_bytes_max,
            ),
            ("events of chains", of_chains, in_layers),
            (
                "events of branches",
                summary.events.saturating_sub(of_chains),
                branches,
            ),
        ];
        match within.iter().find(|(_, held, bound)| held > bound) {
            None => Ok(()),
            Some((what, held, bound)) => Err(format!(
                "node {seat} holds {held} {what}, and {bound} are allowed"
            )),
        }
    }

    /// Quorum is lost, and these are the events of the nodes that are up.
    pub(crate) fn quorum_lost(&mut self, events: Vec<Option<usize>>) {
        self.before = events;
    }

    /// An hour has passed without quorum.
    pub(crate) fn still_lost(&self, events: &[Option<usize>]) -> Result<(), String> {
        for (seat, (before, after)) in self.before.iter().zip(events).enumerate() {
            let bound = GROWTH_WITHOUT_QUORUM_MAX * events.len();
            if let (Some(before), Some(after)) = (before, after)
                && *after > before + bound
            {
                return Err(format!(
                    "node {seat} grew from {before} to {after} without quorum"
                ));
            }
        }
        Ok(())
    }
}
