//! Who the nodes are, and how that changes.
//!
//! One node is one operator's voice. A change of the nodes is proposed by a
//! node or by a member who is an operator, and approved with the keys of the
//! nodes themselves: a quorum of nodes can sign any block, so that letting
//! the same quorum change the roster adds no trust in anybody. The genesis
//! ties no member to a node, so members' keys could not be counted like that.
//!
//! The roster stays the same within a block. At the block's end [`settle`]
//! makes one next roster of everything that was approved or left; it counts
//! from the next block on, whose first deed is [`realign`]: votes of nodes
//! that are gone are dropped, and what is left is counted anew.
//!
//! A node is named by its seat, a number that is never given twice, so that
//! no vote can change its owner.
//!
//! Deliberately absent: proof that a node forked. Only the consensus can
//! judge its events; operators check the proof with their own nodes and
//! approve a removal that names the proof's digest, and the key is banned.

mod change;
mod check;
mod heard;
mod proposals;
mod realign;
mod settle;

pub(crate) use change::{applied_to, require_enough};
pub(crate) use check::{Unique, check_change, check_node, require_free};
pub(crate) use heard::{heard, require_heard};
pub(crate) use proposals::{
    AHEAD_MS_MAX, PER_PROPOSER_MAX, PROPOSALS_MAX, all, approve, close, find, open, tell,
    waits_for, withdraw_approvals,
};
pub(crate) use realign::realign;
pub(crate) use settle::{leave, renew, renewed_ms, settle, staying};

use dctrl_proto::v1::{Node, NodeRoster, Refusal, RosterNode};

use crate::refuse::not_found;
use crate::{StateRead, keys, tables};

/// Most nodes of a federation: the consensus keeps sets of nodes in 128 bits.
pub(crate) const NODES_MAX: usize = 128;
/// Incarnation of a node that never lost its log.
pub(crate) const FIRST_INCARNATION: u32 = 1;

/// The present roster.
pub(crate) fn present(state: &dyn StateRead) -> NodeRoster {
    let number = tables::meta(state).roster_number;
    tables::read(state, &keys::roster(number)).expect("every roster is kept")
}

/// The roster of the genesis.
pub(crate) fn first(nodes: &[Node], created_at_ms: u64) -> NodeRoster {
    let nodes = (0..).zip(nodes).map(|(seat, node)| RosterNode {
        node: Some(node.clone()),
        seat,
        incarnation: FIRST_INCARNATION,
        instance: 0,
    });
    NodeRoster {
        number: 0,
        since_height: 1,
        since_ms: created_at_ms,
        nodes: nodes.collect(),
        changes: Vec::new(),
    }
}

/// A row that is a time, in milliseconds.
fn time_in(state: &dyn StateRead, key: &[u8]) -> Option<u64> {
    let bytes = state.get(key)?;
    let bytes = bytes.try_into().expect("a time is 8 bytes");
    Some(u64::from_be_bytes(bytes))
}

/// What people wrote about a node of the roster.
pub(crate) fn row(node: &RosterNode) -> &Node {
    node.node
        .as_ref()
        .expect("a roster was checked to have its nodes' rows")
}

/// The node of this key.
///
/// # Errors
/// NOTFOUND.
pub(crate) fn position(nodes: &[RosterNode], key: &[u8]) -> Result<usize, Refusal> {
    let position = nodes.iter().position(|node| row(node).key == key);
    position.ok_or_else(|| {
        let message = format!(
            "No node of the present roster has the key {}.",
            hex::encode(key)
        );
        not_found("node.key", message)
    })
}
