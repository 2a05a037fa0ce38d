//! `payout.lift`: a child that pays for a payout's waiting transaction.

use dctrl_proto::v1::{Payout, PayoutLift, PayoutParent, PayoutVersion, Refusal};

use crate::caller::Caller;
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, payouts};

/// What the guard has found out: the payout, what of it waits, and the child.
pub(crate) struct Plan {
    payout: Payout,
    parent: PayoutParent,
    version: PayoutVersion,
}

impl Action for PayoutLift {
    type Plan = Plan;

    fn check(&self) -> Result<(), Refusal> {
        ids::id("payout_id", &self.payout_id)
    }

    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<Plan, Refusal> {
        let payout = payouts::find(view.state, &self.payout_id)?;
        let (parent, change) = payouts::liftable(view, &payout)?;
        payouts::require_room(view, caller)?;
        payouts::require_free_id(view, caller)?;
        let version = payouts::child(view, &parent, &change, self.fee_rate)?;
        Ok(Plan {
            payout,
            parent,
            version,
        })
    }

    fn execute(self, plan: Plan, scope: &mut Scope<'_>, caller: &Caller) -> String {
        payouts::order_child(scope, caller, &plan.payout, plan.parent, plan.version)
    }
}
