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

    pub(crate) fn len(self) -> usize {
        self.0.count_ones() as usize
    }
}
