//! `node.approve`: a node approves a proposed change of the nodes.

use dctrl_proto::v1::{NodeApprove, NodeProposal, Refusal};

use crate::caller::Caller;
use crate::refuse::{ensure, exists, precond};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, roster};

impl Action for NodeApprove {
    type Plan = NodeProposal;

    fn check(&self) -> Result<(), Refusal> {
        ids::bytes32("proposal", &self.proposal)
    }

    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<NodeProposal, Refusal> {
        let proposal = roster::find(view.state, &self.proposal)?;
        let expires_at_ms = proposal.change.as_ref().map_or(0, |one| one.expires_at_ms);
        ensure(expires_at_ms > view.time_ms, || {
            precond("node.expired", "The proposal has expired.")
        })?;
        let seat = caller.node();
        let own = proposal.approvals.iter().any(|one| one.seat == seat);
        ensure(!own, || {
            exists("node.approval", "Your node has approved this already.")
        })?;
        Ok(proposal)
    }

    /// Whether it takes effect is decided at the end of the block, together
    /// with all else that was approved in it.
    fn execute(self, plan: NodeProposal, scope: &mut Scope<'_>, caller: &Caller) -> String {
        roster::approve(scope, plan, caller.node());
        hex::encode(&self.proposal)
    }
}
