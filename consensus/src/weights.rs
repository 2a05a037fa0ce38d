//! How much each node counts, and how much is enough.
//!
//! W is the sum of all weights. A quorum is more than two thirds of W: two
//! quorums share more than liars can have, which is less than a third. In a
//! federation of equals each weight is 1, and sets are counted by their bits.

use crate::id::NodeIndex;
use crate::node_set::NodeSet;

/// The weights of the nodes of one roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Weights {
    /// Empty where each node has weight 1.
    unequal: Box<[u32]>,
    members: usize,
    total: u32,
    quorum: u32,
    fault_bound: u32,
}

impl Weights {
    /// `members` nodes of weight 1.
    pub(crate) fn equal(members: usize) -> Self {
        let total = u32::try_from(members).unwrap_or(u32::MAX / 4);
        Self::new(Box::default(), members, total)
    }

    /// These weights by node; a node of weight 0 has no voice. `None` where the
    /// sum is 0 or too large to be counted.
    pub(crate) fn of(weights: &[u32]) -> Option<Self> {
        let sum = |total: u32, &weight: &u32| total.checked_add(weight);
        let total = weights.iter().try_fold(0, sum)?;
        if total == 0 || total >= u32::MAX / 4 {
            return None;
        }
        let equal = weights.iter().all(|&weight| weight == 1);
        let unequal = if equal { &[] } else { weights };
        Some(Self::new(unequal.into(), weights.len(), total))
    }

    fn new(unequal: Box<[u32]>, members: usize, total: u32) -> Self {
        Self {
            unequal,
            members,
            total,
            quorum: 2 * total / 3 + 1,
            fault_bound: total.saturating_sub(1) / 3,
        }
    }

    /// Equal nodes with wrong thresholds: what tests must find fault with.
    #[cfg(test)]
    pub(crate) fn planted(members: usize, quorum: u32, fault_bound: u32) -> Self {
        Self {
            quorum,
            fault_bound,
            ..Self::equal(members)
        }
    }

    /// How many nodes there are, those of weight 0 too.
    pub(crate) fn members(&self) -> usize {
        self.members
    }

    /// W, the sum of all weights.
    pub(crate) fn total(&self) -> u32 {
        self.total
    }

    /// The least weight that is more than two thirds of W.
    pub(crate) fn quorum(&self) -> u32 {
        self.quorum
    }

    /// The most weight that may lie: the largest below a third of W.
    pub(crate) fn fault_bound(&self) -> u32 {
        self.fault_bound
    }

    /// One node's weight; 0 for a stranger.
    pub(crate) fn one(&self, node: NodeIndex) -> u32 {
        if self.unequal.is_empty() {
            u32::from(node.position() < self.members)
        } else {
            self.unequal.get(node.position()).copied().unwrap_or(0)
        }
    }

    /// The weight of a set of nodes.
    pub(crate) fn set(&self, nodes: NodeSet) -> u32 {
        if self.unequal.is_empty() {
            nodes.count()
        } else {
            nodes.iter().map(|node| self.one(node)).sum()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_quorums_share_more_weight_than_may_lie() {
        for total in 1..=400 {
            let weights = Weights::of(&[total]).unwrap();
            let (quorum, lies) = (weights.quorum(), weights.fault_bound());
            assert!(2 * quorum - total > lies, "W = {total}");
            assert!(quorum <= total - lies, "the honest of {total} are a quorum");
            assert!(3 * quorum > 2 * total && 3 * (quorum - 1) <= 2 * total);
        }
    }

    #[test]
    fn equal_weights_count_bits() {
        let set = NodeSet::of(NodeIndex(3)).union(NodeSet::of(NodeIndex(5)));
        assert_eq!(Weights::equal(7).set(set), 2);
        assert_eq!(Weights::of(&[1; 7]), Some(Weights::equal(7)));
        let unequal = Weights::of(&[9, 9, 9, 4, 9, 2, 0]).unwrap();
        assert_eq!((unequal.set(set), unequal.one(NodeIndex(7))), (6, 0));
    }

    #[test]
    fn weights_that_cannot_be_counted_are_refused() {
        assert_eq!(Weights::of(&[0, 0]), None);
        assert_eq!(Weights::of(&[u32::MAX, 1]), None);
    }
}
