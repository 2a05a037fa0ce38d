//! How many nodes must say a thing before the federation believes it.

/// The present nodes by their seats, and what follows from their number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Federation {
    seats: Vec<u32>,
}

impl Federation {
    pub(crate) fn of(seats: Vec<u32>) -> Self {
        assert!(!seats.is_empty(), "a roster was checked for nodes");
        Self { seats }
    }

    /// Whether the node in this seat is of the present roster: only then its
    /// votes count.
    pub(crate) fn has(&self, seat: u32) -> bool {
        self.seats.contains(&seat)
    }

    /// The seats, in the order of the roster.
    pub(crate) fn seats(&self) -> &[u32] {
        &self.seats
    }

    /// One honest node is among so many: f + 1.
    pub(crate) fn one_honest(&self) -> usize {
        faulty_max(self.seats.len()) + 1
    }

    /// Any two sets of so many share an honest node.
    pub(crate) fn quorum(&self) -> usize {
        quorum_of(self.seats.len())
    }
}

/// Of so many nodes, how many may lie: f.
fn faulty_max(nodes: usize) -> usize {
    (nodes - 1) / 3
}

/// The quorum of so many nodes: 2f + 1 where n = 3f + 1.
pub(crate) fn quorum_of(nodes: usize) -> usize {
    2 * nodes / 3 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_follow_the_number_of_nodes() {
        let of = |nodes| Federation::of((0..nodes).collect());
        assert_eq!((of(1).one_honest(), of(1).quorum()), (1, 1));
        assert_eq!((of(2).one_honest(), of(2).quorum()), (1, 2));
        assert_eq!((of(3).one_honest(), of(3).quorum()), (1, 3));
        assert_eq!((of(4).one_honest(), of(4).quorum()), (2, 3));
        assert_eq!((of(6).one_honest(), of(6).quorum()), (2, 5));
        assert_eq!((of(10).one_honest(), of(10).quorum()), (4, 7));
    }
}
