//! Refunds as rows: kept, told, and which of them still wait.

use dctrl_proto::v1::{Refund, RefundState};

use crate::scope::Scope;
use crate::{StateRead, facts, keys, tables};

/// Keeps a refund and tells of it.
pub(crate) fn save(scope: &mut Scope<'_>, refund: Refund) {
    let open = keys::refund_open(refund.height, &refund.id);
    if refund.state() == RefundState::RefundOpen {
        scope.put_bytes(open, refund.id.as_bytes());
    } else {
        scope.delete(open);
    }
    scope.put(keys::refund(&refund.id), &refund);
    scope.tell(facts::refund(refund));
}

/// The refunds that wait for a payout, those that have waited longest first.
pub(crate) fn open(state: &dyn StateRead, limit: usize) -> impl Iterator<Item = Refund> {
    let ids = state.scan(keys::REFUNDS_OPEN, None, limit);
    ids.into_iter().map(move |(_, id)| {
        let key = keys::refund(&String::from_utf8_lossy(&id));
        tables::read(state, &key).expect("an indexed refund is there")
    })
}
