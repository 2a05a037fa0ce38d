//! What consensus time alone does to payouts: a proposal becomes void.

use dctrl_proto::v1::{Payout, PayoutState};

use super::keep::{close, find};
use crate::scope::Scope;
use crate::{StateRead, keys, tables};

/// Brings the index in line: only what is not approved can become void.
pub(super) fn schedule(scope: &mut Scope<'_>, payout: &Payout) {
    let key = keys::payout_deadline(payout.expires_at_ms, &payout.id);
    if payout.state() == PayoutState::Proposed {
        scope.put_bytes(key, &[]);
    } else {
        scope.delete(key);
    }
}

/// When the first proposal becomes void.
pub(crate) fn next_deadline_ms(state: &dyn StateRead) -> Option<u64> {
    let first = state.scan(keys::PAYOUT_DEADLINES, None, 1);
    first
        .first()
        .map(|(key, _)| keys::parse_payout_deadline(key).0)
}

/// Closes what is void by now.
pub(crate) fn fire_due(scope: &mut Scope<'_>) {
    for (key, _) in scope.scan(keys::PAYOUT_DEADLINES, None, super::OPEN_MAX) {
        let (at_ms, id) = keys::parse_payout_deadline(&key);
        if at_ms > scope.time_ms() {
            return;
        }
        let payout = tables::must(find(scope, id));
        let detail = "Not approved in time.";
        close(scope, payout, PayoutState::Expired, detail);
    }
}
