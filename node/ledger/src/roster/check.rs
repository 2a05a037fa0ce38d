//! What a node's row and a change must be in themselves, and whose a key is.

use std::collections::BTreeMap;

use dctrl_proto::v1::node_change::Kind;
use dctrl_proto::v1::{Machine, Node, NodeChange, Refusal, RosterNode};

use super::row;
use crate::caller::Principal;
use crate::refuse::{ensure, exists, invalid, precond};
use crate::{StateRead, ids, keys, public_key, tables};

/// Longest endpoint, bytes.
const ENDPOINT_BYTES_MAX: usize = 128;

/// First use of values that must not stand twice.
#[derive(Default)]
pub(crate) struct Unique<'g>(BTreeMap<&'g [u8], String>);

impl<'g> Unique<'g> {
    /// Refuses a value that stands elsewhere, and says where.
    pub(crate) fn claim(&mut self, rule: &str, value: &'g [u8], at: String) -> Result<(), Refusal> {
        if let Some(first) = self.0.get(value) {
            let message = format!("The same stands at {first}.");
            return Err(invalid(rule, at, message));
        }
        self.0.insert(value, at);
        Ok(())
    }
}

fn endpoints(node: &Node) -> [(&'static str, &str); 3] {
    [
        ("gossip_endpoint", &node.gossip_endpoint),
        ("bus_endpoint", &node.bus_endpoint),
        ("door_endpoint", &node.door_endpoint),
    ]
}

/// Every fault of a node's row in itself.
pub(crate) fn check_node(at: &str, node: &Node) -> Vec<Refusal> {
    let mut found = vec![
        ids::id(&format!("{at}.name"), &node.name),
        public_key::check(&format!("{at}.key"), &node.key),
        ids::bytes32(&format!("{at}.curve_key"), &node.curve_key),
    ];
    for (field, endpoint) in endpoints(node) {
        found.push(check_endpoint(&format!("{at}.{field}"), endpoint));
    }
    found.into_iter().filter_map(Result::err).collect()
}

/// `tcp://host:port`, as ZeroMQ takes it to connect.
fn check_endpoint(field: &str, endpoint: &str) -> Result<(), Refusal> {
    let address = endpoint.strip_prefix("tcp://").unwrap_or_default();
    let fits = endpoint.len() <= ENDPOINT_BYTES_MAX
        && address.rsplit_once(':').is_some_and(|(host, port)| {
            let named = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic());
            named && host != "*" && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
    ensure(fits, || {
        let message = format!("{endpoint:?} is not of the form tcp://host:port.");
        invalid("node.endpoint", field, message)
    })
}

/// Refuses nodes of which two share a name, a key or an endpoint.
pub(super) fn unique(nodes: &[RosterNode]) -> Result<(), Refusal> {
    let mut names = Unique::default();
    let mut keys = Unique::default();
    let mut curve_keys = Unique::default();
    let mut places = Unique::default();
    for one in nodes {
        let node = row(one);
        let at = |field: &str| format!("node {}, {field}", node.name);
        names.claim("node.name", node.name.as_bytes(), at("name"))?;
        keys.claim("node.key", &node.key, at("key"))?;
        curve_keys.claim("node.curve_key", &node.curve_key, at("curve_key"))?;
        for (field, endpoint) in endpoints(node) {
            places.claim("node.endpoint", endpoint.as_bytes(), at(field))?;
        }
    }
    Ok(())
}

pub(super) fn missing() -> Refusal {
    invalid("node.change", "change", "The change is missing.")
}

/// Checks a change in itself.
pub(crate) fn check_change(change: &NodeChange) -> Result<(), Refusal> {
    ids::text("change.reason", &change.reason)?;
    match change.kind.as_ref().ok_or_else(missing)? {
        Kind::Add(add) => one_fault("change.add.node", add.node.as_ref()),
        Kind::Remove(remove) => evidence("change.remove.evidence", &remove.evidence),
        Kind::Replace(replace) => {
            evidence("change.replace.evidence", &replace.evidence)?;
            one_fault("change.replace.node", replace.node.as_ref())
        }
        Kind::Update(update) => {
            ids::bytes32("change.update.curve_key", &update.curve_key)?;
            check_endpoint("change.update.gossip_endpoint", &update.gossip_endpoint)?;
            check_endpoint("change.update.bus_endpoint", &update.bus_endpoint)?;
            check_endpoint("change.update.door_endpoint", &update.door_endpoint)
        }
        Kind::Reincarnate(anew) => {
            ensure(anew.new_key.is_empty() == (anew.instance != 0), || {
                let message = "A node comes back with a new key, or from another disk.";
                invalid("node.instance", "change.reincarnate.instance", message)
            })?;
            if !anew.new_key.is_empty() {
                public_key::check("change.reincarnate.new_key", &anew.new_key)?;
            }
            if anew.new_curve_key.is_empty() {
                return Ok(());
            }
            ids::bytes32("change.reincarnate.new_curve_key", &anew.new_curve_key)
        }
    }
}

fn one_fault(at: &str, node: Option<&Node>) -> Result<(), Refusal> {
    let node = node.ok_or_else(|| invalid("node", at, "The node is missing."))?;
    check_node(at, node).into_iter().next().map_or(Ok(()), Err)
}

fn evidence(at: &str, digest: &[u8]) -> Result<(), Refusal> {
    if digest.is_empty() {
        return Ok(());
    }
    ids::bytes32(at, digest)
}

/// The digest of what a change holds against the node it takes away, where it
/// does, and the node's key.
pub(super) fn held_against(change: &NodeChange) -> Option<(&[u8], &[u8])> {
    let (key, evidence) = match change.kind.as_ref()? {
        Kind::Remove(remove) => (&remove.key, &remove.evidence),
        Kind::Replace(replace) => (&replace.key, &replace.evidence),
        _ => return None,
    };
    (!evidence.is_empty()).then_some((key, evidence))
}

/// The keys that a change brings in: of the node itself, and for the wire.
/// Empty where there is none.
fn new_keys(change: &NodeChange) -> (&[u8], &[u8]) {
    let node = match &change.kind {
        Some(Kind::Add(add)) => &add.node,
        Some(Kind::Replace(replace)) => &replace.node,
        Some(Kind::Update(update)) => return (&[], &update.curve_key),
        Some(Kind::Reincarnate(anew)) => return (&anew.new_key, &anew.new_curve_key),
        Some(Kind::Remove(_)) | None => &None,
    };
    match node {
        Some(node) => (&node.key, &node.curve_key),
        None => (&[], &[]),
    }
}

/// Refuses a key that somebody holds already, or that may never come back.
pub(crate) fn require_free(state: &dyn StateRead, change: &NodeChange) -> Result<(), Refusal> {
    let (key, curve_key) = new_keys(change);
    if !key.is_empty() {
        ensure(state.get(&keys::node_banned(key)).is_none(), || {
            precond("node.banned", "A node with this key forked. It stays out.")
        })?;
        ensure(Principal::find(state, key).is_none(), || {
            exists("node.key", "Somebody holds this key already.")
        })?;
    }
    if curve_key.is_empty() {
        return Ok(());
    }
    let mut machines = tables::rows::<Machine>(state, keys::MACHINES);
    let machine = machines.find(|machine| machine.curve_key == curve_key);
    machine.map_or(Ok(()), |machine| {
        let message = format!("Machine {} has this CURVE key.", machine.id);
        Err(exists("node.curve_key", message))
    })
}
