//! How many nodes must say a thing before the federation believes it.

use dctrl_proto::v1::Genesis;

/// The number of nodes, and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Federation {
    nodes: usize,
}

impl Federation {
    pub(crate) fn of(genesis: &Genesis) -> Self {
        assert!(!genesis.nodes.is_empty(), "a genesis was checked for nodes");
        Self {
            nodes: genesis.nodes.len(),
        }
    }

    /// Nodes that may lie: f.
    fn faulty_max(self) -> usize {
        (self.nodes - 1) / 3
    }

    /// One honest node is among so many: f + 1.
    pub(crate) fn one_honest(self) -> usize {
        self.faulty_max() + 1
    }

    /// Any two sets of so many share an honest node: 2f + 1 where n = 3f + 1.
    pub(crate) fn quorum(self) -> usize {
        2 * self.nodes / 3 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_follow_the_number_of_nodes() {
        let of = |nodes| Federation { nodes };
        assert_eq!((of(1).one_honest(), of(1).quorum()), (1, 1));
        assert_eq!((of(4).one_honest(), of(4).quorum()), (2, 3));
        assert_eq!((of(6).one_honest(), of(6).quorum()), (2, 5));
        assert_eq!((of(10).one_honest(), of(10).quorum()), (4, 7));
    }
}
