//! The test vectors of the standards that the wallet is made of. They stand
//! in `tests/vectors` as data; each file names its BIP.

#![allow(clippy::unwrap_used, reason = "a failure in a test is a panic")]

mod descriptors;
mod keys;
mod psbt;
mod version_2;

/// The lines of a file of vectors: a word and what follows it.
fn lines(file: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once(' ').unwrap_or((line, "")))
}

/// The vectors of one kind, from hexadecimal.
fn bytes(file: &str, kind: &str) -> Vec<Vec<u8>> {
    use bitcoin::hex::FromHex;
    lines(file)
        .filter(|(found, _)| *found == kind)
        .map(|(_, hex)| Vec::from_hex(hex).unwrap())
        .collect()
}
