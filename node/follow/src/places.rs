//! Where the present nodes listen, as the federation has said last.
//!
//! A change of membership is told in a certified frame of the topic `roster`.
//! Whoever follows takes note of it, dials who has come, leaves who has gone,
//! and keeps it in a file, so that after a restart it needs none of the nodes
//! of the genesis.
//!
//! The file holds no signatures: what it names is only dialled, and whoever
//! answers there must have the key and show certificates. Behind the roster it
//! holds a SHA-256 of it; one that is damaged is as good as none.

use std::fs;
use std::path::Path;

use dctrl_consensus::crypto::sha256;
use dctrl_proto::v1::NodeRoster;
use prost::Message;

use crate::federation::{NODES_MAX, NodeEndpoint, endpoints};

/// The topic of the frames that tell of changes of membership.
pub(crate) const TOPIC: &str = "roster";

/// Longest file that is read, bytes: as many nodes as there may be, and more
/// than each needs.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

const CHECK_DOMAIN: &[u8] = b"dctrl/follow/places/1\0";
const CHECK_BYTES: usize = 32;

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

    /// What the file says; `None` where there is none or it is damaged.
    #[must_use]
    pub fn read(file: &Path) -> Option<Self> {
        if fs::metadata(file).ok()?.len() > FILE_BYTES_MAX {
            return None;
        }
        let places = Self::decode(&fs::read(file).ok()?);
        if places.is_none() {
            tracing::warn!(file = %file.display(), "the present nodes' places are damaged");
        }
        places
    }

    /// What the file of a roster holds.
    pub(crate) fn encode(roster: &NodeRoster) -> Vec<u8> {
        let mut bytes = roster.encode_to_vec();
        let check = sha256(CHECK_DOMAIN, &[&bytes]);
        bytes.extend(check.0);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (roster, check) = bytes.split_at_checked(bytes.len().checked_sub(CHECK_BYTES)?)?;
        let whole = sha256(CHECK_DOMAIN, &[roster]).0 == check;
        whole.then(|| Self::of(&NodeRoster::decode(roster).ok()?))?
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
