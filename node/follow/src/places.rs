//! Where the present nodes listen, as the federation has said last.
//!
//! A change of membership is told in a certified frame of the topic `roster`.
//! Whoever follows takes note of it, dials who has come, leaves who has gone,
//! and keeps it in a file, so that after a restart it needs none of the nodes
//! of the genesis.
//!
//! The file holds no signatures: what it names is only dialled, and whoever
//! answers there must have the key and show certificates. One that cannot be
//! read is as good as none.

use std::fs;
use std::path::PathBuf;

use dctrl_proto::v1::NodeRoster;
use prost::Message;

use crate::federation::{NODES_MAX, NodeEndpoint, endpoints};

/// The topic of the frames that tell of changes of membership.
pub(crate) const TOPIC: &str = "roster";

/// Longest file that is read, bytes: as many nodes as there may be, and more
/// than each needs.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The nodes of a roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The roster's number; the genesis names 0.
    pub number: u64,
    /// Where they listen, in the roster's order.
    pub nodes: Vec<NodeEndpoint>,
}

impl Places {
    /// What a roster says; nothing where it names no nodes, or too many, or one
    /// with a key of the wrong length.
    pub(crate) fn of(roster: &NodeRoster) -> Option<Self> {
        let nodes = endpoints(roster).ok()?;
        (1..=NODES_MAX).contains(&nodes.len()).then_some(Self {
            number: roster.number,
            nodes,
        })
    }

    /// What the file says.
    pub(crate) fn read(file: &PathBuf) -> Option<Self> {
        let length = fs::metadata(file).ok()?.len();
        if length > FILE_BYTES_MAX {
            return None;
        }
        let roster = NodeRoster::decode(fs::read(file).ok()?.as_slice());
        if roster.is_err() {
            tracing::warn!(file = %file.display(), "the present nodes' places cannot be read");
        }
        Self::of(&roster.ok()?)
    }
}

/// Whom to talk to of the nodes that are there: all where all of those that were
/// there `before` were `chosen`; else those of the chosen ones that still are,
/// by their keys, and all where none is.
pub(crate) fn chosen(
    present: &[NodeEndpoint],
    before: usize,
    chosen: &[NodeEndpoint],
) -> Vec<NodeEndpoint> {
    let still = |node: &&NodeEndpoint| {
        chosen
            .iter()
            .any(|one| one.curve_public == node.curve_public)
    };
    let some: Vec<NodeEndpoint> = present.iter().filter(still).cloned().collect();
    if chosen.len() >= before || some.is_empty() {
        present.to_vec()
    } else {
        some
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u8) -> NodeEndpoint {
        NodeEndpoint {
            name: format!("node-{number}"),
            bus: String::new(),
            door: String::new(),
            curve_public: [number; 32],
        }
    }

    #[test]
    fn who_follows_all_goes_on_with_all_and_who_chose_some_with_those_that_stay() {
        let (before, present) = ([node(1), node(2), node(3)], [node(2), node(3), node(4)]);
        assert_eq!(chosen(&present, 3, &before), present);
        assert_eq!(chosen(&present, 3, &before[..2]), [node(2)]);
        assert_eq!(chosen(&present, 3, &before[..1]), present, "it has gone");
    }
}
