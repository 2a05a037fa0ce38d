//! `refund.withdraw`: take back a refund that nobody has paid yet.

use dctrl_proto::v1::{Refund, RefundState, RefundWithdraw, Refusal};

use crate::caller::Caller;
use crate::purse::{self, Purse};
use crate::refuse::{denied, ensure, exists, not_found};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{books, ids, keys, refunds, tables};

impl Action for RefundWithdraw {
    type Plan = Refund;

    fn check(&self) -> Result<(), Refusal> {
        ids::id("refund_id", &self.refund_id)
    }

    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<Refund, Refusal> {
        let refund: Refund =
            tables::read(view.state, &keys::refund(&self.refund_id)).ok_or_else(|| {
                not_found("refund", format!("There is no refund {}.", self.refund_id))
            })?;
        ensure(refund.asked_by == caller.principal.encode(), || {
            denied("refund.own", "Only who asked for a refund takes it back.")
        })?;
        ensure(refund.state() == RefundState::RefundOpen, || {
            exists(
                "refund.state",
                "The refund has ended, or a payout has taken it up.",
            )
        })?;
        Ok(refund)
    }

    fn execute(self, mut refund: Refund, scope: &mut Scope<'_>, _: &Caller) -> String {
        // A claim may have been redeemed since: its credit is on a tab now.
        let purse = match tables::vend(scope, &refund.vend_id) {
            Ok(vend) => Purse::of(&vend),
            Err(_) => Purse::tab(&refund.member_id),
        };
        let from = books::refund(&refund.id);
        let text = "refund withdrawn";
        purse::give(scope, &refund.id, text, &from, &purse, refund.sats);
        refund.set_state(RefundState::RefundWithdrawn);
        let id = refund.id.clone();
        refunds::save(scope, refund);
        id
    }
}
