//! What an own event would be built on: the last events of all nodes.

use super::{Busy, Emit, View};
use crate::dag::{Dag, Slot};
use crate::id::NodeIndex;
use crate::node_set::NodeSet;

/// Beyond this many parents, an event names only those that add something to
/// its layer: each parent is 42 bytes in every event.
const PARENTS_FREE: usize = 16;

/// The last events of this node and of the others, and their layers.
#[derive(Debug)]
pub(crate) struct Front {
    own: Option<Slot>,
    /// Of every other creator that is not known to fork, ascending by creator.
    tips: Vec<Slot>,
    /// By node: the layer of its last event. `None` where there is none.
    layers: Vec<Option<u64>>,
    /// Who could be waited for: the others that are not known to fork.
    others: NodeSet,
    own_layer: Option<u64>,
    next_layer: u64,
}

impl Front {
    /// The front of a graph as `me` sees it, who builds on no forker.
    pub(crate) fn of(dag: &Dag, me: NodeIndex, forkers: NodeSet) -> Self {
        let layer = |slot: Slot| dag.vertex(slot).layer;
        let own = dag.tip(me);
        let mut others = NodeSet::default();
        let honest = dag.creators();
        honest
            .filter(|&node| node != me && !forkers.contains(node))
            .for_each(|node| others.insert(node));
        let tips: Vec<Slot> = others.iter().filter_map(|node| dag.tip(node)).collect();
        let (next_layer, _) = dag.layer_over(own.iter().chain(&tips));
        Self {
            layers: dag
                .creators()
                .map(|node| dag.tip(node).map(layer))
                .collect(),
            own_layer: own.map(layer),
            own,
            tips,
            others,
            next_layer,
        }
    }

    /// This node's last event.
    pub(crate) fn own(&self) -> Option<Slot> {
        self.own
    }

    /// This node's last event and those of the others.
    pub(crate) fn all(&self) -> impl Iterator<Item = Slot> + '_ {
        self.own.iter().chain(&self.tips).copied()
    }

    /// What [`Emit::decide`] needs to know.
    pub(crate) fn view(&self, emit: &Emit, busy: Busy) -> View {
        let here = |node: NodeIndex| self.layers[node.position()] >= self.own_layer;
        let mut live = self.others.iter().filter(|&node| emit.is_live(node));
        View {
            own_layer: self.own_layer,
            next_layer: self.next_layer,
            busy,
            live_all_here: live.all(here),
        }
    }

    /// Where an event made now goes one layer on: by node, whether it has
    /// reached the layer that this node leaves.
    pub(crate) fn in_time(&self) -> Option<Vec<bool>> {
        let left = self.own_layer.filter(|own| own + 1 == self.next_layer)?;
        let reached = |layer: &Option<u64>| layer.is_some_and(|layer| layer >= left);
        Some(self.layers.iter().map(reached).collect())
    }

    /// The other-parents of an event made now, ascending by creator: the tips
    /// that neither this node's last event nor another tip descends from. Of
    /// many, those that bring a creator's event of the highest layer, each of
    /// which is a vote for that event, and else the highest; so the event has
    /// the layer that all tips together give it.
    pub(crate) fn parents(&self, dag: &Dag) -> Vec<Slot> {
        let known = |over: Slot, tip: Slot| over != tip && dag.ancestor(over, tip);
        let adds = |tip: &&Slot| !self.all().any(|over| known(over, **tip));
        let mut fresh: Vec<Slot> = self.tips.iter().filter(adds).copied().collect();
        if fresh.len() > PARENTS_FREE {
            let vertex = |slot: Slot| dag.vertex(slot);
            let highest = self.all().map(|slot| vertex(slot).layer).max().unwrap_or(0);
            let support = |slot: Slot| {
                let of = vertex(slot);
                let there = of.layer == highest;
                if there {
                    of.layer_support
                } else {
                    NodeSet::default()
                }
            };
            // Greedy: the most new creators first, and then the most recent.
            let mut covered = self.own.map_or(NodeSet::default(), support);
            let mut chosen = Vec::new();
            loop {
                let gain = |slot: Slot| support(slot).without(covered).len();
                let best = (0..fresh.len()).max_by_key(|&at| {
                    let of = vertex(fresh[at]);
                    (gain(fresh[at]), of.layer, std::cmp::Reverse(of.creator()))
                });
                let Some(best) = best else { break };
                if chosen.len() >= PARENTS_FREE && gain(fresh[best]) == 0 {
                    break;
                }
                covered = covered.union(support(fresh[best]));
                chosen.push(fresh.swap_remove(best));
            }
            chosen.sort_unstable_by_key(|&slot| vertex(slot).creator());
            fresh = chosen;
        }
        fresh
    }
}
