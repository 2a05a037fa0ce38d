//! Changes of the nodes, made from arguments.

use clap::Args;
use dctrl_proto::v1::{
    Node, NodeAdd, NodeReincarnate, NodeRemove, NodeReplace, NodeUpdate, RosterNode,
    node_change::Kind,
};

use crate::{commands::key::KeyArg, failure::Failure};

/// The keys of a node that joins.
#[derive(Args, Clone, Debug)]
pub struct IdentityArgs {
    /// Its public key; a key file brings its curve key too
    #[arg(long, value_name = "HEX|KEYFILE")]
    public_key: KeyArg,
    /// Its curve key, where the public key is given in hexadecimal
    #[arg(long, value_name = "HEX|KEYFILE")]
    curve_key: Option<KeyArg>,
}

/// Where a node is reached.
#[derive(Args, Clone, Debug)]
pub struct PlaceArgs {
    /// ZeroMQ endpoint of its gossip, such as tcp://192.0.2.7:7001
    #[arg(long, value_name = "ENDPOINT")]
    gossip: String,
    /// ZeroMQ endpoint of its bus
    #[arg(long, value_name = "ENDPOINT")]
    bus: String,
    /// ZeroMQ endpoint of its door
    #[arg(long, value_name = "ENDPOINT")]
    door: String,
}

/// What changes of a node that stays.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = true)]
pub struct UpdateArgs {
    /// ZeroMQ endpoint of its gossip
    #[arg(long, value_name = "ENDPOINT")]
    gossip: Option<String>,
    /// ZeroMQ endpoint of its bus
    #[arg(long, value_name = "ENDPOINT")]
    bus: Option<String>,
    /// ZeroMQ endpoint of its door
    #[arg(long, value_name = "ENDPOINT")]
    door: Option<String>,
    /// Its new curve key
    #[arg(long, value_name = "HEX|KEYFILE")]
    curve_key: Option<KeyArg>,
}

/// 32 bytes in hexadecimal.
pub(super) fn parse_digest(text: &str) -> Result<[u8; 32], String> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes)
        .map_err(|error| format!("a digest is 64 hexadecimal digits: {error}"))?;
    Ok(bytes)
}

/// The curve key that was named by itself, else that of the key file.
fn curve(public: Option<KeyArg>, curve: Option<KeyArg>) -> Option<[u8; 32]> {
    let named = curve.map(|key| key.curve.unwrap_or(key.public));
    named.or(public.and_then(|key| key.curve))
}

impl IdentityArgs {
    /// The row of the node that joins.
    pub(super) fn node(self, name: String, place: PlaceArgs) -> Result<Node, Failure> {
        let curve_key = curve(Some(self.public_key), self.curve_key).ok_or_else(|| {
            Failure::usage(
                "node.curve_key",
                "name the curve key with --curve-key, or a key file with --public-key",
            )
        })?;
        Ok(Node {
            name,
            key: self.public_key.public.to_vec(),
            curve_key: curve_key.to_vec(),
            gossip_endpoint: place.gossip,
            bus_endpoint: place.bus,
            door_endpoint: place.door,
        })
    }
}

/// What people wrote about a node.
pub(super) fn row(node: &RosterNode) -> Node {
    node.node.clone().unwrap_or_default()
}

pub(super) fn add(node: Node) -> Kind {
    Kind::Add(NodeAdd { node: Some(node) })
}

pub(super) fn remove(old: &RosterNode, evidence: Option<[u8; 32]>) -> Kind {
    Kind::Remove(NodeRemove {
        key: row(old).key,
        evidence: evidence.map(Vec::from).unwrap_or_default(),
    })
}

pub(super) fn replace(old: &RosterNode, new: Node, evidence: Option<[u8; 32]>) -> Kind {
    Kind::Replace(NodeReplace {
        key: row(old).key,
        node: Some(new),
        evidence: evidence.map(Vec::from).unwrap_or_default(),
    })
}

pub(super) fn update(old: &RosterNode, to: UpdateArgs) -> Kind {
    let old = row(old);
    Kind::Update(NodeUpdate {
        key: old.key,
        curve_key: curve(None, to.curve_key).map_or(old.curve_key, Vec::from),
        gossip_endpoint: to.gossip.unwrap_or(old.gossip_endpoint),
        bus_endpoint: to.bus.unwrap_or(old.bus_endpoint),
        door_endpoint: to.door.unwrap_or(old.door_endpoint),
    })
}

pub(super) fn reincarnate(
    old: &RosterNode,
    public_key: Option<KeyArg>,
    instance: Option<u64>,
    curve_key: Option<KeyArg>,
) -> Kind {
    let new_curve_key = curve(public_key, curve_key);
    Kind::Reincarnate(NodeReincarnate {
        key: row(old).key,
        incarnation: old.incarnation + 1,
        new_key: public_key
            .map(|key| key.public.to_vec())
            .unwrap_or_default(),
        new_curve_key: new_curve_key.map(Vec::from).unwrap_or_default(),
        instance: instance.unwrap_or_default(),
    })
}
