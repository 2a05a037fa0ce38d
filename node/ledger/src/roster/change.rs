//! What a change makes of a list of nodes. No state is read here.

use dctrl_proto::v1::node_change::Kind;
use dctrl_proto::v1::{NodeChange, NodeReincarnate, Refusal, RosterNode};

use super::check::{self, unique};
use super::{FIRST_INCARNATION, NODES_MAX, position, row};
use crate::refuse::{ensure, invalid, precond};
use crate::votes::quorum_of;

/// The nodes after `change`, in the order of those before; a node that joins
/// is the last, a node that replaces another takes its place. Whoever brings
/// a new key sits in `free_seat`.
///
/// # Errors
/// Where the change does not fit these nodes.
pub(crate) fn applied_to(
    nodes: &[RosterNode],
    change: &NodeChange,
    free_seat: u32,
) -> Result<Vec<RosterNode>, Refusal> {
    let mut next = nodes.to_vec();
    match change.kind.as_ref().ok_or_else(check::missing)? {
        Kind::Add(add) => next.push(RosterNode {
            node: add.node.clone(),
            seat: free_seat,
            incarnation: FIRST_INCARNATION,
            instance: 0,
        }),
        Kind::Remove(remove) => {
            next.remove(position(nodes, &remove.key)?);
        }
        Kind::Replace(replace) => {
            next[position(nodes, &replace.key)?] = RosterNode {
                node: replace.node.clone(),
                seat: free_seat,
                incarnation: FIRST_INCARNATION,
                instance: 0,
            };
        }
        Kind::Update(update) => {
            let node = next[position(nodes, &update.key)?]
                .node
                .get_or_insert_default();
            node.curve_key.clone_from(&update.curve_key);
            node.gossip_endpoint.clone_from(&update.gossip_endpoint);
            node.bus_endpoint.clone_from(&update.bus_endpoint);
            node.door_endpoint.clone_from(&update.door_endpoint);
        }
        Kind::Reincarnate(anew) => {
            start_anew(&mut next[position(nodes, &anew.key)?], anew, free_seat)?;
        }
    }
    ensure(next.as_slice() != nodes, || {
        invalid("node.change", "change", "This would change nothing.")
    })?;
    ensure(!next.is_empty(), || {
        precond("node.last", "The last node has to stay.")
    })?;
    ensure(next.len() <= NODES_MAX, || {
        precond(
            "node.count",
            format!("A federation has at most {NODES_MAX} nodes."),
        )
    })?;
    unique(&next)?;
    Ok(next)
}

/// The node in this row comes back, under its key or another one.
fn start_anew(one: &mut RosterNode, anew: &NodeReincarnate, free_seat: u32) -> Result<(), Refusal> {
    let expected = one.incarnation.checked_add(1);
    ensure(expected == Some(anew.incarnation), || {
        let present = one.incarnation;
        let message = format!(
            "The node is at incarnation {present}; {} does not follow.",
            anew.incarnation
        );
        precond("node.incarnation", message)
    })?;
    let other_disk = !anew.new_key.is_empty() || one.instance != anew.instance;
    ensure(other_disk, || {
        precond("node.instance", "The node speaks from this disk already.")
    })?;
    one.incarnation = anew.incarnation;
    one.instance = anew.instance;
    let node = one.node.get_or_insert_default();
    if !anew.new_key.is_empty() {
        node.key.clone_from(&anew.new_key);
        one.seat = free_seat;
    }
    if !anew.new_curve_key.is_empty() {
        node.curve_key.clone_from(&anew.new_curve_key);
    }
    Ok(())
}

/// Refuses a roster whose quorum would need nodes that nobody has seen work,
/// even if all that stay do: one such node could stop the federation for good.
pub(crate) fn require_enough(
    before: &[RosterNode],
    next: &[RosterNode],
    force: bool,
) -> Result<(), Refusal> {
    let stays = |one: &&RosterNode| before.iter().any(|old| old.seat == one.seat);
    let stay = next.iter().filter(stays).count();
    let quorum = quorum_of(next.len());
    ensure(force || stay >= quorum, || {
        let strangers: Vec<&str> = next
            .iter()
            .filter(|one| !stays(one))
            .map(|one| row(one).name.as_str())
            .collect();
        let message = format!(
            "{quorum} nodes would have to work, and only {stay} of them are known to: \
             all would stop unless {} does, too. Propose it with force where that is sure.",
            strangers.join(", ")
        );
        precond("node.quorum", message)
    })
}
