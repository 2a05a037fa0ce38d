//! Proposals: opened, approved, closed.

use std::collections::BTreeSet;

use dctrl_proto::proposal::proposal_digest;
use dctrl_proto::v1::{NodeApproval, NodeChange, NodeProposal, ProposalState, Refusal, RosterNode};

use super::{applied_to, require_enough, require_heard};
use crate::caller::Principal;
use crate::refuse::not_found;
use crate::scope::{Scope, View};
use crate::votes::Federation;
use crate::{StateRead, facts, keys, tables};

/// Proposals that one node or operator may have open: a liar's are bounded.
pub(crate) const PER_PROPOSER_MAX: usize = 4;
/// Proposals that may be open together; more than a third of the most nodes
/// there can be have with all theirs.
pub(crate) const PROPOSALS_MAX: usize = 256;
/// A proposal waits for approvals at most so long: 30 days.
pub(crate) const AHEAD_MS_MAX: u64 = 30 * 24 * 60 * 60 * 1000;

const _: () = assert!(PROPOSALS_MAX > PER_PROPOSER_MAX * super::NODES_MAX / 3);

/// All open proposals, the oldest first.
pub(crate) fn all(state: &dyn StateRead) -> Vec<NodeProposal> {
    let mut open: Vec<NodeProposal> = tables::rows(state, keys::NODE_PROPOSALS).collect();
    // Equal heights keep the order of their digests.
    open.sort_by_key(|proposal| proposal.height);
    open
}

/// The open proposal with this digest.
///
/// # Errors
/// NOTFOUND.
pub(crate) fn find(state: &dyn StateRead, digest: &[u8]) -> Result<NodeProposal, Refusal> {
    tables::read(state, &keys::node_proposal(digest)).ok_or_else(|| {
        let message = format!("No proposal {} is open.", hex::encode(digest));
        not_found("node.proposal", message)
    })
}

/// Opens a proposal; returns it. Its guard saw that there is none like it.
pub(crate) fn open(scope: &mut Scope<'_>, change: NodeChange, by: &Principal) -> NodeProposal {
    let proposal = NodeProposal {
        digest: proposal_digest(scope.cluster(), &change).to_vec(),
        change: Some(change),
        proposed_by: by.encode(),
        height: scope.height(),
        time_ms: scope.time_ms(),
        approvals: Vec::new(),
    };
    save(scope, &proposal);
    proposal
}

/// Adds a node's approval, and tells.
pub(crate) fn approve(scope: &mut Scope<'_>, mut proposal: NodeProposal, seat: u32) {
    proposal.approvals.push(NodeApproval {
        seat,
        height: scope.height(),
        time_ms: scope.time_ms(),
    });
    proposal.approvals.sort_by_key(|approval| approval.seat);
    save(scope, &proposal);
    tell(scope, proposal, ProposalState::Open, "");
}

/// Keeps an open proposal.
pub(super) fn save(scope: &mut Scope<'_>, proposal: &NodeProposal) {
    scope.put(keys::node_proposal(&proposal.digest), proposal);
}

/// Takes the approvals of these seats away, and tells where there was one.
pub(crate) fn withdraw_approvals(
    scope: &mut Scope<'_>,
    mut proposal: NodeProposal,
    keep: impl Fn(u32) -> bool,
    why: &str,
) {
    let before = proposal.approvals.len();
    proposal.approvals.retain(|approval| keep(approval.seat));
    if proposal.approvals.len() < before {
        save(scope, &proposal);
        tell(scope, proposal, ProposalState::Open, why);
    }
}

/// Closes a proposal, and tells why.
pub(crate) fn close(
    scope: &mut Scope<'_>,
    proposal: NodeProposal,
    state: ProposalState,
    detail: &str,
) {
    scope.delete(keys::node_proposal(&proposal.digest));
    tell(scope, proposal, state, detail);
}

/// Tells the world how a proposal stands.
pub(crate) fn tell(
    scope: &mut Scope<'_>,
    proposal: NodeProposal,
    state: ProposalState,
    detail: &str,
) {
    scope.tell(facts::proposal(proposal, state, detail));
}

/// The present nodes that approve.
pub(super) fn approvers(proposal: &NodeProposal, federation: &Federation) -> BTreeSet<u32> {
    let seats = proposal.approvals.iter().map(|approval| approval.seat);
    seats.filter(|seat| federation.has(*seat)).collect()
}

/// The change, which every proposal has.
pub(super) fn change_of(proposal: &NodeProposal) -> &NodeChange {
    proposal
        .change
        .as_ref()
        .expect("a proposal was checked for its change")
}

/// Refuses to put nodes to work of which too few are known to.
pub(super) fn require_working(
    view: &View<'_>,
    before: &[RosterNode],
    next: &[RosterNode],
    change: &NodeChange,
) -> Result<(), Refusal> {
    require_enough(before, next, change.force)?;
    if change.force {
        return Ok(());
    }
    require_heard(view.state, view.time_ms, next)
}

/// What an open proposal still waits for, for people.
pub(crate) fn waits_for(view: &View<'_>, proposal: &NodeProposal) -> String {
    let approvals = approvers(proposal, view.federation).len();
    let quorum = view.federation.quorum();
    if proposal
        .change
        .as_ref()
        .is_none_or(|change| change.expires_at_ms <= view.time_ms)
    {
        return "nothing: it has expired".to_owned();
    }
    if approvals < quorum {
        return format!("{} more approvals of {quorum}", quorum - approvals);
    }
    let before = super::present(view.state).nodes;
    let change = change_of(proposal);
    let next = applied_to(&before, change, view.next_seat);
    match next.and_then(|next| require_working(view, &before, &next, change)) {
        Ok(()) => "the next block".to_owned(),
        Err(refusal) => refusal.message,
    }
}
