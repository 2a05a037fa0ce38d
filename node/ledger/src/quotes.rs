//! Open quotes, by who asked for them.
//!
//! A quote holds a unit for nothing until it is paid or expires, so that one
//! key could keep a machine from selling to anybody else. What a key may hold
//! at one machine is therefore bounded.

use dctrl_proto::v1::{Refusal, Vend};

use crate::caller::Caller;
use crate::refuse::{ensure, exhausted};
use crate::scope::{Scope, View};
use crate::{StateRead, keys, tables};

/// Quotes of one machine that one caller may leave unpaid. A machine that asks
/// for its guests needs a few: people change their minds.
pub(crate) const OPEN_PER_CALLER_MAX: usize = 8;

/// Address indexes of a descriptor: unhardened steps are below 2^31 (BIP-32).
const ADDRESS_INDEX_END: u32 = 1 << 31;

/// Refuses a caller who holds as many units of the machine as one may.
pub(crate) fn require_room(
    view: &View<'_>,
    caller: &Caller,
    machine_id: &str,
) -> Result<(), Refusal> {
    let own = keys::open_quotes_of(machine_id, &caller.principal.encode());
    let open = view.state.scan(&own, None, OPEN_PER_CALLER_MAX).len();
    ensure(open < OPEN_PER_CALLER_MAX, || {
        let message = format!("You have {open} unpaid quotes of {machine_id}. Pay or wait.");
        exhausted("vend.open_quotes", message)
    })
}

/// Refuses when the descriptor has no address left.
pub(crate) fn require_address(view: &View<'_>) -> Result<(), Refusal> {
    let index = tables::meta(view.state).next_address_index;
    ensure(index < ADDRESS_INDEX_END, || {
        exhausted("vend.address", "The descriptor has no more addresses.")
    })
}

/// Counts a new quote against its caller.
pub(crate) fn opened(scope: &mut Scope<'_>, vend: &Vend, caller: &Caller) {
    let who = caller.principal.encode();
    scope.put_bytes(keys::open_quote(&vend.machine_id, &who, &vend.id), &[]);
    scope.put_bytes(keys::quoted_to(&vend.id), who.as_bytes());
}

/// The vend waits for money no longer, or has been paid once: it does not
/// count any more.
pub(crate) fn closed(scope: &mut Scope<'_>, vend: &Vend) {
    let place = keys::quoted_to(&vend.id);
    if let Some(who) = scope.get(&place) {
        let who = String::from_utf8(who).expect("a principal is text");
        scope.delete(keys::open_quote(&vend.machine_id, &who, &vend.id));
        scope.delete(place);
    }
}
