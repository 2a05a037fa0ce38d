//! A PSBT as a row of QR codes: how it is cut into parts and put together
//! again from what a scanner read, in any order and with repetitions.

mod bbqr;
mod uniform;

use std::io::{self, Write};

use clap::ValueEnum;

use crate::{failure::Failure, invoice};

/// Most parts that are taken; the longest PSBT has fewer.
const PARTS_MAX: usize = 1296;

/// How the parts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PartFormat {
    /// Uniform resources of Blockchain Commons, as `crypto-psbt`
    Ur,
    /// Coldcard's BBQr
    Bbqr,
}

/// The parts of a PSBT, each for a QR code that fits into 80 columns.
///
/// # Errors
/// It is too long for this format.
pub(super) fn split(format: PartFormat, psbt: &[u8]) -> Result<Vec<String>, Failure> {
    match format {
        PartFormat::Ur => uniform::split(psbt),
        PartFormat::Bbqr => bbqr::split(psbt),
    }
}

/// Whether a text is made of parts.
pub(super) fn are_parts(text: &str) -> bool {
    let first = text
        .trim_start()
        .get(..bbqr::PREFIX.len().max(uniform::PREFIX.len()));
    first.is_some_and(|first| {
        first.to_ascii_lowercase() == uniform::PREFIX || first.starts_with(bbqr::PREFIX)
    })
}

/// The PSBT of these parts, a line each.
///
/// # Errors
/// Parts are missing, damaged or of more than one PSBT.
pub(super) fn join(text: &str) -> Result<Vec<u8>, Failure> {
    let lines = text.lines().map(str::trim);
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    match lines.first() {
        Some(first) if first.starts_with(bbqr::PREFIX) => bbqr::join(&lines),
        _ => uniform::join(&lines),
    }
}

/// Draws them one below the other on standard output.
///
/// # Errors
/// The reader went away.
pub(super) fn draw(parts: &[String]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    for (position, part) in parts.iter().enumerate() {
        let drawing = invoice::qr(part).map_err(anyhow::Error::from)?;
        writeln!(out, "{drawing}part {} of {}\n", position + 1, parts.len())?;
    }
    Ok(())
}

/// Parts from which no PSBT follows.
fn wrong(message: impl ToString) -> Failure {
    Failure::Unverified {
        rule: "psbt.parts",
        message: format!("The parts make no PSBT: {}.", message.to_string()),
    }
}

#[cfg(test)]
mod tests;
