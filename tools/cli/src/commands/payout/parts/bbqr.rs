//! BBQr: eight characters of head, and base32 or hexadecimal behind it.
//!
//! Head: `B$`, the encoding, the type of the content, and the number of parts
//! and of this part in base 36. Written without compression, which is optional;
//! read with it.

use dctrl_wallet::PSBT_BYTES_MAX;
use miniz_oxide::inflate::decompress_to_vec_with_limit;

use super::{PARTS_MAX, wrong};
use crate::failure::Failure;

/// How each part begins.
pub(super) const PREFIX: &str = "B$";
/// Characters before the content.
const HEAD: usize = 8;
/// Bytes of a part: a multiple of five, so that each is base32 of its own.
const PART_BYTES: usize = 290;
/// The type of a PSBT.
const PSBT: char = 'P';
const BASE_32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// How the content is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Hexadecimal,
    Base32,
    /// Deflated first.
    Compressed,
}

pub(super) fn split(psbt: &[u8]) -> Result<Vec<String>, Failure> {
    let total = psbt.len().div_ceil(PART_BYTES);
    if total == 0 || total >= PARTS_MAX {
        return Err(wrong(format!(
            "a PSBT of {} bytes needs {total}",
            psbt.len()
        )));
    }
    let chunks = psbt.chunks(PART_BYTES).enumerate();
    let part = |(index, chunk): (usize, &[u8])| {
        format!(
            "{PREFIX}2{PSBT}{}{}{}",
            base_36(total),
            base_36(index),
            base_32(chunk)
        )
    };
    Ok(chunks.map(part).collect())
}

pub(super) fn join(lines: &[&str]) -> Result<Vec<u8>, Failure> {
    let mut parts: Vec<Option<Vec<u8>>> = Vec::new();
    let mut common = None;
    for line in lines {
        let (encoding, total, index, content) = part(line)?;
        if *common.get_or_insert((encoding, total)) != (encoding, total) {
            return Err(wrong("they are of more than one"));
        }
        parts.resize(total, None);
        let place = parts
            .get_mut(index)
            .filter(|place| place.as_ref().is_none_or(|before| *before == content));
        *place.ok_or_else(|| wrong(format!("part {index} is not one of {total}")))? = Some(content);
    }
    if let Some(missing) = parts.iter().position(Option::is_none) {
        return Err(wrong(format!(
            "part {} of {} is missing",
            missing + 1,
            parts.len()
        )));
    }
    let bytes: Vec<u8> = parts.into_iter().flatten().flatten().collect();
    match common {
        Some((Encoding::Compressed, _)) => decompress_to_vec_with_limit(&bytes, PSBT_BYTES_MAX)
            .map_err(|_| wrong("what was compressed cannot be read")),
        _ => Ok(bytes),
    }
}

fn part(line: &str) -> Result<(Encoding, usize, usize, Vec<u8>), Failure> {
    let no_head = || wrong("a part has another head");
    let (head, content) = line.split_at_checked(HEAD).ok_or_else(no_head)?;
    let head: Vec<char> = head.chars().collect();
    let [_, _, encoding, kind, total_1, total_2, index_1, index_2] = head[..] else {
        return Err(no_head());
    };
    let encoding = match encoding {
        'H' => Encoding::Hexadecimal,
        '2' => Encoding::Base32,
        'Z' => Encoding::Compressed,
        _ => return Err(no_head()),
    };
    if !line.starts_with(PREFIX) || kind != PSBT {
        return Err(wrong(format!("they hold something else, of type {kind}")));
    }
    let number = |digits: &[char]| {
        let digits: String = digits.iter().collect();
        usize::from_str_radix(&digits, 36).map_err(|_| no_head())
    };
    let content = match encoding {
        Encoding::Hexadecimal => hex::decode(content).ok(),
        _ => from_base_32(content),
    };
    let content = content.ok_or_else(|| wrong("a part has characters that do not belong there"))?;
    Ok((
        encoding,
        number(&[total_1, total_2])?,
        number(&[index_1, index_2])?,
        content,
    ))
}

fn base_36(number: usize) -> String {
    let digit = |value: usize| {
        let value = u32::try_from(value).unwrap_or(0);
        char::from_digit(value, 36)
            .unwrap_or('0')
            .to_ascii_uppercase()
    };
    [digit(number / 36), digit(number % 36)].iter().collect()
}

/// RFC 4648 without padding.
fn base_32(bytes: &[u8]) -> String {
    let mut text = String::new();
    let (mut bits, mut held) = (0_u32, 0);
    for byte in bytes {
        bits = bits << 8 | u32::from(*byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            text.push(digit_32(bits >> held));
        }
    }
    if held > 0 {
        text.push(digit_32(bits << (5 - held)));
    }
    text
}

/// The character of the lowest five bits.
fn digit_32(bits: u32) -> char {
    let [_, _, _, lowest] = bits.to_be_bytes();
    char::from(BASE_32[usize::from(lowest & 31)])
}

fn from_base_32(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0_u32, 0);
    for character in text.bytes() {
        let value = BASE_32.iter().position(|one| *one == character)?;
        bits = bits << 5 | u32::try_from(value).ok()?;
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    Some(bytes)
}
