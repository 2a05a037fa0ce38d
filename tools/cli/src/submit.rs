//! Hand in a signed action and wait for its fate.
//!
//! An action must be the same bytes when it is handed in again, or it is
//! refused as another one under the same request id. So the request id
//! carries the time it was made (48 bits of milliseconds, then 80 random
//! bits), and the expiry is counted from there: the same id and the same
//! arguments always make the same action.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use dctrl_proto::{
    action::{Payload, REQUEST_ID_BYTES, action_id},
    genesis::cluster_id,
    v1::{Refusal, RefusalCode, Stage, SubmitReply, SubmitRequest},
};
use serde::Serialize;

use crate::{
    context::Context, failure::Failure, output::Answered, prove, text, verify::Signatures,
};

/// An action is void this long after its request id was made.
const VALID_MS: u64 = 10 * 60 * 1000;
/// Bytes of the time in a request id.
const TIME_BYTES: usize = 6;
/// Added to the wait on the node, for the way there and back.
pub(crate) const TRANSIT: Duration = Duration::from_secs(2);

/// How an action is submitted.
#[derive(Args, Clone, Debug)]
pub struct SubmitArgs {
    /// Stage to wait for
    #[arg(long, value_enum, default_value = "final")]
    wait: Wait,
    /// Seconds to wait for that stage
    #[arg(long, value_name = "SECONDS", default_value = "20",
          value_parser = clap::value_parser!(u32).range(1..=120))]
    timeout: u32,
    /// Repeat an earlier request: the id it printed. With the same arguments
    /// the action takes effect once, however often it is sent. An id of your
    /// own is 12 hex digits of the time in ms since 1970, then 20 random ones
    #[arg(long, value_name = "HEX", value_parser = parse_request_id)]
    request_id: Option<RequestId>,
    /// The request id was made here, and was never sent before.
    #[arg(skip)]
    fresh: bool,
}

impl SubmitArgs {
    /// These arguments with a request id that stays, and when it was made:
    /// for payloads that name a time, which a repeated request must not change.
    #[must_use]
    pub fn pinned(self) -> (Self, u64) {
        let request = self
            .request_id
            .unwrap_or_else(|| RequestId::fresh(now_ms()));
        let pinned = Self {
            request_id: Some(request),
            fresh: self.request_id.is_none(),
            ..self
        };
        (pinned, request.made_at_ms())
    }
}

/// A stage of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Wait {
    /// One node holds it; promises nothing
    Received,
    /// That node has ordered and synced it
    Ordered,
    /// A quorum has signed the state that follows from it
    Final,
}

impl From<Wait> for Stage {
    fn from(wait: Wait) -> Self {
        match wait {
            Wait::Received => Self::Received,
            Wait::Ordered => Self::Ordered,
            Wait::Final => Self::Final,
        }
    }
}

/// Who asks once: the time in milliseconds and random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId([u8; REQUEST_ID_BYTES]);

impl RequestId {
    fn fresh(now_ms: u64) -> Self {
        let mut bytes = dctrl_access::fresh_request_id();
        bytes[..TIME_BYTES].copy_from_slice(&now_ms.to_be_bytes()[8 - TIME_BYTES..]);
        Self(bytes)
    }

    /// When an action with this id becomes void, milliseconds since 1970.
    pub(crate) fn expires_at_ms(self) -> u64 {
        self.made_at_ms() + VALID_MS
    }

    fn made_at_ms(self) -> u64 {
        let mut time = [0; 8];
        time[8 - TIME_BYTES..].copy_from_slice(&self.0[..TIME_BYTES]);
        u64::from_be_bytes(time)
    }
}

/// Reads a request id.
///
/// # Errors
/// Where the text is no such id.
pub(crate) fn parse_request_id(text: &str) -> Result<RequestId, String> {
    let mut bytes = [0; REQUEST_ID_BYTES];
    hex::decode_to_slice(text, &mut bytes)
        .map_err(|error| format!("a request id is 32 hexadecimal digits: {error}"))?;
    Ok(RequestId(bytes))
}

/// What became of an action.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The reply of the node.
    #[serde(flatten)]
    pub reply: SubmitReply,
    /// In hexadecimal, for `--request-id`.
    pub request_id: String,
    /// Who signed its end; absent before the end, and where it is not proven.
    #[serde(rename = "final", skip_serializing_if = "Option::is_none")]
    pub signatures: Option<Signatures>,
}

/// Signs and submits `payload`, and waits as asked. A node that is not
/// available is passed over: another one gets the same signed bytes. What a node
/// says of the end is checked.
///
/// # Errors
/// The refusal, at once or by the ordered state; that the action expired before
/// it was ordered; or that the stage was not reached in time.
pub async fn submit<P: Payload>(
    context: &Context,
    args: &SubmitArgs,
    payload: &P,
) -> Result<Answered<Outcome>, Failure> {
    let identity = context.identity()?;
    let cluster = cluster_id(context.genesis()?);
    let request = args
        .request_id
        .unwrap_or_else(|| RequestId::fresh(now_ms()));
    let request_id = hex::encode(request.0);
    let action = identity.sign_action(&cluster, request.0, request.expires_at_ms(), payload);
    let id = action_id(&action);
    let message = SubmitRequest {
        action: Some(action),
        wait_for: Stage::from(args.wait).into(),
        timeout_ms: args.timeout * 1000,
        prove: true,
    };
    let patience = Duration::from_secs(args.timeout.into()) + TRANSIT;
    let sent = Cell::new(0);
    let answered = context
        .nodes
        .ask(patience, async |mut client| {
            sent.set(sent.get() + 1);
            client.submit(message.clone()).await
        })
        .await
        .inspect_err(|failure| {
            let repeated = (args.request_id.is_some() && !args.fresh) || sent.get() > 1;
            match failure {
                Failure::Deadline(_) | Failure::Unreachable(_) => {
                    eprintln!("the outcome is open; ask again with --request-id {request_id}");
                }
                // One node's word for now, and not what became of the action.
                Failure::Refused(_) if repeated => eprintln!(
                    "this node does not take it now; what was handed in before may still \
                     take effect until {}: dctrl action {}",
                    text::time(request.expires_at_ms()),
                    hex::encode(id)
                ),
                _ => {}
            }
        })?;
    let mut reply = answered.reply;
    if reply.action_id != id {
        return Err(Failure::Unverified {
            rule: "submit.action_id",
            message: format!("{} answered for another action", answered.answered_by),
        });
    }
    let signatures = prove::check(context, &mut reply, request.expires_at_ms()).await?;
    if reply.stage() == Stage::Expired {
        return Err(Failure::Refused(expired()));
    }
    if let Some(refusal) = reply.receipt.as_ref().and_then(|one| one.refusal.clone()) {
        return Err(Failure::Refused(refusal));
    }
    Ok(Answered {
        reply: Outcome {
            reply,
            request_id,
            signatures,
        },
        answered_by: answered.answered_by,
    })
}

/// Submits and prints the outcome: for actions whose outcome is all there is to say.
///
/// # Errors
/// As [`submit`].
pub async fn submit_and_show<P: Payload>(
    context: &mut Context,
    args: &SubmitArgs,
    payload: &P,
) -> Result<(), Failure> {
    let outcome = submit(context, args, payload).await?;
    context
        .out
        .answer(&outcome, |outcome| describe(P::NAME, outcome))
}

fn expired() -> Refusal {
    Refusal::rule(
        RefusalCode::Precond,
        "action.expired",
        "the action expired before it was ordered; it will never take effect",
    )
}

/// The outcome in words.
#[must_use]
pub fn describe(name: &str, outcome: &Outcome) -> String {
    format!(
        "{name} {}\n{}action {}  request {}\n",
        describe_end(&outcome.reply, outcome.signatures),
        outcome
            .reply
            .receipt
            .iter()
            .filter(|receipt| !receipt.subject.is_empty())
            .map(|receipt| format!("subject {}\n", receipt.subject))
            .collect::<String>(),
        hex::encode(&outcome.reply.action_id),
        outcome.request_id
    )
}

/// How far an action has come, in words.
#[must_use]
pub(crate) fn describe_end(reply: &SubmitReply, signatures: Option<Signatures>) -> String {
    let proven = match (reply.stage(), signatures) {
        (Stage::Final | Stage::Refused | Stage::Expired, Some(signatures)) => {
            signatures.to_string()
        }
        (Stage::Final | Stage::Refused | Stage::Expired, None) => "final, unproven".to_owned(),
        _ => "ordered, not yet final".to_owned(),
    };
    match (&reply.receipt, reply.stage()) {
        (Some(receipt), _) => {
            let at = format!(
                "at height {} on {}",
                receipt.height,
                text::time(receipt.time_ms)
            );
            match &receipt.refusal {
                None => format!("applied {at}, {proven}"),
                Some(refusal) => format!("refused {at}, {proven}: {refusal}"),
            }
        }
        (None, Stage::Expired) => {
            format!("expired before it was ordered and can never take effect, {proven}")
        }
        (None, _) => "received; nothing is promised yet".to_owned(),
    }
}

/// The system's clock, milliseconds since the Unix epoch.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_request_id_gives_the_same_expiry() {
        let fresh = RequestId::fresh(1_750_000_000_123);
        let again = parse_request_id(&hex::encode(fresh.0)).unwrap();
        assert_eq!(again, fresh);
        assert_eq!(again.expires_at_ms(), 1_750_000_000_123 + VALID_MS);
    }

    #[test]
    fn two_request_ids_of_one_instant_differ() {
        assert_ne!(RequestId::fresh(7), RequestId::fresh(7));
    }

    #[test]
    fn a_request_id_of_another_length_is_refused() {
        assert!(parse_request_id("00ff").is_err());
        assert!(parse_request_id(&"g".repeat(32)).is_err());
    }
}
