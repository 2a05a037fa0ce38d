//! Hashing, signing and verifying.
//!
//! Signing is Ed25519 through ring. Verifying follows ZIP-215: one verdict on
//! every node, whether checked alone (through ed25519-zebra) or in a batch,
//! because two verdicts about one signature would split the federation.

mod batch;

use ring::digest::{Context, SHA256};
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::id::{Digest, PublicKey, Signature};

pub use batch::{Check, EQUATION_SIGNATURES_MAX, PreparedKey, all_hold, verify_batch};

/// SHA-256 over a domain and the parts behind it. Each caller's parts have
/// fixed lengths or carry their own, so that no two inputs join to one string.
#[must_use]
pub fn sha256(domain: &[u8], parts: &[&[u8]]) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(domain);
    for part in parts {
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    Digest(digest)
}

/// Whoever holds this node's key. Two implementations exist: the real one and
/// the simulator's.
pub trait Signer: Send {
    /// The key that others verify with.
    fn public_key(&self) -> PublicKey;
    /// Signs the bytes, which already begin with their domain.
    fn sign(&self, bytes: &[u8]) -> Signature;
}

/// Signs with an Ed25519 key in memory.
pub struct Ed25519Signer {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl Ed25519Signer {
    /// The signer of a 32-byte secret seed (RFC 8032).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let Ok(pair) = Ed25519KeyPair::from_seed_unchecked(seed) else {
            unreachable!("every 32-byte seed is an Ed25519 key")
        };
        let mut public = [0; 32];
        public.copy_from_slice(pair.public_key().as_ref());
        Self {
            pair,
            public: PublicKey(public),
        }
    }
}

impl Signer for Ed25519Signer {
    fn public_key(&self) -> PublicKey {
        self.public
    }

    fn sign(&self, bytes: &[u8]) -> Signature {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(bytes).as_ref());
        Signature(signature)
    }
}

impl std::fmt::Debug for Ed25519Signer {
    /// The secret half is never printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Ed25519Signer").field(&self.public).finish()
    }
}

/// Signs nothing: for simulations, whose messages are taken as verified.
#[derive(Debug, Clone, Copy)]
pub struct NullSigner(pub PublicKey);

impl Signer for NullSigner {
    fn public_key(&self) -> PublicKey {
        self.0
    }

    fn sign(&self, bytes: &[u8]) -> Signature {
        let digest = sha256(b"dctrl/null-signature/1\0", &[&self.0.0, bytes]);
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&digest.0);
        Signature(signature)
    }
}

/// How signatures are made and checked in a federation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheme {
    /// Ed25519, verified by ZIP-215.
    #[default]
    Ed25519,
    /// What [`NullSigner`] makes: for simulations, and for nothing else.
    Null,
}

impl Scheme {
    /// Whether `signature` is the key's signature over `bytes`.
    #[must_use]
    pub fn verify(self, key: &PublicKey, bytes: &[u8], signature: &Signature) -> bool {
        match self {
            Self::Ed25519 => verify(key, bytes, signature),
            Self::Null => NullSigner(*key).sign(bytes) == *signature,
        }
    }
}

/// Whether `signature` is the key's signature over `bytes`, by ZIP-215.
#[must_use]
pub fn verify(key: &PublicKey, bytes: &[u8], signature: &Signature) -> bool {
    let Ok(key) = ed25519_zebra::VerificationKey::try_from(key.0) else {
        return false;
    };
    key.verify(&ed25519_zebra::Signature::from(signature.0), bytes)
        .is_ok()
}

/// The eight points of small order in canonical encoding. Under such a key a
/// signature can be made that holds for every message.
const SMALL_ORDER_KEYS: [&str; 8] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
];

/// Whether a key may enter a roster: a canonical encoding of a curve point
/// that is not of small order.
#[must_use]
pub fn acceptable_key(key: &PublicKey) -> bool {
    canonical_encoding(key)
        && !SMALL_ORDER_KEYS.contains(&key.to_string().as_str())
        && ed25519_zebra::VerificationKey::try_from(key.0).is_ok()
}

/// Whether the y coordinate is below the field's prime 2^255 - 19. The only
/// other non-canonical form, x = 0 with its sign set, belongs to points of
/// small order and its y is then 1 or -1.
fn canonical_encoding(key: &PublicKey) -> bool {
    let mut y = key.0;
    let sign = y[31] >> 7;
    y[31] &= 0x7f;
    let below_prime = y[31] != 0x7f || y[1..31].iter().any(|&byte| byte != 0xff) || y[0] < 0xed;
    let one = y[0] == 1 && y[1..].iter().all(|&byte| byte == 0);
    let minus_one = y[0] == 0xec && y[1..31].iter().all(|&byte| byte == 0xff) && y[31] == 0x7f;
    below_prime && !(sign == 1 && (one || minus_one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_order_and_non_canonical_keys_are_refused_and_real_ones_accepted() {
        for text in SMALL_ORDER_KEYS {
            let mut key = [0; 32];
            hex::decode_to_slice(text, &mut key).unwrap();
            assert!(!acceptable_key(&PublicKey(key)), "{text} has small order");
        }
        let mut above_prime = [0xff; 32];
        above_prime[31] = 0x7f;
        for low in 0xed..=0xff {
            above_prime[0] = low;
            assert!(
                !acceptable_key(&PublicKey(above_prime)),
                "y is not below the prime"
            );
        }
        for seed in 0..8 {
            assert!(acceptable_key(
                &Ed25519Signer::from_seed(&[seed; 32]).public_key()
            ));
        }
    }

    #[test]
    fn a_signature_holds_for_its_bytes_and_key_only() {
        let (a, b) = (
            Ed25519Signer::from_seed(&[1; 32]),
            Ed25519Signer::from_seed(&[2; 32]),
        );
        let signature = a.sign(b"bytes");
        assert!(verify(&a.public_key(), b"bytes", &signature));
        assert!(!verify(&a.public_key(), b"bytes!", &signature));
        assert!(!verify(&b.public_key(), b"bytes", &signature));
    }
}
