//! PSBTs in files and on the terminal: bytes, or base64 as BIP-174 says.

use std::{
    fs,
    io::{self, Read, Write},
    path::Path,
    str::FromStr,
};

use bitcoin::Psbt;
use dctrl_wallet::{Deviation, PSBT_BYTES_MAX, PartialSignature, check_returned};

use crate::failure::Failure;

/// How the binary form begins.
const MAGIC: &[u8] = b"psbt\xff";
/// Base64 is a third longer; with line ends.
const INPUT_BYTES_MAX: usize = 2 * PSBT_BYTES_MAX;

/// Reads one from a file, or from standard input where it is `-`.
///
/// # Errors
/// It cannot be read or is too long.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let wrong =
        |message: String| Failure::usage("payout.psbt", format!("{}: {message}", file.display()));
    let limit = INPUT_BYTES_MAX as u64 + 1;
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        fs::File::open(file).and_then(|open| open.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| wrong(error.to_string()))?;
    if bytes.len() > INPUT_BYTES_MAX {
        return Err(wrong(format!("more than {INPUT_BYTES_MAX} bytes")));
    }
    if bytes.starts_with(MAGIC) {
        return Ok(bytes);
    }
    let text: String = String::from_utf8_lossy(&bytes).split_whitespace().collect();
    let psbt = Psbt::from_str(&text).map_err(|error| wrong(format!("no PSBT: {error}")))?;
    Ok(psbt.serialize())
}

/// Writes one: bytes into a file, base64 to standard output where it is `-`.
///
/// # Errors
/// It cannot be written; a file that is there is not overwritten.
pub(super) fn write(file: &Path, psbt: &Psbt) -> Result<(), Failure> {
    if file == Path::new("-") {
        return Ok(writeln!(io::stdout(), "{psbt}")?);
    }
    write_new(file, &psbt.serialize())
}

/// Writes a new file.
///
/// # Errors
/// It is there already, or the disk refuses.
pub(super) fn write_new(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
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
    let signatures =
        check_returned(ordered, returned).map_err(|deviation: Deviation| Failure::Unverified {
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
