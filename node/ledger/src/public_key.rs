//! Which Ed25519 keys may become a node's.
//!
//! The same rule as the consensus has for its rosters, which this crate does
//! not import: a canonical encoding of a curve point that is not of small
//! order. Under a key of small order one signature holds for every message.

use dctrl_proto::v1::Refusal;
use ed25519_zebra::VerificationKey;

use crate::ids;
use crate::refuse::{ensure, invalid};

/// The y coordinates of the points of small order, little-endian; the sign
/// bit is left out, so that both points of each are meant.
const SMALL_ORDER_Y: [&str; 5] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
];

/// Refuses what is no acceptable public key.
pub(crate) fn check(field: &str, key: &[u8]) -> Result<(), Refusal> {
    ids::bytes32(field, key)?;
    let bytes = <[u8; 32]>::try_from(key).unwrap_or_default();
    ensure(is_acceptable(&bytes), || {
        invalid(
            "key.point",
            field,
            "This is not an acceptable Ed25519 public key.",
        )
    })
}

fn is_acceptable(key: &[u8; 32]) -> bool {
    let mut y = *key;
    y[31] &= 0x7f;
    // 2^255 - 19, below which a canonical y is.
    let below_prime = y[31] != 0x7f || y[1..31].iter().any(|byte| *byte != 0xff) || y[0] < 0xed;
    below_prime
        && !SMALL_ORDER_Y.contains(&hex::encode(y).as_str())
        && VerificationKey::try_from(*key).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_small_order_or_not_canonical_is_refused_and_a_real_one_accepted() {
        for text in SMALL_ORDER_Y {
            let mut key = [0; 32];
            hex::decode_to_slice(text, &mut key).unwrap();
            assert!(!is_acceptable(&key), "{text}");
            key[31] |= 0x80;
            assert!(!is_acceptable(&key), "{text} with its sign");
        }
        // y = p + 3 names the same point as y = 3, which is on the curve.
        let mut three = [0; 32];
        three[0] = 3;
        assert!(is_acceptable(&three));
        let mut above = [0xff; 32];
        (above[0], above[31]) = (0xf0, 0x7f);
        assert!(
            VerificationKey::try_from(above).is_ok(),
            "a point, badly written"
        );
        assert!(!is_acceptable(&above));
    }

    #[test]
    fn a_key_has_32_bytes() {
        assert_eq!(check("key", &[1; 31]).unwrap_err().rule, "bytes.length");
        assert_eq!(check("key", &[1; 33]).unwrap_err().rule, "bytes.length");
    }
}
