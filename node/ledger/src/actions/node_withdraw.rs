//! `node.withdraw`: take back a proposal, or the approval of one.

use dctrl_proto::v1::{NodeProposal, NodeWithdraw, ProposalState, Refusal};

use crate::caller::{Caller, Principal};
use crate::refuse::{denied, ensure};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, roster};

impl Action for NodeWithdraw {
    type Plan = NodeProposal;

    fn check(&self) -> Result<(), Refusal> {
        ids::bytes32("proposal", &self.proposal)
    }

    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<NodeProposal, Refusal> {
        let proposal = roster::find(view.state, &self.proposal)?;
        let involved = is_own(&proposal, caller) || approved(&proposal, caller).is_some();
        ensure(involved, || {
            let message = "You neither proposed nor approved this.";
            denied("node.withdraw", message)
        })?;
        Ok(proposal)
    }

    fn execute(self, plan: NodeProposal, scope: &mut Scope<'_>, caller: &Caller) -> String {
        let seat = approved(&plan, caller);
        if is_own(&plan, caller) {
            let detail = "Who proposed it took it back.";
            roster::close(scope, plan, ProposalState::Withdrawn, detail);
        } else {
            let others = |other| Some(other) != seat;
            roster::withdraw_approvals(scope, plan, others, "An approval was taken back.");
        }
        hex::encode(&self.proposal)
    }
}

fn is_own(proposal: &NodeProposal, caller: &Caller) -> bool {
    proposal.proposed_by == caller.principal.encode()
}

/// The caller's seat, where it is a node that approved.
fn approved(proposal: &NodeProposal, caller: &Caller) -> Option<u32> {
    let Principal::Node(seat) = caller.principal else {
        return None;
    };
    let mut approvals = proposal.approvals.iter();
    approvals.any(|one| one.seat == seat).then_some(seat)
}
