//! `payout.reject`: a copayer does not want a payout.

use dctrl_proto::v1::{Payout, PayoutReject, PayoutState, Refusal};

use crate::caller::Caller;
use crate::refuse::{ensure, exists, precond};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, payouts};

impl Action for PayoutReject {
    type Plan = Payout;

    fn check(&self) -> Result<(), Refusal> {
        ids::id("payout_id", &self.payout_id)?;
        ids::text("reason", &self.reason)
    }

    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<Payout, Refusal> {
        let payout = payouts::find(view.state, &self.payout_id)?;
        payouts::require_approver(view, caller)?;
        ensure(payout.state() == PayoutState::Proposed, || {
            let state = payout.state().as_str_name();
            let message = format!("In state {state} a payout can only be cancelled.");
            precond("payout.state", message)
        })?;
        let own = caller.member.as_ref().map(|member| &member.id);
        let before = payout
            .rejections
            .iter()
            .any(|one| Some(&one.member_id) == own);
        ensure(!before, || {
            exists("payout.rejected", "You have rejected it already.")
        })?;
        Ok(payout)
    }

    fn execute(self, mut payout: Payout, scope: &mut Scope<'_>, caller: &Caller) -> String {
        let decision = payouts::decided(scope, caller, &self.reason);
        let member = decision.member_id.clone();
        payout.approvals.retain(|one| one.member_id != member);
        payout.rejections.push(decision);
        let detail = format!("{member} rejects: {}", self.reason);
        let rules = payouts::rules(scope.view().genesis);
        if payouts::cannot_be_approved(&rules, &payout) {
            payouts::close(scope, payout, PayoutState::Rejected, &detail);
        } else {
            payouts::save(scope, payout, &detail);
        }
        self.payout_id
    }
}
