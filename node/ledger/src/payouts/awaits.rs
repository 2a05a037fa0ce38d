//! What a payout waits for, and who.

use dctrl_proto::v1::{Payout, PayoutRules, PayoutState};

use super::{DEPTH, current, is_over};

/// Writes it into the payout.
pub(super) fn write(rules: &PayoutRules, payout: &mut Payout) {
    let (awaits, awaited) = waits(rules, payout);
    payout.awaits = awaits;
    payout.awaited = awaited;
}

fn waits(rules: &PayoutRules, payout: &Payout) -> (String, Vec<String>) {
    if payout.frozen {
        return ("people: the chain contradicts the books".into(), Vec::new());
    }
    if is_over(payout) {
        return (String::new(), Vec::new());
    }
    let version = current(payout);
    match payout.state() {
        PayoutState::Proposed => {
            let missing = approvals_missing(payout);
            let has_decided = |id: &str| payout.approvals.iter().any(|one| one.member_id == id);
            (
                format!("{missing} more approval(s)"),
                copayers(rules, has_decided),
            )
        }
        PayoutState::Confirmed | PayoutState::Invalidated => {
            let seen = payout.seen.as_ref().map_or(0, |seen| seen.confirmations);
            let missing = DEPTH.saturating_sub(seen);
            (format!("{missing} more confirmation(s)"), Vec::new())
        }
        _ if version.transaction.is_empty() => {
            let signed = version.signers.len();
            let needed = usize::try_from(payout.signatures_needed).unwrap_or(usize::MAX);
            let missing = needed.saturating_sub(signed);
            let has_signed = |id: &str| version.signers.iter().any(|one| one.member_id == id);
            let text = format!("{missing} more signature(s) of version {}", version.number);
            (text, copayers(rules, has_signed))
        }
        PayoutState::Broadcast => ("a block".into(), Vec::new()),
        _ => {
            let nodes = version.executors.iter().map(|seat| format!("node/{seat}"));
            (
                "the broadcast, by the first of these".into(),
                nodes.collect(),
            )
        }
    }
}

/// The copayers who have not done it yet.
fn copayers(rules: &PayoutRules, has_done: impl Fn(&str) -> bool) -> Vec<String> {
    let ids = rules.copayers.iter().map(|one| one.member_id.as_str());
    ids.filter(|id| !has_done(id))
        .map(|id| format!("member/{id}"))
        .collect()
}

/// Approvals that are missing; one at least while only the creator approves.
pub(crate) fn approvals_missing(payout: &Payout) -> usize {
    let needed = usize::try_from(payout.approvals_needed).unwrap_or(usize::MAX);
    let missing = needed.saturating_sub(payout.approvals.len());
    let another = |member: &str| member != payout.creator;
    if payout.approvals.iter().any(|one| another(&one.member_id)) {
        missing
    } else {
        missing.max(1)
    }
}
