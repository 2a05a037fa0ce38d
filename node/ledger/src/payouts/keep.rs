//! Payouts as rows: found, kept, told; and the state that follows from the rest.

use dctrl_proto::v1::{
    PaymentView, Payout, PayoutKind, PayoutState, PayoutStep, PayoutVersion, Refusal,
};

use super::{
    STEPS_MAX, awaits, coins, current, expiry, is_over, money, rules, source, standing, version_of,
};
use crate::refuse::not_found;
use crate::scope::Scope;
use crate::{StateRead, facts, keys, tables};

/// The payout with this id.
///
/// # Errors
/// NOTFOUND.
pub(crate) fn find(state: &dyn StateRead, id: &str) -> Result<Payout, Refusal> {
    tables::read(state, &keys::payout(id))
        .ok_or_else(|| not_found("payout.id", format!("There is no payout {id}.")))
}

/// Keeps a payout in the state that follows from it, and tells where more
/// than the votes changed. A detail makes a step of its history in any case.
pub(crate) fn save(scope: &mut Scope<'_>, mut payout: Payout, detail: &str) {
    let before: Option<Payout> = tables::read(scope, &keys::payout(&payout.id));
    let state = derived(&payout);
    let entered = before.as_ref().map(Payout::state) != Some(state);
    payout.set_state(state);
    if entered || !detail.is_empty() {
        step(scope, &mut payout, detail);
    }
    let rules = rules::rules(scope.view().genesis);
    awaits::write(&rules, &mut payout);
    standing::write(scope, &mut payout);
    scope.put(keys::payout(&payout.id), &payout);
    let open = keys::payout_open(&payout.id);
    if is_over(&payout) {
        scope.delete(open);
    } else {
        scope.put_bytes(open, &[]);
    }
    expiry::schedule(scope, &payout);
    source::follow(scope, &payout);
    let silent = |payout: &Payout| Payout {
        votes: Vec::new(),
        ..payout.clone()
    };
    if before.as_ref().map(silent) != Some(silent(&payout)) {
        scope.tell(facts::payout(payout));
    }
}

fn step(scope: &Scope<'_>, payout: &mut Payout, detail: &str) {
    payout.history.push(PayoutStep {
        state: payout.state,
        height: scope.height(),
        time_ms: scope.time_ms(),
        detail: detail.to_owned(),
    });
    let surplus = payout.history.len().saturating_sub(STEPS_MAX);
    payout.history.drain(..surplus);
}

/// The state, of approvals, signatures and what the chain shows.
fn derived(payout: &Payout) -> PayoutState {
    if is_over(payout) {
        return payout.state();
    }
    if let Some(seen) = &payout.seen {
        let own = version_of(payout, &seen.txid).is_some();
        match (seen.view(), own) {
            (PaymentView::InBlock, true) => return PayoutState::Confirmed,
            (PaymentView::InBlock, false) => return PayoutState::Invalidated,
            (PaymentView::InMempool, true) => return PayoutState::Broadcast,
            _ => {}
        }
    }
    let version = current(payout);
    if !version.transaction.is_empty() {
        PayoutState::Ready
    } else if !version.signers.is_empty() {
        PayoutState::Signing
    } else if payout.sign_from_ms > 0 {
        PayoutState::Approved
    } else {
        PayoutState::Proposed
    }
}

/// Ends a payout that nobody can have signed: its coins come free.
pub(crate) fn close(scope: &mut Scope<'_>, mut payout: Payout, state: PayoutState, detail: &str) {
    coins::unlock(scope, &payout);
    money::reserve(scope, &mut payout, 0, 0, detail);
    rules::give_back_day(scope, &payout);
    payout.set_state(state);
    save(scope, payout, detail);
}

/// Adds a transaction that takes the place of the one before.
pub(crate) fn new_version(
    scope: &mut Scope<'_>,
    mut payout: Payout,
    version: PayoutVersion,
    detail: &str,
) {
    let paid = match version.kind() {
        PayoutKind::Cancel => 0,
        _ => payout.amount_sats,
    };
    coins::lock(scope, &mut payout, &version);
    money::reserve(scope, &mut payout, paid, version.fee_sats, detail);
    payout.versions.push(version);
    save(scope, payout, detail);
}
