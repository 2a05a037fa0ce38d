//! Signatures of text in the form of Bitcoin's message signing, which BIP-129
//! accepts beside BIP-322: 65 bytes in base64, of which the first says how the
//! public key follows from the others.

use bitcoin::{
    base64::{Engine, engine::general_purpose::STANDARD},
    hashes::Hash,
    secp256k1::{Message, PublicKey, Scalar, Secp256k1, SecretKey, ecdsa::Signature},
    sign_message::signed_msg_hash,
};

use crate::failure::Failure;

/// First byte of a signature by a compressed key; the parity of the nonce's
/// point is added.
const COMPRESSED: u8 = 27 + 4;
/// What the first byte can be: any form of the key, any point.
const FIRST: std::ops::RangeInclusive<u8> = 27..=42;

fn digest(text: &str) -> Message {
    Message::from_digest(signed_msg_hash(text).to_byte_array())
}

/// Signs a text.
///
/// # Errors
/// The nonce's point cannot be told, which has a chance of 2⁻¹²⁷.
pub(super) fn sign(text: &str, secret: &SecretKey) -> Result<String, Failure> {
    let curve = Secp256k1::new();
    let signature = curve.sign_ecdsa(&digest(text), secret);
    let first = first_byte(text, &signature, &secret.public_key(&curve))
        .ok_or_else(|| anyhow::anyhow!("the record cannot be signed"))?;
    let mut bytes = vec![first];
    bytes.extend(signature.serialize_compact());
    Ok(STANDARD.encode(bytes))
}

/// Whether `key` has signed `text`.
pub(super) fn holds(text: &str, signature: &str, key: &PublicKey) -> bool {
    let Ok(bytes) = STANDARD.decode(signature) else {
        return false;
    };
    let Some((first, compact)) = bytes.split_first() else {
        return false;
    };
    let curve = Secp256k1::verification_only();
    FIRST.contains(first)
        && Signature::from_compact(compact)
            .is_ok_and(|signature| curve.verify_ecdsa(&digest(text), &signature, key).is_ok())
}

/// Which of the two points with the signature's coordinate was the nonce's:
/// the one for which s·R = z·G + r·Q.
pub(super) fn first_byte(text: &str, signature: &Signature, key: &PublicKey) -> Option<u8> {
    let curve = Secp256k1::new();
    let compact = signature.serialize_compact();
    let (coordinate, proof) = compact.split_at(32);
    let scalar = |bytes: &[u8]| Scalar::from_be_bytes(bytes.try_into().ok()?).ok();
    let (r, s) = (scalar(coordinate)?, scalar(proof)?);
    let z = SecretKey::from_slice(&digest(text)[..]).ok()?;
    let right = z
        .public_key(&curve)
        .combine(&key.mul_tweak(&curve, &r).ok()?)
        .ok()?;
    (0..=1).find_map(|parity| {
        let point = [&[2 + parity], coordinate].concat();
        let left = PublicKey::from_slice(&point)
            .ok()?
            .mul_tweak(&curve, &s)
            .ok()?;
        (left == right).then_some(COMPRESSED + parity)
    })
}
