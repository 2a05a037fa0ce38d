//! `payout.propose`: pay these recipients from the federation's wallet, or make
//! one coin of its small ones.

use dctrl_proto::v1::{Payout, PayoutPropose, PayoutTier, PayoutVersion, Refusal};

use crate::caller::Caller;
use crate::payouts::Source;
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{ids, keys, payouts};

/// What the guard has found out: whom it pays, the tier, and the transaction.
pub(crate) struct Plan {
    source: Source,
    tier: PayoutTier,
    version: PayoutVersion,
}

impl Action for PayoutPropose {
    type Plan = Plan;

    fn check(&self) -> Result<(), Refusal> {
        ids::text("purpose", &self.purpose)
    }

    fn guard(&self, view: &View<'_>, caller: &Caller) -> Result<Plan, Refusal> {
        let source = payouts::source(view, self)?;
        let tier = if self.consolidate {
            payouts::require_consolidation(view, caller)?
        } else {
            payouts::require_proposal(view, caller, &source)?
        };
        payouts::require_free_id(view, caller)?;
        let draw = [caller.action_id[30], caller.action_id[31]];
        let version = if self.consolidate {
            payouts::consolidation(view, draw)?
        } else {
            payouts::first(view, &source.recipients, draw)?
        };
        payouts::require_cover(view, &source, version.fee_sats)?;
        Ok(Plan {
            source,
            tier,
            version,
        })
    }

    fn execute(self, plan: Plan, scope: &mut Scope<'_>, caller: &Caller) -> String {
        let Plan {
            source,
            tier,
            version,
        } = plan;
        let mut payout = Payout {
            purpose: self.purpose,
            amount_sats: source.recipients.iter().map(|one| one.amount_sats).sum(),
            recipients: source.recipients,
            accounts: source.accounts,
            approvals_needed: tier.approvals,
            delay_ms: tier.delay_ms,
            ..payouts::new(scope, caller)
        };
        let id = payout.id.clone();
        payouts::take_day(scope, &payout);
        payouts::lock(scope, &mut payout, &version);
        let paid = payout.amount_sats;
        payouts::reserve(scope, &mut payout, paid, version.fee_sats, "proposed");
        payout.versions.push(version);
        let newest = keys::payout_newest(payout.proposed_at_ms, &id);
        scope.put_bytes(newest, id.as_bytes());
        payouts::save(scope, payout, "Proposed; the transaction is fixed.");
        id
    }
}
