//! A set of nodes as a 128-bit mask.

use crate::id::NodeIndex;
use crate::roster::ROSTER_MEMBERS_MAX;

/// A set of nodes of one roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct NodeSet(u128);

const _: () = assert!(ROSTER_MEMBERS_MAX <= 128);

impl NodeSet {
    pub(crate) fn of(node: NodeIndex) -> Self {
        let mut set = Self::default();
        set.insert(node);
        set
    }

    /// The set with these bits: bit i is the node at position i.
    pub(crate) fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    pub(crate) fn insert(&mut self, node: NodeIndex) {
        assert!(
            node.position() < ROSTER_MEMBERS_MAX,
            "the node is in the roster"
        );
        self.0 |= 1 << node.0;
    }

    pub(crate) fn contains(self, node: NodeIndex) -> bool {
        node.position() < ROSTER_MEMBERS_MAX && self.0 >> node.0 & 1 == 1
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The size, as weights are counted.
    pub(crate) fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// The nodes, ascending.
    pub(crate) fn iter(self) -> impl Iterator<Item = NodeIndex> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let lowest = left.trailing_zeros();
            left &= left.wrapping_sub(1);
            // Of 128 bits, so the position fits.
            (lowest < 128).then_some(NodeIndex(lowest as u16))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_lists_its_nodes_ascending() {
        let mut set = NodeSet::default();
        for node in [127, 0, 64, 3] {
            set.insert(NodeIndex(node));
        }
        let nodes: Vec<u16> = set.iter().map(|node| node.0).collect();
        assert_eq!(nodes, [0, 3, 64, 127]);
        assert_eq!(NodeSet::default().iter().count(), 0);
        let rest = set.without(NodeSet::of(NodeIndex(64)));
        assert!(!rest.contains(NodeIndex(64)) && rest.len() == 3);
    }
}
