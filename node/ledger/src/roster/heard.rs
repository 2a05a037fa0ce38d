//! Which nodes have been heard of lately.
//!
//! The ledger sees no events, only actions: a node counts as heard of when an
//! action that it signed was carried out. Nodes report the chain's tip and
//! the price all the time, and an approval is an action, too, so that those
//! who approve a change are heard of by that.

use dctrl_proto::v1::{Refusal, RosterNode};

use super::time_in;
use crate::refuse::{ensure, precond};
use crate::scope::Scope;
use crate::votes::quorum_of;
use crate::{StateRead, keys};

/// A node that signed nothing for so long may be down: 1 h, in which the
/// chain's blocks alone let a node speak about six times.
const HEARD_MS_MAX: u64 = 60 * 60 * 1000;
/// How exactly it is known when a node was heard of: 1 min, so that a node
/// that says much does not write a row each time.
const HEARD_STEP_MS: u64 = 60 * 1000;

/// Takes note that the node in `seat` has signed an action.
pub(crate) fn heard(scope: &mut Scope<'_>, seat: u32) {
    let now_ms = scope.time_ms();
    if last_ms(scope, seat).is_none_or(|before| now_ms - before >= HEARD_STEP_MS) {
        scope.put_bytes(keys::node_heard(seat), &now_ms.to_be_bytes());
    }
}

fn last_ms(state: &dyn StateRead, seat: u32) -> Option<u64> {
    time_in(state, &keys::node_heard(seat))
}

/// Refuses a roster in which fewer nodes than its quorum have been heard of
/// lately; a node that has only just joined has not.
pub(crate) fn require_heard(
    state: &dyn StateRead,
    now_ms: u64,
    next: &[RosterNode],
) -> Result<(), Refusal> {
    let is_heard = |one: &&RosterNode| {
        last_ms(state, one.seat).is_some_and(|at_ms| now_ms.saturating_sub(at_ms) <= HEARD_MS_MAX)
    };
    let heard = next.iter().filter(is_heard).count();
    let quorum = quorum_of(next.len());
    ensure(heard >= quorum, || {
        let message = format!(
            "{quorum} of the nodes afterwards would have to work, \
             and only {heard} have been heard of in the last hour."
        );
        precond("node.quorum", message)
    })
}
