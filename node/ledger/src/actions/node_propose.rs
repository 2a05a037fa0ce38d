//! `node.propose`: propose a change of the nodes.

use dctrl_proto::proposal::proposal_digest;
use dctrl_proto::v1::{NodeChange, NodePropose, ProposalState, Refusal};

use crate::caller::{Caller, Principal};
use crate::refuse::{ensure, exhausted, exists, invalid, precond};
use crate::registry::Action;
use crate::roster;
use crate::scope::{Scope, View};
use crate::tables;

impl Action for NodePropose {
    type Plan = NodeChange;

    fn check(&self) -> Result<(), Refusal> {
        let change = self.change.as_ref().ok_or_else(|| {
            let message = "The change is missing.";
            invalid("node.change", "change", message)
        })?;
        roster::check_change(change)
    }

    /// Whether the change could be made now; whether enough of the nodes work
    /// is asked again when a quorum has approved.
    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<NodeChange, Refusal> {
        let change = self.change.clone().unwrap_or_default();
        ensure(change.expires_at_ms > view.time_ms, || {
            precond("node.expired", "The proposal is void already.")
        })?;
        let ahead_ms = change.expires_at_ms - view.time_ms;
        ensure(ahead_ms <= roster::AHEAD_MS_MAX, || {
            precond(
                "node.expiry",
                "A proposal waits at most 30 days for approvals.",
            )
        })?;
        room(view, caller)?;
        let cluster = tables::meta(view.state).cluster;
        let digest = proposal_digest(&cluster, &change);
        ensure(roster::find(view.state, &digest).is_err(), || {
            exists("node.proposal", "The same proposal is open already.")
        })?;
        roster::require_free(view.state, &change)?;
        let before = roster::present(view.state).nodes;
        let next = roster::applied_to(&before, &change, view.next_seat)?;
        roster::require_enough(&before, &next, change.force)?;
        Ok(change)
    }

    fn execute(self, change: NodeChange, scope: &mut Scope<'_>, caller: &Caller) -> String {
        let proposal = roster::open(scope, change, &caller.principal);
        let id = hex::encode(&proposal.digest);
        match caller.principal {
            Principal::Node(seat) => roster::approve(scope, proposal, seat),
            _ => roster::tell(scope, proposal, ProposalState::Open, ""),
        }
        id
    }
}

/// Refuses whoever has as many proposals open as one may.
fn room(view: &View<'_>, caller: &Caller) -> Result<(), Refusal> {
    let open = roster::all(view.state);
    let who = caller.principal.encode();
    let own = open.iter().filter(|one| one.proposed_by == who).count();
    let fits = own < roster::PER_PROPOSER_MAX && open.len() < roster::PROPOSALS_MAX;
    ensure(fits, || {
        let message = format!("{own} proposals of yours are open, {} in all.", open.len());
        exhausted("node.proposals", message)
    })
}
