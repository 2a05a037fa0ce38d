//! Short ways to say no, by code.

use dctrl_proto::v1::{Refusal, RefusalCode};

macro_rules! by_rule {
    ($($name:ident = $code:ident),* $(,)?) => {
        $(pub(crate) fn $name(rule: &str, message: impl Into<String>) -> Refusal {
            Refusal::rule(RefusalCode::$code, rule, message)
        })*
    };
}

by_rule! {
    unauth = Unauth,
    denied = Denied,
    not_found = Notfound,
    exists = Exists,
    precond = Precond,
    aborted = Aborted,
    exhausted = Exhausted,
    unavailable = Unavailable,
}

/// The input is wrong in itself, whatever the state.
pub(crate) fn invalid(rule: &str, field: impl Into<String>, message: impl Into<String>) -> Refusal {
    Refusal::field(RefusalCode::Invalid, rule, field, message)
}

/// `Err(refusal)` unless `holds`.
pub(crate) fn ensure(holds: bool, refusal: impl FnOnce() -> Refusal) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(refusal()) }
}
