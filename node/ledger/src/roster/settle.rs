//! The end of a block: one next roster of all that was approved, left or came
//! back on another disk.

use dctrl_proto::v1::node_change::Kind;
use dctrl_proto::v1::{
    NodeChange, NodeLeave, NodeProposal, NodeReincarnate, NodeRemove, NodeRenew, NodeRoster,
    ProposalState, Refusal, RosterChange, RosterNode,
};
use prost::Message;

use super::check::{held_against, require_free};
use super::proposals::{all, approvers, change_of, close, require_working, withdraw_approvals};
use super::{applied_to, present, row, time_in};
use crate::caller::{Principal, hold_key};
use crate::scope::Scope;
use crate::{StateRead, facts, keys, tables};

/// The node in `seat` leaves at the end of this block.
pub(crate) fn leave(scope: &mut Scope<'_>, seat: u32, leave: &NodeLeave) {
    scope.put(keys::node_leaving(seat), leave);
}

/// The node in `seat` speaks from another disk at the end of this block.
pub(crate) fn renew(scope: &mut Scope<'_>, seat: u32, renew: &NodeRenew) {
    scope.put(keys::node_renewing(seat), renew);
    let now_ms = scope.time_ms();
    scope.put_bytes(keys::node_renewed(seat), &now_ms.to_be_bytes());
}

/// When the node in `seat` changed its disk last, by the time of consensus.
pub(crate) fn renewed_ms(state: &dyn StateRead, seat: u32) -> Option<u64> {
    time_in(state, &keys::node_renewed(seat))
}

/// The present nodes less those that leave in this block.
pub(crate) fn staying(state: &dyn StateRead) -> Vec<RosterNode> {
    let mut nodes = present(state).nodes;
    nodes.retain(|node| state.get(&keys::node_leaving(node.seat)).is_none());
    nodes
}

/// A roster in the making.
struct Draft {
    before: NodeRoster,
    nodes: Vec<RosterNode>,
    next_seat: u32,
    changes: Vec<RosterChange>,
}

impl Draft {
    /// Makes the change; whether it fits was asked.
    fn make(&mut self, nodes: Vec<RosterNode>, change: RosterChange) {
        if nodes.iter().any(|node| node.seat == self.next_seat) {
            self.next_seat += 1;
        }
        self.nodes = nodes;
        self.changes.push(change);
    }

    fn gone(&self) -> impl Iterator<Item = &RosterNode> {
        let stays = |old: &RosterNode| self.nodes.iter().any(|new| new.seat == old.seat);
        self.before.nodes.iter().filter(move |old| !stays(old))
    }

    fn come(&self) -> impl Iterator<Item = &RosterNode> {
        let was = |new: &RosterNode| self.before.nodes.iter().any(|old| old.seat == new.seat);
        self.nodes.iter().filter(move |new| !was(new))
    }
}

/// What is to be done with a proposal at the end of a block.
enum Fate {
    Waits,
    Expired,
    Void(Refusal),
    Effective(Vec<RosterNode>, Box<RosterChange>),
}

/// Makes one roster of everything that left and of every proposal that a
/// quorum of the present nodes approves, the oldest first; `None` where the
/// nodes stay as they are. Proposals that ran out are closed.
pub(crate) fn settle(scope: &mut Scope<'_>) -> Option<NodeRoster> {
    let proposals = all(scope);
    let leaving: Vec<(Vec<u8>, NodeLeave)> = pending(scope, keys::NODES_LEAVING);
    let renewing: Vec<(Vec<u8>, NodeRenew)> = pending(scope, keys::NODES_RENEWING);
    if proposals.is_empty() && leaving.is_empty() && renewing.is_empty() {
        return None;
    }
    let before = present(scope);
    let mut draft = Draft {
        nodes: before.nodes.clone(),
        before,
        next_seat: scope.view().next_seat,
        changes: Vec::new(),
    };
    for (key, leave) in leaving {
        depart(&mut draft, keys::parse_node_leaving(&key), leave);
        scope.delete(key);
    }
    for (key, renew) in renewing {
        let seat = keys::parse_node_renewing(&key);
        change_disk(&mut draft, seat, &renew);
        scope.delete(key);
    }
    for proposal in proposals {
        match fate(scope, &draft, &proposal) {
            Fate::Waits => {}
            Fate::Expired => {
                let detail = "Too few approvals came in time.";
                close(scope, proposal, ProposalState::Expired, detail);
            }
            Fate::Void(refusal) => {
                close(scope, proposal, ProposalState::Void, &refusal.message);
            }
            Fate::Effective(nodes, change) => {
                draft.make(nodes, *change);
                close(scope, proposal, ProposalState::Effective, "");
            }
        }
    }
    if draft.changes.is_empty() {
        return None;
    }
    Some(install(scope, draft))
}

/// What nodes decided for themselves in this block.
fn pending<T: Message + Default>(scope: &Scope<'_>, table: &[u8]) -> Vec<(Vec<u8>, T)> {
    tables::walk(scope, table)
        .map(|(key, value)| (key.clone(), tables::decode(&key, &value)))
        .collect()
}

/// A node speaks from another disk, unless it leaves in the same block.
fn change_disk(draft: &mut Draft, seat: u32, renew: &NodeRenew) {
    let Some(own) = draft.nodes.iter().position(|node| node.seat == seat) else {
        return;
    };
    let anew = NodeReincarnate {
        key: row(&draft.nodes[own]).key.clone(),
        incarnation: renew.incarnation,
        instance: renew.instance,
        ..NodeReincarnate::default()
    };
    let change = NodeChange {
        kind: Some(Kind::Reincarnate(anew)),
        ..NodeChange::default()
    };
    let fits = applied_to(&draft.nodes, &change, draft.next_seat);
    let nodes = fits.expect("the guard has seen that it fits");
    draft.make(nodes, by_itself(change, seat));
}

/// A change that a node may make alone.
fn by_itself(change: NodeChange, seat: u32) -> RosterChange {
    RosterChange {
        change: Some(change),
        proposal: Vec::new(),
        approved_by: vec![seat],
    }
}

/// A node leaves by itself.
fn depart(draft: &mut Draft, seat: u32, leave: NodeLeave) {
    let mut nodes = draft.nodes.clone();
    let position = nodes.iter().position(|node| node.seat == seat);
    let gone = nodes.remove(position.expect("only present nodes leave"));
    let remove = NodeRemove {
        key: row(&gone).key.clone(),
        evidence: Vec::new(),
    };
    let change = NodeChange {
        kind: Some(Kind::Remove(remove)),
        reason: leave.reason,
        expires_at_ms: 0,
        force: leave.force,
    };
    draft.make(nodes, by_itself(change, seat));
}

fn fate(scope: &Scope<'_>, draft: &Draft, proposal: &NodeProposal) -> Fate {
    let view = scope.view();
    let change = change_of(proposal);
    if change.expires_at_ms <= view.time_ms {
        return Fate::Expired;
    }
    let approved_by = approvers(proposal, view.federation);
    if approved_by.len() < view.federation.quorum() {
        return Fate::Waits;
    }
    let fits = require_free(scope, change)
        .and_then(|()| applied_to(&draft.nodes, change, draft.next_seat));
    let nodes = match fits {
        Ok(nodes) => nodes,
        Err(refusal) => return Fate::Void(refusal),
    };
    if require_working(&view, &draft.before.nodes, &nodes, change).is_err() {
        return Fate::Waits;
    }
    let change = RosterChange {
        change: Some(change.clone()),
        proposal: proposal.digest.clone(),
        approved_by: approved_by.into_iter().collect(),
    };
    Fate::Effective(nodes, Box::new(change))
}

/// Makes the draft the present roster: it orders and signs from the next
/// block on.
fn install(scope: &mut Scope<'_>, draft: Draft) -> NodeRoster {
    for gone in draft.gone() {
        scope.delete(keys::principal(&row(gone).key));
        scope.delete(keys::node_heard(gone.seat));
        scope.delete(keys::node_renewed(gone.seat));
    }
    for new in draft.come() {
        hold_key(scope, &Principal::Node(new.seat), &[], &row(new).key);
    }
    let changes = draft.changes.iter().filter_map(|made| made.change.as_ref());
    for (key, evidence) in changes.filter_map(held_against) {
        scope.put_bytes(keys::node_banned(key), evidence);
    }
    let roster = NodeRoster {
        number: draft.before.number + 1,
        since_height: scope.height() + 1,
        since_ms: scope.time_ms(),
        nodes: draft.nodes,
        changes: draft.changes,
    };
    scope.put(keys::roster(roster.number), &roster);
    scope.sit(&roster, draft.next_seat);
    for proposal in all(scope) {
        let sits = |seat: u32| roster.nodes.iter().any(|node| node.seat == seat);
        let why = "An approval is void: its node has gone.";
        withdraw_approvals(scope, proposal, sits, why);
    }
    scope.tell(facts::roster(roster.clone()));
    roster
}
