//! Who is who: the genesis file, and this node's place in it.

use std::{fs, path::Path};

use dctrl_access::Identity;
use dctrl_consensus::{ClusterId, Digest, NodeIndex, PublicKey, Roster, RosterError, RosterMember};
use dctrl_proto::{
    genesis::cluster_id,
    v1::{Genesis, Node},
};
use thiserror::Error;

/// Largest genesis file read, bytes: thousands of members and machines.
const GENESIS_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The federation as its genesis says, and which of its nodes this one is.
#[derive(Debug, Clone)]
pub struct Membership {
    /// All of it.
    pub genesis: Genesis,
    /// The federation's identity.
    pub cluster: [u8; 32],
    /// Voters of the first epoch.
    pub roster: Roster,
    /// This node; `None` where it came later than the genesis.
    pub me: Option<NodeIndex>,
}

/// Why the genesis cannot be used.
#[derive(Debug, Error)]
pub enum MembershipError {
    /// The file cannot be read.
    #[error("cannot read the genesis file {path}: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is larger than any genesis.
    #[error("the genesis file {path} has more than {GENESIS_BYTES_MAX} bytes")]
    TooLarge {
        /// The file.
        path: String,
    },
    /// The file is not a genesis.
    #[error("the genesis file {path} is not valid: {source}")]
    Malformed {
        /// The file.
        path: String,
        /// Line and column.
        source: serde_json::Error,
    },
    /// A node's key has not 32 bytes.
    #[error("the key of node {name} has {length} bytes, not 32")]
    KeyLength {
        /// The node.
        name: String,
        /// What it has.
        length: usize,
    },
    /// The roster breaks a rule of the consensus core.
    #[error("the nodes of the genesis make no roster: {0}")]
    Roster(#[from] RosterError),
    /// This node's key is not in the genesis.
    #[error(
        "the key file's public key {key} belongs to no node of the genesis; its nodes are {nodes}. \
         A node that joins later says so with gossip.join = true"
    )]
    NotAMember {
        /// Ours.
        key: String,
        /// Names of those that are.
        nodes: String,
    },
}

impl Membership {
    /// Reads the genesis and finds the node that `identity` belongs to. One
    /// that `joins` later need not be there.
    ///
    /// # Errors
    /// A file that cannot be read or understood, or without this node.
    pub fn load(path: &Path, identity: &Identity, joins: bool) -> Result<Self, MembershipError> {
        let genesis = read(path)?;
        let roster = roster_of(&genesis)?;
        let me = roster.index_of(&PublicKey(identity.public_key()));
        if me.is_none() && !joins {
            return Err(MembershipError::NotAMember {
                key: hex::encode(identity.public_key()),
                nodes: genesis
                    .nodes
                    .iter()
                    .map(|node| node.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            });
        }
        Ok(Self {
            cluster: cluster_id(&genesis),
            genesis,
            roster,
            me,
        })
    }

    /// The federation's identity as the consensus core takes it.
    #[must_use]
    pub fn cluster_id(&self) -> ClusterId {
        ClusterId(Digest(self.cluster))
    }
}

pub(crate) fn read(path: &Path) -> Result<Genesis, MembershipError> {
    let name = path.display().to_string();
    let unreadable = |source| MembershipError::Unreadable {
        path: name.clone(),
        source,
    };
    if fs::metadata(path).map_err(unreadable)?.len() > GENESIS_BYTES_MAX {
        return Err(MembershipError::TooLarge { path: name });
    }
    let text = fs::read(path).map_err(unreadable)?;
    serde_json::from_slice(&text).map_err(|source| MembershipError::Malformed {
        path: name.clone(),
        source,
    })
}

pub(crate) fn roster_of(genesis: &Genesis) -> Result<Roster, MembershipError> {
    let mut members = Vec::with_capacity(genesis.nodes.len());
    for node in &genesis.nodes {
        let key =
            <[u8; 32]>::try_from(node.key.as_slice()).map_err(|_| MembershipError::KeyLength {
                name: node.name.clone(),
                length: node.key.len(),
            })?;
        members.push(RosterMember::new(node.name.clone(), PublicKey(key)));
    }
    Ok(Roster::new(0, members)?)
}

/// A node's CURVE key.
pub(crate) fn curve_key(node: &Node) -> Result<[u8; 32], MembershipError> {
    <[u8; 32]>::try_from(node.curve_key.as_slice()).map_err(|_| MembershipError::KeyLength {
        name: node.name.clone(),
        length: node.curve_key.len(),
    })
}
