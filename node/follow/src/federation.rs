//! The federation as an outsider knows it: who signs, and where to connect.

use dctrl_consensus::{PublicKey, Roster, RosterError, RosterMember};
use dctrl_proto::genesis::cluster_id;
use dctrl_proto::v1::{Genesis, Node, NodeRoster};

/// Most nodes that a federation has.
pub(crate) const NODES_MAX: usize = 64;

/// One node's sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEndpoint {
    /// For people.
    pub name: String,
    /// ZeroMQ endpoint of its bus.
    pub bus: String,
    /// ZeroMQ endpoint of its door.
    pub door: String,
    /// Its CurveZMQ public key; another one is not talked to.
    pub curve_public: [u8; 32],
}

/// Who signed blocks at first, and where each node listens: what a genesis
/// says. There `nodes` and the roster have the same order; whoever has the
/// ledger knows where the present nodes are, see [`Federation::at_present`].
#[derive(Debug, Clone)]
pub struct Federation {
    /// Identity of the federation.
    pub cluster: [u8; 32],
    /// Whose signatures make the first certificates.
    pub roster: Roster,
    /// Where the nodes are.
    pub nodes: Vec<NodeEndpoint>,
}

/// Why a genesis names no usable federation.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FederationError {
    /// No node, or more than [`NODES_MAX`].
    #[error("the genesis names {0} nodes; 1 to {NODES_MAX} are allowed")]
    NodeCount(usize),
    /// A key is not 32 bytes.
    #[error("node {name}: `{field}` is not 32 bytes")]
    Key {
        /// The node.
        name: String,
        /// The field.
        field: &'static str,
    },
    /// The nodes make no roster.
    #[error("the genesis nodes make no roster: {0}")]
    Roster(#[from] RosterError),
}

impl Federation {
    /// The federation that a genesis founds.
    ///
    /// # Errors
    /// No or too many nodes, or a key of the wrong length.
    pub fn from_genesis(genesis: &Genesis) -> Result<Self, FederationError> {
        let count = genesis.nodes.len();
        if count == 0 || count > NODES_MAX {
            return Err(FederationError::NodeCount(count));
        }
        let mut members = Vec::with_capacity(count);
        let mut nodes = Vec::with_capacity(count);
        for node in &genesis.nodes {
            let member = PublicKey(key(node, "key", &node.key)?);
            members.push(RosterMember::new(node.name.clone(), member));
            nodes.push(endpoint(node)?);
        }
        Ok(Self {
            cluster: cluster_id(genesis),
            roster: Roster::new(GENESIS_ROSTER, members)?,
            nodes,
        })
    }

    /// The same federation, with the nodes where the ledger's `roster` says
    /// they are, in its order: those that joined later are among them, and those
    /// that have gone are not. Whose certificates count stays as it was.
    ///
    /// # Errors
    /// A key of the wrong length.
    pub fn at_present(self, roster: &NodeRoster) -> Result<Self, FederationError> {
        let nodes = endpoints(roster)?;
        Ok(Self { nodes, ..self })
    }

    /// The same federation, each endpoint dialled where `lead` says.
    #[must_use]
    pub fn dialled<'a>(&'a self, lead: impl Fn(&'a str) -> &'a str) -> Self {
        let nodes = self.nodes.iter().map(|node| NodeEndpoint {
            bus: lead(&node.bus).to_owned(),
            door: lead(&node.door).to_owned(),
            ..node.clone()
        });
        Self {
            nodes: nodes.collect(),
            ..self.clone()
        }
    }
}

/// Where the nodes of the ledger's roster listen, in its order.
pub(crate) fn endpoints(roster: &NodeRoster) -> Result<Vec<NodeEndpoint>, FederationError> {
    let nodes = roster
        .nodes
        .iter()
        .filter_map(|seated| seated.node.as_ref());
    nodes.map(endpoint).collect()
}

fn endpoint(node: &Node) -> Result<NodeEndpoint, FederationError> {
    Ok(NodeEndpoint {
        name: node.name.clone(),
        bus: node.bus_endpoint.clone(),
        door: node.door_endpoint.clone(),
        curve_public: key(node, "curve_key", &node.curve_key)?,
    })
}

fn key(node: &Node, field: &'static str, bytes: &[u8]) -> Result<[u8; 32], FederationError> {
    <[u8; 32]>::try_from(bytes).map_err(|_| FederationError::Key {
        name: node.name.clone(),
        field,
    })
}

/// Number of the roster that the genesis names.
pub(crate) const GENESIS_ROSTER: u64 = 0;

#[cfg(test)]
mod tests {
    use dctrl_access::Identity;
    use dctrl_proto::v1::RosterNode;

    use super::*;

    fn node(name: &str, number: u8) -> Node {
        Node {
            name: name.to_owned(),
            key: Identity::generate().unwrap().public_key().to_vec(),
            curve_key: vec![number; 32],
            bus_endpoint: format!("tcp://{name}:1"),
            door_endpoint: format!("tcp://{name}:2"),
            ..Node::default()
        }
    }

    #[test]
    fn who_came_later_is_known_and_who_has_gone_is_not_but_the_first_roster_stays() {
        let genesis = Genesis {
            nodes: vec![node("alpha", 1), node("bravo", 2)],
            ..Genesis::default()
        };
        let first = Federation::from_genesis(&genesis).unwrap();
        let seated = |name, number| RosterNode {
            node: Some(node(name, number)),
            ..RosterNode::default()
        };
        let mut roster = NodeRoster {
            number: 2,
            nodes: vec![seated("bravo", 2), seated("echo", 5)],
            ..NodeRoster::default()
        };
        let present = first.clone().at_present(&roster).unwrap();
        let found: Vec<_> = present.nodes.iter().map(|node| node.bus.as_str()).collect();
        assert_eq!(found, ["tcp://bravo:1", "tcp://echo:1"]);
        assert_eq!(present.nodes[1].curve_public, [5; 32]);
        assert_eq!(present.roster, first.roster);
        let elsewhere = present.dialled(|named| match named {
            "tcp://echo:1" => "tcp://127.0.0.1:9",
            other => other,
        });
        assert_eq!(elsewhere.nodes[1].bus, "tcp://127.0.0.1:9");
        assert_eq!(elsewhere.nodes[1].door, present.nodes[1].door);
        assert_eq!(elsewhere.nodes[0], present.nodes[0]);
        let echo = roster.nodes[1].node.as_mut().unwrap();
        echo.curve_key.pop();
        assert!(first.at_present(&roster).is_err());
    }
}
