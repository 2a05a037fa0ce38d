//! The API's own refusals, in the words that all transports share.

use dctrl_proto::{
    status::to_status,
    v1::{Refusal, RefusalCode},
};
use tonic::Status;

/// A refusal as a status, with the refusal in its details.
pub(crate) fn status(refusal: &Refusal) -> Status {
    to_status(refusal)
}

/// A request that is wrong at `field`.
pub(crate) fn invalid(rule: &str, field: &str, message: impl Into<String>) -> Status {
    status(&wrong_field(rule, field, message))
}

/// As [`invalid`], for all transports.
pub(crate) fn wrong_field(rule: &str, field: &str, message: impl Into<String>) -> Refusal {
    Refusal::field(RefusalCode::Invalid, rule, field, message)
}

/// A thing that does not exist at the height that was read.
pub(crate) fn not_found(rule: &str, field: &str, message: impl Into<String>) -> Refusal {
    Refusal::field(RefusalCode::Notfound, rule, field, message)
}

/// A bound of the API that is reached.
pub(crate) fn exhausted(rule: &str, message: impl Into<String>) -> Status {
    status(&Refusal::rule(RefusalCode::Exhausted, rule, message))
}

/// A result that the wire cannot carry.
pub(crate) fn out_of_range(rule: &str, message: &str) -> Refusal {
    Refusal::rule(RefusalCode::Precond, rule, message)
}
