//! `payout.cancel`: drop a payout.

use dctrl_proto::v1::{Payout, PayoutCancel, PayoutKind, PayoutState, PayoutVersion, Refusal};

use crate::caller::Caller;
use crate::refuse::{ensure, precond};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, payouts};

impl Action for PayoutCancel {
    /// The transaction back to the wallet, where one is needed.
    type Plan = (Payout, Option<PayoutVersion>);

    fn check(&self) -> Result<(), Refusal> {
        ids::id("payout_id", &self.payout_id)?;
        ids::text("reason", &self.reason)
    }

    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<Self::Plan, Refusal> {
        let payout = payouts::find(view.state, &self.payout_id)?;
        payouts::require_own(&payout, caller)?;
        match payout.state() {
            PayoutState::Proposed => Ok((payout, None)),
            PayoutState::Approved
            | PayoutState::Signing
            | PayoutState::Ready
            | PayoutState::Broadcast => {
                let kind = payouts::current(&payout).kind();
                ensure(kind != PayoutKind::Cancel, || {
                    precond("payout.state", "It is being cancelled already.")
                })?;
                let paid = "It pays nobody but the wallet: nothing is to be taken back.";
                ensure(kind != PayoutKind::Child, || precond("payout.child", paid))?;
                ensure(kind != PayoutKind::Consolidation, || {
                    precond("payout.consolidation", paid)
                })?;
                let version = payouts::cancellation(view, &payout)?;
                Ok((payout, Some(version)))
            }
            state => {
                let message = format!("Nothing can be cancelled in state {}.", state.as_str_name());
                Err(precond("payout.state", message))
            }
        }
    }

    fn execute(self, plan: Self::Plan, scope: &mut Scope<'_>, _: &Caller) -> String {
        let (payout, version) = plan;
        let reason = self.reason;
        match version {
            None => {
                let detail = format!("Taken back: {reason}");
                payouts::close(scope, payout, PayoutState::Cancelled, &detail);
            }
            Some(version) => {
                let number = version.number;
                let detail = format!("Version {number} takes everything back: {reason}");
                payouts::new_version(scope, payout, version, &detail);
            }
        }
        self.payout_id
    }
}
