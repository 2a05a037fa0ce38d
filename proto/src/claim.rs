//! Claim codes: how a guest shows that a credit is theirs.
//!
//! The code is a secret that only its holder knows. It makes an Ed25519 key,
//! whose public half goes with the quote. Whoever redeems signs for whom with
//! it, so that neither a node that sees the proof nor a machine that drew the
//! quote can turn it to another's use.

use ring::{
    digest::{SHA256, digest},
    signature::{Ed25519KeyPair, KeyPair},
};

/// Length of the secret in a claim code, bytes.
pub const CLAIM_SECRET_BYTES: usize = 16;

/// The key that a claim code makes.
pub struct ClaimKey(Ed25519KeyPair);

impl ClaimKey {
    /// The key of a secret.
    #[must_use]
    pub fn new(secret: &[u8; CLAIM_SECRET_BYTES]) -> Option<Self> {
        let seed = digest(&SHA256, &[b"dctrl/claim/1\0".as_slice(), secret].concat());
        Ed25519KeyPair::from_seed_unchecked(seed.as_ref())
            .ok()
            .map(Self)
    }

    /// What the quote carries.
    #[must_use]
    pub fn public(&self) -> Vec<u8> {
        self.0.public_key().as_ref().to_vec()
    }

    /// Signs [`redeem_bytes`] or [`refund_bytes`].
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.0.sign(bytes).as_ref().to_vec()
    }
}

/// What the claim key signs to put the credit of `vend_id` onto a member's tab.
#[must_use]
pub fn redeem_bytes(cluster: &[u8], vend_id: &str, member_id: &str) -> Vec<u8> {
    parts(
        b"dctrl/claim-redeem/1\0",
        &[cluster, vend_id.as_bytes(), member_id.as_bytes()],
    )
}

/// What the claim key signs to have `sats` of `vend_id` paid to an address.
#[must_use]
pub fn refund_bytes(cluster: &[u8], vend_id: &str, sats: u64, address: &str) -> Vec<u8> {
    let sats = sats.to_be_bytes();
    let fields = [cluster, vend_id.as_bytes(), &sats, address.as_bytes()];
    parts(b"dctrl/claim-refund/1\0", &fields)
}

/// Each part with its length before it, so that no two lists give equal bytes.
fn parts(domain: &[u8], fields: &[&[u8]]) -> Vec<u8> {
    let mut bytes = domain.to_vec();
    for field in fields {
        bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_claims_are_signed_by_the_same_bytes() {
        assert_ne!(
            redeem_bytes(b"c", "v1", "2alice"),
            redeem_bytes(b"c", "v12", "alice")
        );
        assert_ne!(
            refund_bytes(b"c", "v1", 1, "a"),
            refund_bytes(b"c", "v1", 2, "a")
        );
    }

    #[test]
    fn one_secret_always_makes_the_same_key() {
        let key = |byte| ClaimKey::new(&[byte; CLAIM_SECRET_BYTES]).unwrap().public();
        assert_eq!(key(1), key(1));
        assert_ne!(key(1), key(2));
        assert_eq!(key(1).len(), 32);
    }
}
