//! The envelope of an action: whose it is, for whom, and that it is genuine.
//!
//! What fails here has no author that the federation could answer, so that
//! nothing of it may be kept.

use dctrl_proto::action::{ACTION_BYTES_MAX, REQUEST_ID_BYTES, action_id};
use dctrl_proto::v1::{ActionBody, Refusal, SignedAction};
use prost::Message;

use crate::Claim;
use crate::refuse::{ensure, invalid, precond, unauth};

/// An action may be signed at most so long before it expires: 24 h.
pub const EXPIRY_AHEAD_MS_MAX: u64 = 24 * 60 * 60 * 1000;
/// Longest name of an action, bytes.
const NAME_BYTES_MAX: usize = 32;

/// An action for this federation, signed by `key`.
pub(crate) struct Envelope {
    pub(crate) id: [u8; 32],
    pub(crate) key: [u8; 32],
    pub(crate) body: ActionBody,
}

/// An action for this federation that says that `key` signed it.
pub(crate) struct Unverified<'a> {
    envelope: Envelope,
    signature: [u8; 64],
    body: &'a [u8],
}

impl Unverified<'_> {
    /// What is left to check.
    pub(crate) fn claim(&self) -> Claim<'_> {
        Claim {
            key: &self.envelope.key,
            signature: &self.signature,
            body: self.body,
        }
    }

    /// The action, once its claim has been judged.
    pub(crate) fn judged(self, holds: bool) -> Result<Envelope, Refusal> {
        ensure(holds, || {
            let message = "The signature does not belong to this key and body.";
            unauth("action.signature", message)
        })?;
        Ok(self.envelope)
    }
}

/// Checks sizes and cluster: what is cheap.
pub(crate) fn read<'a>(
    action: &'a SignedAction,
    cluster: &[u8],
) -> Result<Unverified<'a>, Refusal> {
    let length = action.encoded_len();
    ensure(length <= ACTION_BYTES_MAX, || {
        let message = format!("An action has at most {ACTION_BYTES_MAX} bytes, not {length}.");
        invalid("action.size", "", message)
    })?;
    let key: [u8; 32] = exactly("key", &action.key)?;
    let signature: [u8; 64] = exactly("signature", &action.signature)?;
    let body = ActionBody::decode(action.body.as_slice())
        .map_err(|error| invalid("action.body", "body", format!("Not an action: {error}.")))?;
    ensure(body.cluster == cluster, || {
        let message = "The action is for another federation.";
        unauth("action.cluster", message)
    })?;
    let _: [u8; REQUEST_ID_BYTES] = exactly("request_id", &body.request_id)?;
    ensure(body.name.len() <= NAME_BYTES_MAX, || {
        invalid("action.name", "name", "No action has so long a name.")
    })?;
    let envelope = Envelope {
        id: action_id(action),
        key,
        body,
    };
    Ok(Unverified {
        envelope,
        signature,
        body: &action.body,
    })
}

fn exactly<const N: usize>(field: &str, bytes: &[u8]) -> Result<[u8; N], Refusal> {
    bytes.try_into().map_err(|_| {
        let message = format!("Expected {N} bytes, not {}.", bytes.len());
        invalid("action.envelope", field, message)
    })
}

/// Whether an ordered action leaves nothing behind. That it expired needs no row:
/// time tells. And what expires so far ahead that no honest node lets it in, by
/// any clock, would have its row for as long as it likes.
pub(crate) fn leaves_no_row(envelope: &Envelope, now_ms: u64) -> bool {
    let expires_at_ms = envelope.body.expires_at_ms;
    expires_at_ms <= now_ms || expires_at_ms - now_ms > 2 * EXPIRY_AHEAD_MS_MAX
}

/// Checks that the action is still good at `now_ms`, and not good for too long.
pub(crate) fn in_time(envelope: &Envelope, now_ms: u64) -> Result<(), Refusal> {
    let expires_at_ms = envelope.body.expires_at_ms;
    ensure(expires_at_ms > now_ms, || {
        let late_ms = now_ms - expires_at_ms;
        precond(
            "action.expired",
            format!("The action expired {late_ms} ms ago."),
        )
    })?;
    ensure(expires_at_ms - now_ms <= EXPIRY_AHEAD_MS_MAX, || {
        let message = "An action expires at most 24 hours ahead.";
        precond("action.expiry", message)
    })
}
