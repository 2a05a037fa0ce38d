//! Ancestor, see, strongly see.

use super::{Dag, Slot};
use crate::id::NodeIndex;
use crate::weights::Weights;

impl Dag {
    /// Whether y is x or an ancestor of x.
    pub(crate) fn ancestor(&self, x: Slot, y: Slot) -> bool {
        self.vertex(x).head(self.vertex(y).branch) > y
    }

    /// Whether y is an ancestor of x and x knows no fork of y's creator.
    pub(crate) fn see(&self, x: Slot, y: Slot) -> bool {
        self.ancestor(x, y) && !self.vertex(x).forked.contains(self.vertex(y).creator())
    }

    /// Whether events of a quorum of creators, each seen by x, see y.
    pub(crate) fn strongly_see(&self, x: Slot, y: Slot, weights: &Weights) -> bool {
        let through = self
            .creators()
            .filter(|&node| weights.one(node) > 0 && self.sees_through(x, node, y));
        let weight: u32 = through.map(|node| weights.one(node)).sum();
        weight >= weights.quorum()
    }

    /// Whether x sees an event of creator z that sees y.
    fn sees_through(&self, x: Slot, z: NodeIndex, y: Slot) -> bool {
        if self.vertex(x).forked.contains(z) {
            return false;
        }
        self.branches_of[z.position()].iter().any(|&column| {
            let Some(top) = self.head(x, column).checked_sub(1) else {
                return false;
            };
            if !self.ancestor(top, y) {
                return false;
            }
            // Higher events know more forks, so the first descendant sees best.
            self.see(top, y) || self.see(self.first_on(column, y), y)
        })
    }

    /// The first event of the branch that is y or descends from it; the caller
    /// knows that there is one.
    fn first_on(&self, column: usize, y: Slot) -> Slot {
        let events = &self.branches[column].events;
        events[events.partition_point(|&event| !self.ancestor(event, y))]
    }

    /// The highest event of the creator that x sees; `None` for none, and where
    /// x knows a fork of the creator.
    pub(crate) fn top(&self, x: Slot, creator: NodeIndex) -> Option<Slot> {
        let vertex = self.vertex(x);
        if vertex.forked.contains(creator) {
            return None;
        }
        // A single chain that leads over several columns: the last slot is its end.
        let columns = self.branches_of[creator.position()].iter();
        let highest = columns.map(|&column| vertex.head(column)).max();
        highest.and_then(|head| head.checked_sub(1))
    }

    /// The earliest self-ancestor of `judge` (or itself) that has x as an
    /// ancestor; the caller knows that `judge` has. It is looked for from the
    /// judge downwards in growing steps, for it is rarely far.
    pub(crate) fn first_self_ancestor_over(&self, judge: Slot, x: Slot) -> Slot {
        let mut last = judge;
        loop {
            let vertex = self.vertex(last);
            let branch = &self.branches[vertex.branch];
            let below = usize::try_from(vertex.seq() - branch.start).unwrap_or(usize::MAX);
            let (mut known, mut step) = (below, 1);
            let mut low = loop {
                let Some(probe) = known.checked_sub(step) else {
                    break 0;
                };
                if !self.ancestor(branch.events[probe], x) {
                    break probe + 1;
                }
                (known, step) = (probe, step * 2);
            };
            low += branch.events[low..known].partition_point(|&event| !self.ancestor(event, x));
            // Only where the whole branch descends from x may the line before
            // the fork hold an earlier one.
            let first = branch.events[low];
            match self.vertex(first).self_parent {
                Some(before) if low == 0 && self.ancestor(before, x) => last = before,
                _ => return first,
            }
        }
    }
}
