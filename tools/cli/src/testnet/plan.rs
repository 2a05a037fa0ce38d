//! Names and ports: what follows from the options alone.

use super::{ChainKind, InitArgs};

/// Nodes of a testnet at most: there are ten names.
pub const NODES_MAX: u16 = 10;
/// Ports of one node.
const PORTS_PER_NODE: u16 = 10;
/// Distance of the simulated chain's port from the first.
const CHAIN_PORT_OFFSET: u16 = 900;
/// Ports below belong to the system.
const PORT_MIN: u16 = 1024;

const _: () = assert!(NODES_MAX * PORTS_PER_NODE <= CHAIN_PORT_OFFSET);

const NAMES: [&str; NODES_MAX as usize] = [
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett",
];

/// A testnet before its keys.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The nodes in the order of the genesis.
    pub nodes: Vec<NodePlan>,
    /// Port of the simulated chain.
    pub chain_port: u16,
    /// The options.
    pub args: InitArgs,
}

/// One node.
#[derive(Clone, Debug)]
pub struct NodePlan {
    /// Such as `alpha`.
    pub name: &'static str,
    /// Such as `node-1`.
    pub folder: String,
    /// The first of its ports: gossip, then bus, door and api.
    port: u16,
}

impl Plan {
    /// Assigns names and ports.
    ///
    /// # Errors
    /// Where a port is not in range.
    pub fn new(args: &InitArgs) -> Result<Self, String> {
        let base = args.base_port;
        if base < PORT_MIN {
            return Err(format!(
                "--base-port {base}: ports below {PORT_MIN} belong to the system"
            ));
        }
        // The chain's port is the greatest, so all others are in range with it.
        let chain_port = base.checked_add(CHAIN_PORT_OFFSET).ok_or_else(|| {
            format!(
                "--base-port {base}: at most {}, since the last port is {CHAIN_PORT_OFFSET} above",
                u16::MAX - CHAIN_PORT_OFFSET
            )
        })?;
        let nodes = NAMES
            .iter()
            .zip(1u16..)
            .take(usize::from(args.nodes))
            .map(|(name, number)| NodePlan {
                name,
                folder: format!("node-{number}"),
                port: base + PORTS_PER_NODE * (number - 1),
            })
            .collect();
        Ok(Self {
            nodes,
            chain_port,
            args: args.clone(),
        })
    }

    /// URL of the simulated chain, where there is one.
    #[must_use]
    pub fn chain_url(&self) -> Option<String> {
        (self.args.chain == ChainKind::Simulated)
            .then(|| format!("http://127.0.0.1:{}", self.chain_port))
    }
}

impl NodePlan {
    /// ZeroMQ endpoint of gossip.
    #[must_use]
    pub fn gossip(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port)
    }

    /// ZeroMQ endpoint of the bus.
    #[must_use]
    pub fn bus(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port + 1)
    }

    /// ZeroMQ endpoint of the door.
    #[must_use]
    pub fn door(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port + 2)
    }

    /// Address of the API.
    #[must_use]
    pub fn api(&self) -> String {
        format!("127.0.0.1:{}", self.port + 3)
    }

    /// URL of the API.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("http://{}", self.api())
    }
}
