//! Verifying many signatures for less than each alone.
//!
//! A batch checks one random combination of all equations instead of each
//! equation; Bernstein, Duif, Lange, Schwabe and Yang, "High-speed high-security
//! signatures" (2012), section 5. Both forms multiply by the cofactor and take
//! the same encodings, as ZIP-215 says, so that a signature has one verdict,
//! alone or in any batch.
//!
//! The coefficients are drawn from a hash of everything in the batch. Whoever
//! wants a bad signature to pass would have to find a batch whose own hash
//! cancels it: work of about 2^128. So there is no random source in here.
//!
//! Deliberately absent: threads. A caller with many cores hands each of them a
//! part.

use std::collections::BTreeMap;

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use ring::digest::{Context, SHA512};

use super::sha256;
use crate::id::{Digest, PublicKey, Signature};

/// Signatures in one equation at most: beyond, a signature costs no less, and
/// one bad signature spoils more good ones.
pub const EQUATION_SIGNATURES_MAX: usize = 1024;

/// Parts of a spoilt batch this small are checked one by one.
const ALONE_AT_MOST: usize = 2;

const COEFFICIENTS_DOMAIN: &[u8] = b"dctrl/batch/1\0";

/// A public key whose curve point is computed once.
#[derive(Debug, Clone, Copy)]
pub struct PreparedKey {
    bytes: PublicKey,
    point: EdwardsPoint,
}

impl PreparedKey {
    /// Computes the point; `None` where the bytes encode none. As ZIP-215 has
    /// it, every encoding of every point is taken: see
    /// [`acceptable_key`](super::acceptable_key) for what may be registered.
    #[must_use]
    pub fn new(key: &PublicKey) -> Option<Self> {
        let point = CompressedEdwardsY(key.0).decompress()?;
        Some(Self { bytes: *key, point })
    }

    /// The key as it is encoded.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.bytes
    }
}

/// One signature to be checked. Holds no reference to the message.
#[derive(Debug, Clone)]
pub struct Check {
    key: PreparedKey,
    /// `None` where the signature's bytes are no signature.
    parts: Option<Parts>,
}

/// The terms of the equation `8 s B = 8 R + 8 k A`.
#[derive(Debug, Clone, Copy)]
struct Parts {
    r_bytes: [u8; 32],
    r: EdwardsPoint,
    s: Scalar,
    k: Scalar,
}

impl Check {
    /// Hashes the message, given in parts that follow each other.
    #[must_use]
    pub fn new(key: &PreparedKey, message: &[&[u8]], signature: &Signature) -> Self {
        Self {
            key: *key,
            parts: Parts::new(&key.bytes, message, signature),
        }
    }

    /// Whether the signature holds, checked alone.
    #[must_use]
    pub fn holds(&self) -> bool {
        let Some(parts) = &self.parts else {
            return false;
        };
        let minus_a = -self.key.point;
        let expected =
            EdwardsPoint::vartime_double_scalar_mul_basepoint(&parts.k, &minus_a, &parts.s);
        (parts.r - expected).mul_by_cofactor().is_identity()
    }
}

impl Parts {
    fn new(key: &PublicKey, message: &[&[u8]], signature: &Signature) -> Option<Self> {
        let (mut r_bytes, mut s_bytes) = ([0; 32], [0; 32]);
        r_bytes.copy_from_slice(&signature.0[..32]);
        s_bytes.copy_from_slice(&signature.0[32..]);
        let s = Option::from(Scalar::from_canonical_bytes(s_bytes))?;
        let r = CompressedEdwardsY(r_bytes).decompress()?;
        let mut context = Context::new(&SHA512);
        context.update(&r_bytes);
        context.update(&key.0);
        for part in message {
            context.update(part);
        }
        let mut wide = [0; 64];
        wide.copy_from_slice(context.finish().as_ref());
        let k = Scalar::from_bytes_mod_order_wide(&wide);
        Some(Self { r_bytes, r, s, k })
    }
}

/// The verdict on each signature, in order.
#[must_use]
pub fn verify_batch(checks: &[Check]) -> Vec<bool> {
    let mut verdicts = Vec::with_capacity(checks.len());
    for part in checks.chunks(EQUATION_SIGNATURES_MAX) {
        judge(part, &mut verdicts);
    }
    verdicts
}

/// Halves what does not hold, until the bad ones stand alone. No deeper than
/// the logarithm of [`EQUATION_SIGNATURES_MAX`].
fn judge(checks: &[Check], verdicts: &mut Vec<bool>) {
    if checks.len() <= ALONE_AT_MOST {
        verdicts.extend(checks.iter().map(Check::holds));
    } else if all_hold(checks) {
        verdicts.extend(checks.iter().map(|_| true));
    } else {
        let (first, second) = checks.split_at(checks.len() / 2);
        judge(first, verdicts);
        judge(second, verdicts);
    }
}

/// Whether every signature holds: the cheapest question about many.
#[must_use]
pub fn all_hold(checks: &[Check]) -> bool {
    checks
        .chunks(EQUATION_SIGNATURES_MAX)
        .all(|part| match part {
            [alone] => alone.holds(),
            _ => equation_holds(part),
        })
}

/// `8 (sum z_i s_i) B = 8 sum z_i R_i + 8 sum z_i k_i A_i`, where the terms of
/// one key are added up first.
fn equation_holds(checks: &[Check]) -> bool {
    let parts: Option<Vec<(&PreparedKey, &Parts)>> = checks
        .iter()
        .map(|check| Some((&check.key, check.parts.as_ref()?)))
        .collect();
    let Some(parts) = parts else {
        return false;
    };
    let mut base = Scalar::ZERO;
    let mut keys: BTreeMap<PublicKey, (Scalar, &EdwardsPoint)> = BTreeMap::new();
    let coefficients = coefficients(&parts);
    for ((key, part), z) in parts.iter().zip(&coefficients) {
        base -= z * part.s;
        let sum = keys.entry(key.bytes).or_insert((Scalar::ZERO, &key.point));
        sum.0 += z * part.k;
    }
    let scalars = std::iter::once(&base)
        .chain(keys.values().map(|(sum, _)| sum))
        .chain(&coefficients);
    let points = std::iter::once(&ED25519_BASEPOINT_POINT)
        .chain(keys.values().map(|(_, point)| *point))
        .chain(parts.iter().map(|(_, part)| &part.r));
    EdwardsPoint::vartime_multiscalar_mul(scalars, points)
        .mul_by_cofactor()
        .is_identity()
}

/// One coefficient of 128 bits for each signature.
fn coefficients(parts: &[(&PreparedKey, &Parts)]) -> Vec<Scalar> {
    let mut all = Vec::with_capacity(parts.len() * 128);
    for (key, part) in parts {
        all.extend_from_slice(&key.bytes.0);
        all.extend_from_slice(&part.r_bytes);
        // The message is in `k`.
        all.extend_from_slice(part.k.as_bytes());
        all.extend_from_slice(part.s.as_bytes());
    }
    let Digest(seed) = sha256(COEFFICIENTS_DOMAIN, &[&all]);
    let mut coefficients = Vec::with_capacity(parts.len() + 1);
    for number in 0..parts.len().div_ceil(2) as u64 {
        let Digest(bytes) = sha256(COEFFICIENTS_DOMAIN, &[&seed, &number.to_be_bytes()]);
        for half in bytes.chunks_exact(16) {
            let mut low = [0; 16];
            low.copy_from_slice(half);
            coefficients.push(Scalar::from(u128::from_le_bytes(low)));
        }
    }
    coefficients.truncate(parts.len());
    coefficients
}

#[cfg(test)]
mod tests;
