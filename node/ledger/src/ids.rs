//! Which texts may become part of a key, a topic or a person's screen.
//!
//! Ids carry only letters, digits and `-`, so that none can escape the
//! segment of the key or topic it is put into.

use dctrl_proto::v1::Refusal;

use crate::refuse::{ensure, invalid};

/// Longest id of a member, machine, product or vend, bytes.
pub(crate) const ID_BYTES_MAX: usize = 32;
/// Longest name of a slot, bytes.
pub(crate) const SLOT_BYTES_MAX: usize = 16;
/// Longest text meant for people, bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 200;
/// Length of Ed25519 and CURVE public keys, block hashes and transaction ids.
pub(crate) const DIGEST_BYTES: usize = 32;

/// An id: 1 to 32 of `a`-`z`, `0`-`9` and `-`.
pub(crate) fn id(field: &str, value: &str) -> Result<(), Refusal> {
    let fits = (1..=ID_BYTES_MAX).contains(&value.len())
        && value
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    ensure(fits, || {
        invalid(
            "id.format",
            field,
            "An id is 1 to 32 characters of a-z, 0-9 and '-'.",
        )
    })
}

/// A slot: 1 to 16 letters, digits and `-`, such as `A1`.
pub(crate) fn slot(field: &str, value: &str) -> Result<(), Refusal> {
    let fits = (1..=SLOT_BYTES_MAX).contains(&value.len())
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    ensure(fits, || {
        invalid(
            "slot.format",
            field,
            "A slot is named by 1 to 16 letters, digits and '-'.",
        )
    })
}

/// A currency of ISO 4217: three capital letters.
pub(crate) fn currency(field: &str, value: &str) -> Result<(), Refusal> {
    let fits = value.len() == 3 && value.bytes().all(|byte| byte.is_ascii_uppercase());
    ensure(fits, || {
        invalid(
            "currency.format",
            field,
            "A currency is three capital letters, such as EUR.",
        )
    })
}

/// Text that people read: bounded, and without control characters.
pub(crate) fn text(field: &str, value: &str) -> Result<(), Refusal> {
    let fits = value.len() <= TEXT_BYTES_MAX && !value.chars().any(char::is_control);
    ensure(fits, || {
        invalid(
            "text.format",
            field,
            format!("A text is at most {TEXT_BYTES_MAX} bytes, without control characters."),
        )
    })
}

/// Exactly 32 bytes: a key, hash or transaction id.
pub(crate) fn bytes32(field: &str, value: &[u8]) -> Result<(), Refusal> {
    ensure(value.len() == DIGEST_BYTES, || {
        invalid(
            "bytes.length",
            field,
            format!("Expected {DIGEST_BYTES} bytes, not {}.", value.len()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_can_escape_its_key() {
        for bad in ["", "a/b", "a:b", "A", "a\0", "../x", "ü", &"a".repeat(33)] {
            assert!(id("id", bad).is_err(), "{bad:?}");
            assert!(slot("slot", &format!("{bad}/")).is_err());
        }
        assert!(id("id", "m1-a").is_ok());
        assert!(slot("slot", "A1").is_ok());
        assert!(text("name", "line\nbreak").is_err());
        assert!(currency("currency", "eur").is_err());
    }
}
