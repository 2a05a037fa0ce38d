//! What consensus time alone does to vends.
//!
//! Every vend that waits has exactly one deadline, which follows from its
//! state; the index sorts them by time.

use dctrl_proto::v1::VendState::{Accepted, Authorised, Dispatched, Uncertain};
use dctrl_proto::v1::{HeldReason, Vend};

use super::{
    QUEUE_WAIT_MS, SEEN_WAIT_MS, end, failed, is_open, is_ordered, order_timeout_ms, reconsider,
    uncertain, window,
};
use crate::scope::Scope;
use crate::{StateRead, keys, money, payments, tables};

/// Deadlines that fire in one block; the rest fires in the next.
const FIRED_PER_BLOCK_MAX: usize = 10_000;

/// Deadlines read at once. What a block has changed is looked through for each
/// reading, so that reading them one by one would cost the square.
const PAGE: usize = 256;

/// When `vend`, which has just come to its state, must be looked at again.
fn due_ms(vend: &Vend, now_ms: u64, held_ms: u64) -> Option<u64> {
    match vend.state() {
        state if is_open(state) && now_ms >= vend.expires_at_ms => {
            Some(vend.expires_at_ms + SEEN_WAIT_MS)
        }
        state if is_open(state) && vend.recheck_at_ms > now_ms => {
            Some(vend.recheck_at_ms.min(vend.expires_at_ms))
        }
        state if is_open(state) => Some(vend.expires_at_ms),
        Authorised => Some(now_ms + QUEUE_WAIT_MS),
        Dispatched | Accepted => Some(order_timeout_ms(vend)),
        Uncertain if vend.held_reason() == HeldReason::HeldWaits => Some(now_ms + held_ms),
        _ => None,
    }
}

/// Brings the vend's place in the index in line with its state.
pub(crate) fn schedule(scope: &mut Scope<'_>, vend: &Vend) {
    let due = due_ms(vend, scope.time_ms(), money::held_ms(scope.policy()));
    let place = keys::deadline_of(&vend.id);
    let before = scope.get(&place).map(|value| at_ms(&value));
    if before == due {
        return;
    }
    if let Some(before) = before {
        scope.delete(keys::deadline(before, &vend.id));
    }
    match due {
        Some(due) => {
            scope.put_bytes(place, &due.to_be_bytes());
            scope.put_bytes(keys::deadline(due, &vend.id), &[]);
        }
        None => scope.delete(place),
    }
}

fn at_ms(value: &[u8]) -> u64 {
    u64::from_be_bytes(value.try_into().expect("a deadline is 8 bytes"))
}

/// When consensus time alone changes something next.
pub(crate) fn next(state: &dyn StateRead) -> Option<u64> {
    let first = state.scan(keys::DEADLINES, None, 1);
    first.first().map(|(key, _)| keys::parse_deadline(key).0)
}

/// Fires what is due, in order of time. What firing makes due is later than
/// now, so that one pass over the index finds all.
pub(crate) fn fire_due(scope: &mut Scope<'_>) {
    let mut after: Option<Vec<u8>> = None;
    let mut left = FIRED_PER_BLOCK_MAX;
    while left > 0 {
        let page = scope.scan(keys::DEADLINES, after.as_deref(), PAGE.min(left));
        left -= page.len();
        let Some((last, _)) = page.last() else {
            return;
        };
        after = Some(last.clone());
        for (key, _) in page {
            let (at_ms, vend_id) = keys::parse_deadline(&key);
            if at_ms > scope.time_ms() {
                return;
            }
            // One that fired before may have given this vend another deadline.
            if scope.get(&key).is_none() {
                continue;
            }
            let mut vend = tables::must(tables::vend(scope, vend_id));
            scope.delete(key);
            scope.delete(keys::deadline_of(&vend.id));
            fire(scope, &mut vend);
        }
    }
}

fn fire(scope: &mut Scope<'_>, vend: &mut Vend) {
    let state = vend.state();
    if is_open(state) && scope.time_ms() < vend.expires_at_ms {
        // Time has passed over what is on its way; it sees to the rest.
        schedule(scope, vend);
        payments::recheck(scope, vend);
    } else if is_open(state) {
        reconsider(scope, vend);
        // A vend that goes on waiting needs its later deadline.
        schedule(scope, vend);
    } else if is_ordered(state) {
        uncertain(scope, vend, "No receipt came in time.");
    } else if state == Authorised {
        window::leave_queue(scope, vend);
        failed(scope, vend, "The machine was not free in time.");
    } else if state == Uncertain {
        end::release(scope, vend);
    }
}
