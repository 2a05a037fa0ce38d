//! Ancestor, see, strongly see.

use super::{Dag, Slot};
use crate::id::NodeIndex;

impl Dag {
    /// Whether y is x or an ancestor of x.
    pub(crate) fn ancestor(&self, x: Slot, y: Slot) -> bool {
        let y = self.vertex(y);
        self.vertex(x).head(y.branch) > y.seq()
    }

    /// Whether y is an ancestor of x and x knows no fork of y's creator.
    pub(crate) fn see(&self, x: Slot, y: Slot) -> bool {
        self.ancestor(x, y) && !self.vertex(x).forked.contains(self.vertex(y).creator())
    }

    /// Whether events of a quorum of creators, each seen by x, see y.
    pub(crate) fn strongly_see(&self, x: Slot, y: Slot) -> bool {
        let through = (0..self.members())
            .filter_map(|node| u16::try_from(node).ok().map(NodeIndex))
            .filter(|node| self.sees_through(x, node.position(), y));
        let weight: u32 = through.map(|node| self.weights.one(node)).sum();
        weight >= self.weights.quorum()
    }

    /// Whether x sees an event of creator z that sees y.
    fn sees_through(&self, x: Slot, z: usize, y: Slot) -> bool {
        let Ok(creator) = u16::try_from(z) else {
            return false;
        };
        let from = self.vertex(x);
        if from.forked.contains(NodeIndex(creator)) {
            return false;
        }
        self.branches_of[z].iter().any(|&column| {
            let branch = &self.branches[column];
            let Some(top) = from
                .head(column)
                .checked_sub(1)
                .and_then(|seq| branch.at(seq))
            else {
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

    /// The earliest self-ancestor of `judge` (or itself) that has x as an
    /// ancestor; the caller knows that `judge` has.
    pub(crate) fn first_self_ancestor_over(&self, judge: Slot, x: Slot) -> Slot {
        let mut last = judge;
        loop {
            let branch = &self.branches[self.vertex(last).branch];
            let count =
                usize::try_from(self.vertex(last).seq() - branch.start).unwrap_or(usize::MAX);
            let events = &branch.events[..=count];
            let first = events.partition_point(|&event| !self.ancestor(event, x));
            // Only where the whole branch descends from x may the line before
            // the fork hold an earlier one.
            let before = self.vertex(events[first]).self_parent;
            match before {
                Some(before) if first == 0 && self.ancestor(before, x) => last = before,
                _ => return events[first],
            }
        }
    }
}
