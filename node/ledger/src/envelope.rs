//! The envelope of an action: whose it is, for whom, and that it is genuine.
//!
//! What fails here has no author that the federation could answer, so that
//! nothing of it may be kept.

use dctrl_proto::action::{ACTION_BYTES_MAX, REQUEST_ID_BYTES, action_id, signing_bytes};
use dctrl_proto::v1::{ActionBody, Refusal, SignedAction};
use ed25519_zebra::{Signature, VerificationKey};
use prost::Message;

use crate::refuse::{ensure, invalid, precond, unauth};

/// An action may be signed at most so long before it expires: 24 h.
pub const EXPIRY_AHEAD_MS_MAX: u64 = 24 * 60 * 60 * 1000;
/// Longest name of an action, bytes.
const NAME_BYTES_MAX: usize = 32;

/// An action that is what it says: signed by `key`, for this federation.
pub(crate) struct Envelope {
    pub(crate) id: [u8; 32],
    pub(crate) key: [u8; 32],
    pub(crate) body: ActionBody,
}

/// Checks sizes, cluster and signature, cheap checks first.
pub(crate) fn verify(action: &SignedAction, cluster: &[u8]) -> Result<Envelope, Refusal> {
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
    genuine(&key, &signature, &action.body)?;
    Ok(Envelope {
        id: action_id(action),
        key,
        body,
    })
}

fn exactly<const N: usize>(field: &str, bytes: &[u8]) -> Result<[u8; N], Refusal> {
    bytes.try_into().map_err(|_| {
        let message = format!("Expected {N} bytes, not {}.", bytes.len());
        invalid("action.envelope", field, message)
    })
}

/// Verifies the signature by the rules of ZIP-215, under which all nodes
/// accept exactly the same signatures.
fn genuine(key: &[u8; 32], signature: &[u8; 64], body: &[u8]) -> Result<(), Refusal> {
    VerificationKey::try_from(*key)
        .and_then(|key| key.verify(&Signature::from(*signature), &signing_bytes(body)))
        .map_err(|_| {
            let message = "The signature does not belong to this key and body.";
            unauth("action.signature", message)
        })
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
