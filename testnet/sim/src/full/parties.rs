//! Who takes part beside the nodes: members, machines, and how all of them
//! sign.
//!
//! In most runs a signature is a hash that anybody could make, which costs a
//! thousandth of a real one; liars keep to their own keys. Machine agents
//! always sign really, because the agent's own state machine does it; what
//! held once is remembered. In some runs everything is real.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use dctrl_access::{Identity, key_file::Secrets};
use dctrl_consensus::Digest;
use dctrl_consensus::crypto::{Ed25519Signer, Signer, sha256};
use dctrl_ledger::{Claim, OneByOne, Signatures};
use dctrl_proto::action::{Payload, body};
use dctrl_proto::v1::SignedAction;
use prost::Message;
use zeroize::Zeroizing;

/// Facts about signatures that are remembered; then they are found anew.
const REMEMBERED_MAX: usize = 1 << 15;

/// How long an action of people and nodes may wait for its order.
pub(super) const ACTION_LIFE_MS: u64 = 120_000;

/// Somebody who signs actions.
#[derive(Clone)]
pub(super) struct Party {
    pub(super) key: [u8; 32],
    /// Where signatures are real.
    identity: Option<Arc<Identity>>,
}

impl Party {
    /// Whose secret is this.
    pub(super) fn new(seed: [u8; 32], real: bool) -> Self {
        Self {
            key: Ed25519Signer::from_seed(&seed).public_key().0,
            identity: real.then(|| identity(seed)),
        }
    }

    pub(super) fn sign<P: Payload>(
        &self,
        cluster: &[u8; 32],
        number: u128,
        now_ms: u64,
        payload: &P,
    ) -> SignedAction {
        self.sign_until(cluster, number, now_ms + ACTION_LIFE_MS, payload)
    }

    pub(super) fn sign_until<P: Payload>(
        &self,
        cluster: &[u8; 32],
        number: u128,
        expires_at_ms: u64,
        payload: &P,
    ) -> SignedAction {
        let request_id = number.to_be_bytes();
        if let Some(identity) = &self.identity {
            return identity.sign_action(cluster, request_id, expires_at_ms, payload);
        }
        let body = body(cluster, request_id, expires_at_ms, payload).encode_to_vec();
        SignedAction {
            key: self.key.to_vec(),
            signature: simulated(&self.key, &body).to_vec(),
            body,
        }
    }
}

/// An identity that signs really.
pub(super) fn identity(seed: [u8; 32]) -> Arc<Identity> {
    let secrets = Secrets {
        seed: Zeroizing::new(seed),
        curve_secret: Zeroizing::new(seed),
    };
    let Ok(identity) = Identity::from_secrets(secrets) else {
        unreachable!("any 32 bytes are a seed")
    };
    Arc::new(identity)
}

fn simulated(key: &[u8; 32], body: &[u8]) -> [u8; 64] {
    let half = sha256(b"dctrl-sim-action\0", &[key, body]).0;
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&half);
    signature[32..].copy_from_slice(&half);
    signature
}

/// Judges the signatures of actions for all nodes of a run: a verdict is a
/// fact, so they may share it.
#[derive(Default)]
pub(super) struct Judge {
    real_only: bool,
    held: RefCell<BTreeSet<Digest>>,
}

impl Judge {
    pub(super) fn new(real_only: bool) -> Self {
        Self {
            real_only,
            ..Self::default()
        }
    }

    fn holds(&self, claim: &Claim<'_>) -> bool {
        if !self.real_only && simulated(claim.key, claim.body) == *claim.signature {
            return true;
        }
        let fact = sha256(
            b"dctrl-sim-held\0",
            &[claim.key, claim.signature, claim.body],
        );
        if self.held.borrow().contains(&fact) {
            return true;
        }
        let holds = OneByOne.hold(&[*claim]) == [true];
        if holds {
            let mut held = self.held.borrow_mut();
            if held.len() >= REMEMBERED_MAX {
                held.clear();
            }
            held.insert(fact);
        }
        holds
    }
}

impl Signatures for Judge {
    fn hold(&self, claims: &[Claim<'_>]) -> Vec<bool> {
        claims.iter().map(|claim| self.holds(claim)).collect()
    }
}
