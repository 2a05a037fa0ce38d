//! What is remembered of actions that have ended, and for how long.
//!
//! A row for the answer, by the action's id, and one for the request id, so
//! that another body under it is refused. Where money, machines or members are
//! concerned both stay for ever ([`Answer::ForEver`]). Of signs of life, and of
//! views that the next one replaces, there is no end; theirs are forgotten
//! [`KEPT_MS`] behind the action's expiry, by consensus time and so alike on
//! all nodes.
//!
//! No replay slips through: consensus time never runs backwards, what is
//! forgotten has expired, and an action that comes at or after its expiry, or
//! that expires days ahead, has no effect and leaves no row. So an action that has
//! no receipt when its expiry has passed can never be ordered any more: that is
//! what EXPIRED means.

use dctrl_proto::receipt::{receipt_digest, receipts_digest};
use dctrl_proto::v1::Receipt;
use prost::Message;

use crate::registry::{self, Answer};
use crate::scope::Scope;
use crate::{StateRead, keys, tables};

/// How long behind its expiry the answer of a passing action is kept, so that
/// whoever asks in time learns of it: 1 h.
pub const KEPT_MS: u64 = 60 * 60 * 1000;

/// Rows that a block forgets at least, where they are due.
const FORGOTTEN_PER_BLOCK_MIN: usize = 256;

/// Rows that a block forgets for each of its actions, so that what it adds is
/// less than what later ones take away.
const FORGOTTEN_PER_ACTION: usize = 2;

/// Whether the answer of an action with this name and expiry, had it been
/// ordered in time, is still there when consensus time is `now_ms`.
#[must_use]
pub fn is_kept(name: &str, expires_at_ms: u64, now_ms: u64) -> bool {
    is_for_ever(name) || now_ms < forgotten_at_ms(expires_at_ms)
}

/// The encoded receipts of the block at `height` that stay for ever, in the
/// order in which [`BlockApplied::receipts`](dctrl_proto::v1::BlockApplied)
/// covers them. `actions` are the ids in the block, in any order.
#[must_use]
pub fn of_block(state: &dyn StateRead, height: u64, mut actions: Vec<[u8; 32]>) -> Vec<Vec<u8>> {
    actions.sort_unstable();
    actions.dedup();
    let kept = actions.iter().filter_map(|id| {
        let encoded = state.get(&keys::receipt(id))?;
        let receipt: Receipt = tables::decode(&keys::receipt(id), &encoded);
        (receipt.height == height && is_for_ever(&receipt.name)).then_some(encoded)
    });
    kept.collect()
}

/// What the block's own frame says of these receipts.
pub(crate) fn digest(receipts: &[Receipt]) -> Vec<u8> {
    let mut kept: Vec<&Receipt> = receipts
        .iter()
        .filter(|receipt| is_for_ever(&receipt.name))
        .collect();
    kept.sort_unstable_by(|one, other| one.action_id.cmp(&other.action_id));
    let digests: Vec<[u8; 32]> = kept
        .iter()
        .map(|receipt| receipt_digest(&receipt.encode_to_vec()))
        .collect();
    receipts_digest(&digests)
}

/// Keeps how an action ended, and its request id where it was the first to use
/// it.
pub(crate) fn keep(
    scope: &mut Scope<'_>,
    receipt: &Receipt,
    expires_at_ms: u64,
    request: Option<Vec<u8>>,
) {
    scope.put(keys::receipt(&receipt.action_id), receipt);
    if !is_for_ever(&receipt.name) {
        let place = keys::forgotten(forgotten_at_ms(expires_at_ms), &receipt.action_id);
        scope.put_bytes(place, request.as_deref().unwrap_or_default());
    }
    if let Some(request) = request {
        scope.put_bytes(request, &receipt.action_id);
    }
}

/// Forgets what is due by the block's time, the oldest first, as far as a block
/// of so many actions has to.
pub(crate) fn forget(scope: &mut Scope<'_>, actions: usize) {
    let is_due = |place: &[u8], now_ms| keys::parse_forgotten(place).0 <= now_ms;
    let first = scope.scan(keys::FORGOTTEN, None, 1);
    if !first
        .iter()
        .any(|(place, _)| is_due(place, scope.time_ms()))
    {
        return;
    }
    let most = FORGOTTEN_PER_BLOCK_MIN + FORGOTTEN_PER_ACTION * actions;
    for (place, request) in scope.scan(keys::FORGOTTEN, None, most) {
        if !is_due(&place, scope.time_ms()) {
            break;
        }
        let (_, action_id) = keys::parse_forgotten(&place);
        scope.delete(keys::receipt(action_id));
        if !request.is_empty() {
            scope.delete(request);
        }
        scope.delete(place);
    }
}

fn forgotten_at_ms(expires_at_ms: u64) -> u64 {
    expires_at_ms.saturating_add(KEPT_MS)
}

fn is_for_ever(name: &str) -> bool {
    registry::find_known(name).is_some_and(|kind| kind.answer == Answer::ForEver)
}
