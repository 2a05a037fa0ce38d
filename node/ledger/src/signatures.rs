//! Whether keys signed what they are said to have signed.
//!
//! A signature is a pure fact: everyone who checks it by the rules of ZIP-215
//! comes to the same verdict, alone or in a batch. So the ledger says which
//! claims it needs, all of a block at once, and whoever runs it may check them
//! together, on many cores, or remember those that held before. [`OneByOne`]
//! is the definition.

use dctrl_proto::action::SIGNING_DOMAIN;
use ed25519_zebra::{Signature, VerificationKey};

/// The claim that an action was signed with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim<'a> {
    /// An encoded Ed25519 public key.
    pub key: &'a [u8; 32],
    /// An Ed25519 signature over [`Claim::message`].
    pub signature: &'a [u8; 64],
    /// The encoded body of the action.
    pub body: &'a [u8],
}

impl Claim<'_> {
    /// The parts of what was signed, in order.
    #[must_use]
    pub fn message(&self) -> [&[u8]; 2] {
        [SIGNING_DOMAIN, self.body]
    }
}

/// Checks claims. Every implementation gives the verdicts of [`OneByOne`].
pub trait Signatures {
    /// The verdict on each claim, in order.
    fn hold(&self, claims: &[Claim<'_>]) -> Vec<bool>;
}

/// Checks each claim by itself.
#[derive(Clone, Copy, Debug)]
pub struct OneByOne;

impl Signatures for OneByOne {
    fn hold(&self, claims: &[Claim<'_>]) -> Vec<bool> {
        let holds = |claim: &Claim<'_>| {
            VerificationKey::try_from(*claim.key)
                .and_then(|key| {
                    let signature = Signature::from(*claim.signature);
                    key.verify(&signature, &claim.message().concat())
                })
                .is_ok()
        };
        claims.iter().map(holds).collect()
    }
}
