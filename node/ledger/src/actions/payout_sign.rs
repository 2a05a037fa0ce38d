//! `payout.sign`: copayers' signatures for a payout's transaction.

use dctrl_proto::v1::{Payout, PayoutSign, PayoutSigner, Refusal};

use crate::caller::Caller;
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, payouts};

impl Action for PayoutSign {
    type Plan = (Payout, Vec<PayoutSigner>);

    fn check(&self) -> Result<(), Refusal> {
        ids::id("payout_id", &self.payout_id)
    }

    /// A signature speaks for itself, so that anybody of the treasury may
    /// hand it in.
    fn guard(&self, view: &View<'_>, _: &Caller) -> Result<Self::Plan, Refusal> {
        let payout = payouts::find(view.state, &self.payout_id)?;
        let signers = payouts::signers(view, &payout, &self.psbt)?;
        Ok((payout, signers))
    }

    fn execute(self, plan: Self::Plan, scope: &mut Scope<'_>, _: &Caller) -> String {
        let (mut payout, signers) = plan;
        let names: Vec<&str> = signers.iter().map(|one| one.member_id.as_str()).collect();
        let version = payouts::current(&payout).number;
        let detail = format!("Signed by {}: version {version}.", names.join(", "));
        payouts::complete(scope, &mut payout, signers);
        payouts::save(scope, payout, &detail);
        self.payout_id
    }
}
