//! Refusals on gRPC: the status code of each, and the whole refusal in the
//! status details, so that a client shows the same rule and field as any
//! other transport.
//!
//! The details have the shape that gRPC tools know (`google.rpc.Status` with
//! one `Any`), so that they can print a refusal with the help of reflection.

use prost::Message;
use tonic::{Code, Status};

use crate::v1::{Refusal, RefusalCode};

/// Type of the detail, as `Any` names it.
const REFUSAL_TYPE: &str = "type.googleapis.com/dctrl.v1.Refusal";

/// `google.rpc.Status`, of which only this much is used.
#[derive(Clone, PartialEq, Message)]
struct Details {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// The gRPC code of a refusal code.
#[must_use]
pub fn grpc_code(code: RefusalCode) -> Code {
    match code {
        RefusalCode::Unspecified => Code::Unknown,
        RefusalCode::Invalid => Code::InvalidArgument,
        RefusalCode::Unauth => Code::Unauthenticated,
        RefusalCode::Denied => Code::PermissionDenied,
        RefusalCode::Notfound => Code::NotFound,
        RefusalCode::Exists => Code::AlreadyExists,
        RefusalCode::Precond => Code::FailedPrecondition,
        RefusalCode::Aborted => Code::Aborted,
        RefusalCode::Exhausted => Code::ResourceExhausted,
        RefusalCode::Unavailable => Code::Unavailable,
    }
}

/// The status by which a server answers with `refusal`.
#[must_use]
pub fn to_status(refusal: &Refusal) -> Status {
    let code = grpc_code(refusal.code());
    let details = Details {
        code: code.into(),
        message: refusal.to_string(),
        details: vec![prost_types::Any {
            type_url: REFUSAL_TYPE.to_owned(),
            value: refusal.encode_to_vec(),
        }],
    };
    Status::with_details(code, refusal.to_string(), details.encode_to_vec().into())
}

/// The refusal that a status carries; none where the failure is not a
/// refusal of ours, such as a lost connection or a passed deadline.
#[must_use]
pub fn from_status(status: &Status) -> Option<Refusal> {
    if status.details().is_empty() {
        return None;
    }
    let details = Details::decode(status.details()).ok()?;
    let detail = details
        .details
        .iter()
        .find(|any| any.type_url == REFUSAL_TYPE)?;
    Refusal::decode(detail.value.as_slice()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_survives_the_way_through_a_status() {
        for code in 1..=9 {
            let code = RefusalCode::try_from(code).unwrap();
            let refusal = Refusal::field(code, "slot.stock", "slot", "slot A3 is empty");
            let status = to_status(&refusal);
            assert_eq!(status.code(), grpc_code(code));
            assert_eq!(from_status(&status), Some(refusal));
        }
    }

    #[test]
    fn a_status_without_or_with_foreign_details_is_no_refusal() {
        assert_eq!(from_status(&Status::unavailable("gone")), None);
        let foreign = Status::with_details(Code::Internal, "x", vec![0xff, 1, 2].into());
        assert_eq!(from_status(&foreign), None);
    }
}
