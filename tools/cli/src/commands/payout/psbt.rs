//! PSBTs in files and on the terminal: bytes, base64 as BIP-174 says, or the
//! parts of QR codes as a scanner reads them.

use std::{
    fs,
    io::{self, Read, Write},
    path::Path,
};

use bitcoin::{
    Psbt,
    base64::{Engine, engine::general_purpose::STANDARD},
};
use dctrl_wallet::{Deviation, PSBT_BYTES_MAX, PartialSignature, check_returned, read_psbt};

use super::parts;
use crate::failure::Failure;

/// How the binary form begins.
const MAGIC: &[u8] = b"psbt\xff";
/// The words of a UR take twice the bytes, and a scanner may repeat parts.
const INPUT_BYTES_MAX: usize = 4 * PSBT_BYTES_MAX;

/// Reads one from a file, or from standard input where it is `-`.
///
/// # Errors
/// It cannot be read or is too long.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let wrong =
        |rule, message: String| Failure::usage(rule, format!("{}: {message}", file.display()));
    let limit = INPUT_BYTES_MAX as u64 + 1;
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        fs::File::open(file).and_then(|open| open.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| wrong("payout.psbt", error.to_string()))?;
    if bytes.len() > INPUT_BYTES_MAX {
        return Err(wrong(
            "psbt.size",
            format!("more than {INPUT_BYTES_MAX} bytes"),
        ));
    }
    decoded(bytes)
}

/// The bytes of a PSBT in any of its forms.
///
/// # Errors
/// It is none of them.
pub(super) fn decoded(bytes: Vec<u8>) -> Result<Vec<u8>, Failure> {
    if bytes.starts_with(MAGIC) {
        return Ok(bytes);
    }
    let text = String::from_utf8_lossy(&bytes);
    if parts::are_parts(&text) {
        return parts::join(&text);
    }
    let text: String = text.split_whitespace().collect();
    STANDARD
        .decode(text)
        .map_err(|_| malformed("it is neither bytes nor base64 nor the parts of QR codes"))
}

fn malformed(message: impl ToString) -> Failure {
    Failure::Unverified {
        rule: "psbt.malformed",
        message: format!("This is no PSBT: {}.", message.to_string()),
    }
}

/// Writes one: bytes into a file, base64 to standard output where it is `-`.
///
/// # Errors
/// It cannot be written; a file that is there is not overwritten.
pub(super) fn write(file: &Path, psbt: &[u8]) -> Result<(), Failure> {
    if file == Path::new("-") {
        return Ok(writeln!(io::stdout(), "{}", STANDARD.encode(psbt))?);
    }
    write_new(file, psbt)
}

/// Writes a new file.
///
/// # Errors
/// It is there already, or the disk refuses.
pub(crate) fn write_new(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut open = fs::OpenOptions::new();
    let open = open.write(true).create_new(true).open(file);
    open.and_then(|mut open| open.write_all(bytes))
        .map_err(|error| Failure::usage("payout.out", format!("{}: {error}", file.display())))
}

/// The signatures of a returned PSBT, and the PSBT with nothing but them.
///
/// # Errors
/// The first deviation from what was ordered.
pub(super) fn taken(
    ordered: &Psbt,
    returned: &[u8],
) -> Result<(Vec<PartialSignature>, Psbt), Failure> {
    // Nodes take version 0 only; a newer one says the same in other fields.
    let checked = match check_returned(ordered, returned) {
        Err(Deviation::Version(2)) => {
            let old = read_psbt(returned).map_err(malformed)?;
            check_returned(ordered, &old.serialize())
        }
        checked => checked,
    };
    let signatures = checked.map_err(|deviation| Failure::Unverified {
        rule: deviation.rule(),
        message: deviation.to_string(),
    })?;
    let mut reduced = ordered.clone();
    for one in &signatures {
        let input = &mut reduced.inputs[one.input];
        input.partial_sigs.insert(one.key, one.signature);
    }
    Ok((signatures, reduced))
}

#[cfg(test)]
mod tests;
