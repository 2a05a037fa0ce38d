//! `payout.approve`: a copayer finds a payout right.

use dctrl_proto::v1::{Payout, PayoutApprove, PayoutState, Refusal};

use crate::caller::Caller;
use crate::refuse::{aborted, ensure, exists, precond};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, payouts};

impl Action for PayoutApprove {
    type Plan = Payout;

    fn check(&self) -> Result<(), Refusal> {
        ids::id("payout_id", &self.payout_id)?;
        ids::bytes32("txid", &self.txid)
    }

    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<Payout, Refusal> {
        let payout = payouts::find(view.state, &self.payout_id)?;
        payouts::require_approver(view, caller)?;
        ensure(payout.state() == PayoutState::Proposed, || {
            let state = payout.state().as_str_name();
            precond("payout.state", format!("The payout is in state {state}."))
        })?;
        ensure(payouts::current(&payout).txid == self.txid, || {
            let message = "The payout's transaction is another one.";
            aborted("payout.txid", message)
        })?;
        let own = caller.member.as_ref().map(|member| &member.id);
        let before = payout
            .approvals
            .iter()
            .any(|one| Some(&one.member_id) == own);
        ensure(!before, || {
            exists("payout.approved", "You have approved it already.")
        })?;
        Ok(payout)
    }

    fn execute(self, mut payout: Payout, scope: &mut Scope<'_>, caller: &Caller) -> String {
        let mut decision = payouts::decided(scope, caller, "");
        decision.txid = self.txid;
        let member = decision.member_id.clone();
        payout.rejections.retain(|one| one.member_id != member);
        payout.approvals.push(decision);
        payout
            .approvals
            .sort_by(|a, b| a.member_id.cmp(&b.member_id));
        if payouts::is_approved(&payout) {
            let earliest_ms = payout.proposed_at_ms + payout.delay_ms;
            payout.sign_from_ms = earliest_ms.max(scope.time_ms());
        }
        payouts::save(scope, payout, &format!("{member} approves."));
        self.payout_id
    }
}
