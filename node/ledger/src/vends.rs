//! The vend state machine: which steps there are, and how one is taken.
//!
//! ```text
//! Quoted -> Reserved <-> PaymentSeen <-> Underpaid        waits for money
//!              |             |              |
//!              +------> Authorised <--------+             waits for the machine;
//!              |             |                            from a tab at once
//!              |             |
//!           Expired      Dispatched -> Accepted           waits for a receipt
//!              |             |            |
//!          PaidLate      Dispensed | Failed -> Credited | Uncertain -> either,
//!                                                         by time or a person
//! ```

mod deadline;
mod end;
mod open;
mod window;

use dctrl_proto::v1::VendState::{
    self, Accepted, Authorised, Credited, Dispatched, Dispensed, Expired, Failed, PaidLate,
    PaymentSeen, Quoted, Reserved, Uncertain, Underpaid,
};
use dctrl_proto::v1::{HeldReason, Vend, VendStep};

use crate::scope::Scope;
use crate::{facts, keys, quotes};

pub(crate) use deadline::fire_due;
pub(crate) use deadline::next as next_deadline_ms;
pub(crate) use deadline::schedule as reschedule;
pub(crate) use end::{decide, dispensed, failed, uncertain};
pub(crate) use open::{at_stake_sats, missing_sats, pay_from_tab, reconsider};
pub(crate) use window::{dispatch_next, leave_queue, order_timeout_ms, save_machine};

/// Steps kept of a vend's history. A payment that keeps appearing and
/// vanishing drops the oldest steps after the first two.
const HISTORY_STEPS_MAX: usize = 64;

/// How long a vend waits for a payment seen in time to become deep enough: 24 h.
pub(crate) const SEEN_WAIT_MS: u64 = 24 * 60 * 60 * 1000;

/// How long a paid vend waits for its machine before the payer is credited: 10 min.
pub(crate) const QUEUE_WAIT_MS: u64 = 10 * 60 * 1000;

/// Whether the vend waits for money.
pub(crate) fn is_open(state: VendState) -> bool {
    matches!(state, Reserved | PaymentSeen | Underpaid)
}

/// Whether an order is out.
pub(crate) fn is_ordered(state: VendState) -> bool {
    matches!(state, Dispatched | Accepted)
}

fn may_follow(from: VendState, to: VendState) -> bool {
    match from {
        VendState::Unspecified => to == Quoted,
        Quoted => to == Reserved,
        Reserved | PaymentSeen | Underpaid => {
            from != to && (is_open(to) || matches!(to, Authorised | Expired | Credited))
        }
        Authorised => is_open(to) || matches!(to, Dispatched | Failed | Expired | Credited),
        Dispatched => matches!(to, Accepted | Dispensed | Failed | Uncertain),
        Accepted => matches!(to, Dispensed | Failed | Uncertain),
        Uncertain => matches!(to, Dispensed | Failed | Credited),
        Failed => to == Credited,
        Expired => to == PaidLate,
        Dispensed | Credited | PaidLate => false,
    }
}

/// Takes one step and tells.
pub(crate) fn step(scope: &mut Scope<'_>, vend: &mut Vend, to: VendState, detail: &str) {
    let from = vend.state();
    let id = &vend.id;
    assert!(
        may_follow(from, to),
        "vend {id} cannot go from {from:?} to {to:?}"
    );
    vend.set_state(to);
    if from == Uncertain {
        vend.set_held_reason(HeldReason::Unspecified);
        scope.delete(keys::uncertain(&vend.id));
    } else if to == Uncertain {
        vend.set_held_reason(HeldReason::HeldWaits);
        scope.put_bytes(keys::uncertain(&vend.id), &[]);
    }
    if matches!(to, Failed | Uncertain | Credited | Expired | PaidLate) {
        detail.clone_into(&mut vend.reason);
    }
    note(scope, vend, detail);
    if to != Quoted && !is_open(to) {
        quotes::closed(scope, vend);
    }
    deadline::schedule(scope, vend);
}

/// Adds to the history without a change of state, and tells.
pub(crate) fn note(scope: &mut Scope<'_>, vend: &mut Vend, detail: &str) {
    if vend.history.len() >= HISTORY_STEPS_MAX {
        vend.history.remove(2);
    }
    vend.history.push(VendStep {
        state: vend.state,
        height: scope.height(),
        time_ms: scope.time_ms(),
        detail: detail.to_owned(),
    });
    save(scope, vend);
}

/// Keeps the vend and tells, without a step.
pub(crate) fn save(scope: &mut Scope<'_>, vend: &Vend) {
    scope.put(keys::vend(&vend.id), vend);
    scope.tell(facts::vend(vend.clone()));
}
