//! `payout.bump`: the same payout with a higher fee.

use dctrl_proto::v1::{Payout, PayoutBump, PayoutKind, PayoutState, PayoutVersion, Refusal};

use crate::caller::Caller;
use crate::refuse::{ensure, precond};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, payouts};

impl Action for PayoutBump {
    type Plan = (Payout, PayoutVersion);

    fn check(&self) -> Result<(), Refusal> {
        ids::id("payout_id", &self.payout_id)
    }

    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<Self::Plan, Refusal> {
        let payout = payouts::find(view.state, &self.payout_id)?;
        payouts::require_own(&payout, caller)?;
        let waits = matches!(
            payout.state(),
            PayoutState::Approved
                | PayoutState::Signing
                | PayoutState::Ready
                | PayoutState::Broadcast
        );
        let kind = payouts::current(&payout).kind();
        ensure(waits && kind != PayoutKind::Cancel, || {
            let state = payout.state().as_str_name();
            precond(
                "payout.state",
                format!("There is no fee to raise in state {state}."),
            )
        })?;
        let version = payouts::again(view, &payout, self.fee_rate)?;
        Ok((payout, version))
    }

    fn execute(self, plan: Self::Plan, scope: &mut Scope<'_>, _: &Caller) -> String {
        let (payout, version) = plan;
        let detail = format!(
            "Version {} pays {} sats of fee.",
            version.number, version.fee_sats
        );
        payouts::new_version(scope, payout, version, &detail);
        self.payout_id
    }
}
