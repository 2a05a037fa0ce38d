//! The federation as an outsider knows it: who signs, and where to connect.

use dctrl_consensus::{PublicKey, Roster, RosterError, RosterMember};
use dctrl_proto::genesis::cluster_id;
use dctrl_proto::v1::Genesis;

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

/// Who signed blocks at first, and where each node listened: what a genesis
/// says. `nodes` and the roster have the same order.
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
    #[error("genesis node {name}: `{field}` is not 32 bytes")]
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
            let key = |field, bytes: &[u8]| {
                <[u8; 32]>::try_from(bytes).map_err(|_| FederationError::Key {
                    name: node.name.clone(),
                    field,
                })
            };
            members.push(RosterMember::new(
                node.name.clone(),
                PublicKey(key("key", &node.key)?),
            ));
            nodes.push(NodeEndpoint {
                name: node.name.clone(),
                bus: node.bus_endpoint.clone(),
                door: node.door_endpoint.clone(),
                curve_public: key("curve_key", &node.curve_key)?,
            });
        }
        Ok(Self {
            cluster: cluster_id(genesis),
            roster: Roster::new(GENESIS_ROSTER, members)?,
            nodes,
        })
    }
}

/// Number of the roster that the genesis names.
pub(crate) const GENESIS_ROSTER: u64 = 0;
