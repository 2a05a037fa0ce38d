//! Uniform resources (BCR-2020-005, BCR-2020-006): words for bytes, and
//! fountain parts of which any that are enough will do.

use dctrl_wallet::PSBT_BYTES_MAX;
use ur::{Decoder, Encoder, Type, ur::Kind};

use super::{PARTS_MAX, wrong};
use crate::failure::Failure;

/// How each part begins, whatever its case.
pub(super) const PREFIX: &str = "ur:";
/// Bytes of a part, so that its QR code of correction level M is 77 modules
/// wide.
const FRAGMENT_BYTES: usize = 200;
/// The type that signers know; its successor is read as well.
const KIND: &str = "crypto-psbt";
const KINDS: [&str; 3] = [KIND, "psbt", "bytes"];

/// CBOR's major type of byte strings.
const BYTE_STRING: u8 = 2 << 5;

pub(super) fn split(psbt: &[u8]) -> Result<Vec<String>, Failure> {
    let message = byte_string(psbt);
    if message.len() <= FRAGMENT_BYTES {
        let one = ur::try_encode(&message, &Type::Custom(KIND)).map_err(wrong)?;
        return Ok(vec![one.to_uppercase()]);
    }
    let mut encoder = Encoder::new(&message, FRAGMENT_BYTES, KIND).map_err(wrong)?;
    let parts = 0..encoder.fragment_count();
    parts
        .map(|_| Ok(encoder.next_part().map_err(wrong)?.to_uppercase()))
        .collect()
}

pub(super) fn join(lines: &[&str]) -> Result<Vec<u8>, Failure> {
    let mut decoder = Decoder::default();
    let mut total = 0;
    for line in lines {
        let line = line.to_ascii_lowercase();
        let mut steps = line.strip_prefix(PREFIX).unwrap_or_default().split('/');
        let kind = steps.next().unwrap_or_default();
        if !KINDS.contains(&kind) {
            return Err(wrong(format!("{kind:?} is none of {}", KINDS.join(", "))));
        }
        if line.matches('/').count() == 1 {
            let (Kind::SinglePart, message) = ur::decode(&line).map_err(wrong)? else {
                return Err(wrong("a part says of itself that it is one of several"));
            };
            return content(&message);
        }
        // What a part says of their number is believed by the decoder, which
        // makes room for so many.
        let counts = steps.next().and_then(|counts| counts.split_once('-'));
        total = counts.map_or(0, |(_, total)| total.parse().unwrap_or(0));
        if total == 0 || total > PARTS_MAX {
            return Err(wrong(format!(
                "a number of parts is not within 1 and {PARTS_MAX}"
            )));
        }
        decoder.receive(&line).map_err(wrong)?;
        if decoder.complete() {
            break;
        }
    }
    let message = decoder.message().map_err(wrong)?;
    let few = || {
        wrong(format!(
            "{} lines are not enough for its {total} parts",
            lines.len()
        ))
    };
    content(&message.ok_or_else(few)?)
}

/// CBOR (RFC 8949): the length in the shortest form, and the bytes.
fn byte_string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a PSBT of ours is short");
    let head = match length.to_be_bytes() {
        [0, 0, 0, one] if one < 24 => vec![BYTE_STRING | one],
        [0, 0, 0, one] => vec![BYTE_STRING | 24, one],
        [0, 0, high, low] => vec![BYTE_STRING | 25, high, low],
        [a, b, c, d] => vec![BYTE_STRING | 26, a, b, c, d],
    };
    [&head, bytes].concat()
}

/// What a CBOR byte string holds.
fn content(message: &[u8]) -> Result<Vec<u8>, Failure> {
    let no_string = || wrong("they hold no byte string");
    let (first, rest) = message.split_first().ok_or_else(no_string)?;
    let small = first.checked_sub(BYTE_STRING).ok_or_else(no_string)?;
    let extra = match small {
        0..24 => 0,
        24 => 1,
        25 => 2,
        26 => 4,
        _ => return Err(no_string()),
    };
    let (length, content) = rest.split_at_checked(extra).ok_or_else(no_string)?;
    let length = length
        .iter()
        .fold(0, |length, byte| length << 8 | usize::from(*byte));
    let length = if extra == 0 {
        usize::from(small)
    } else {
        length
    };
    if content.len() != length || length > PSBT_BYTES_MAX {
        return Err(no_string());
    }
    Ok(content.to_vec())
}
