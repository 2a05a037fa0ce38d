//! Approvals and rejections, each by a different copayer.

use dctrl_proto::v1::{Payout, PayoutDecision, PayoutRules};

use super::approvals_missing;
use crate::caller::Caller;
use crate::scope::Scope;

/// What a member has just decided.
pub(crate) fn decided(scope: &Scope<'_>, caller: &Caller, reason: &str) -> PayoutDecision {
    let member = caller.member.as_ref();
    PayoutDecision {
        member_id: member.map(|member| member.id.clone()).unwrap_or_default(),
        height: scope.height(),
        time_ms: scope.time_ms(),
        reason: reason.to_owned(),
        txid: Vec::new(),
    }
}

/// Whether enough copayers approve, one of whom did not propose.
pub(crate) fn is_approved(payout: &Payout) -> bool {
    approvals_missing(payout) == 0
}

/// Whether the copayers who have not rejected it are too few.
pub(crate) fn cannot_be_approved(rules: &PayoutRules, payout: &Payout) -> bool {
    let rejects = |id: &str| payout.rejections.iter().any(|one| one.member_id == id);
    let left = || {
        let ids = rules.copayers.iter().map(|one| one.member_id.as_str());
        ids.filter(|id| !rejects(id))
    };
    let needed = usize::try_from(payout.approvals_needed).unwrap_or(usize::MAX);
    left().count() < needed || left().all(|id| id == payout.creator)
}
