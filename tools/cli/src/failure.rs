//! How a command fails: one line for people, one object for programs, and
//! an exit code for scripts.

use std::{io, process::ExitCode};

use dctrl_proto::{
    status::from_status,
    v1::{Refusal, RefusalCode},
};
use serde::Serialize;
use thiserror::Error;
use tonic::Code;

/// What `--help` says about exit codes.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  any other failure
  2  the command line or the configuration is wrong
  3  refused: INVALID, UNAUTH, DENIED, EXISTS, PRECOND, ABORTED or EXHAUSTED
  4  not found
  5  no node could answer, or not in time";

/// Why a command did not do what it was asked.
#[derive(Debug, Error)]
pub enum Failure {
    /// The federation or a node refused.
    #[error("{0}")]
    Refused(Refusal),
    /// The asked stage was not reached in time; the outcome is open.
    #[error("DEADLINE (request.deadline): {0}")]
    Deadline(String),
    /// No node could be reached.
    #[error("UNAVAILABLE (node.reachable): {0}")]
    Unreachable(String),
    /// A node answered with what the federation did not certify.
    #[error("UNVERIFIED ({rule}): {message}")]
    Unverified {
        /// The check that failed, such as `frame.certificate`.
        rule: &'static str,
        /// One sentence.
        message: String,
    },
    /// The command line or configuration is wrong.
    #[error("USAGE ({rule}): {message}")]
    Usage {
        /// Such as `config.key`.
        rule: &'static str,
        /// One sentence.
        message: String,
    },
    /// The reader of the output went away, such as `head`: no failure to report.
    #[error("the reader closed the pipe")]
    PipeClosed,
    /// Anything else.
    #[error("OTHER (command): {0:#}")]
    Other(#[from] anyhow::Error),
}

#[derive(Serialize)]
struct Report<'a> {
    error: ReportBody<'a>,
}

#[derive(Serialize)]
struct ReportBody<'a> {
    code: &'a str,
    rule: &'a str,
    field: &'a str,
    message: String,
}

impl Failure {
    /// A fault of the command line or configuration.
    #[must_use]
    pub fn usage(rule: &'static str, message: impl Into<String>) -> Self {
        Self::Usage {
            rule,
            message: message.into(),
        }
    }

    /// A thing that no node knows.
    #[must_use]
    pub fn not_found(rule: &str, message: impl Into<String>) -> Self {
        Self::Refused(Refusal::rule(RefusalCode::Notfound, rule, message))
    }

    /// Whether another node might do better.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused(refusal) => refusal.code() == RefusalCode::Unavailable,
            _ => false,
        }
    }

    /// The exit code, as in [`EXIT_CODES`].
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit_number())
    }

    fn exit_number(&self) -> u8 {
        match self {
            Self::PipeClosed => 0,
            Self::Refused(refusal) => match refusal.code() {
                RefusalCode::Notfound => 4,
                RefusalCode::Unavailable => 5,
                RefusalCode::Unspecified => 1,
                _ => 3,
            },
            Self::Deadline(_) | Self::Unreachable(_) => 5,
            Self::Usage { .. } => 2,
            Self::Unverified { .. } | Self::Other(_) => 1,
        }
    }

    /// The object that `--json` prints.
    #[must_use]
    pub fn to_json(&self) -> String {
        let (code, rule, field, message) = match self {
            Self::Refused(refusal) => (
                refusal.code().as_str_name(),
                refusal.rule.as_str(),
                refusal.field.as_str(),
                refusal.message.clone(),
            ),
            Self::Deadline(message) => ("DEADLINE", "request.deadline", "", message.clone()),
            Self::Unreachable(message) => ("UNAVAILABLE", "node.reachable", "", message.clone()),
            Self::Unverified { rule, message } => ("UNVERIFIED", *rule, "", message.clone()),
            Self::Usage { rule, message } => ("USAGE", *rule, "", message.clone()),
            Self::PipeClosed => ("OTHER", "output", "", self.to_string()),
            Self::Other(error) => ("OTHER", "command", "", format!("{error:#}")),
        };
        let report = Report {
            error: ReportBody {
                code,
                rule,
                field,
                message,
            },
        };
        serde_json::to_string(&report).unwrap_or_default()
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        if let Some(refusal) = from_status(&status) {
            return Self::Refused(refusal);
        }
        let message = status.message().to_owned();
        let refused = |code| Self::Refused(Refusal::rule(code, "grpc", message.clone()));
        match status.code() {
            Code::DeadlineExceeded => Self::Deadline(message),
            Code::Unavailable | Code::Cancelled => Self::Unreachable(message),
            Code::InvalidArgument | Code::OutOfRange => refused(RefusalCode::Invalid),
            Code::Unauthenticated => refused(RefusalCode::Unauth),
            Code::PermissionDenied => refused(RefusalCode::Denied),
            Code::NotFound => refused(RefusalCode::Notfound),
            Code::AlreadyExists => refused(RefusalCode::Exists),
            Code::FailedPrecondition => refused(RefusalCode::Precond),
            Code::Aborted => refused(RefusalCode::Aborted),
            Code::ResourceExhausted => refused(RefusalCode::Exhausted),
            // A connection that breaks in the middle of a call is reported as
            // unknown, with the transport's own error behind it.
            Code::Unknown if std::error::Error::source(&status).is_some() => {
                Self::Unreachable(message)
            }
            other => Self::Other(anyhow::anyhow!("the node answered {other:?}: {message}")),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::PipeClosed
        } else {
            Self::Other(error.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dctrl_proto::status::to_status;

    fn refused(code: RefusalCode) -> Failure {
        let refusal = Refusal::field(code, "slot.stock", "slot", "slot A3 is empty");
        Failure::from(to_status(&refusal))
    }

    #[test]
    fn a_refusal_keeps_rule_and_field_on_its_way_to_the_terminal() {
        let failure = refused(RefusalCode::Precond);
        assert_eq!(
            failure.to_string(),
            "PRECOND (slot.stock at slot): slot A3 is empty"
        );
        assert_eq!(
            failure.to_json(),
            r#"{"error":{"code":"PRECOND","rule":"slot.stock","field":"slot","message":"slot A3 is empty"}}"#
        );
    }

    #[test]
    fn exit_codes_tell_refused_from_absent_from_unreachable() {
        assert_eq!(refused(RefusalCode::Invalid).exit_number(), 3);
        assert_eq!(refused(RefusalCode::Notfound).exit_number(), 4);
        assert_eq!(refused(RefusalCode::Unavailable).exit_number(), 5);
        assert_eq!(
            Failure::from(tonic::Status::deadline_exceeded("late")).exit_number(),
            5
        );
        assert_eq!(Failure::usage("config.key", "x").exit_number(), 2);
        assert_eq!(Failure::from(tonic::Status::internal("x")).exit_number(), 1);
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure.exit_number(), 0);
    }
}
