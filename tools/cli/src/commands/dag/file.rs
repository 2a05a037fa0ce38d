//! Files that hold a graph: JSON, or the notation of drawings.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use anyhow::Context as _;
use dctrl_consensus::explain::{Graph, notation};
use dctrl_proto::v1::{Refusal, RefusalCode};

use super::json;
use crate::failure::Failure;

/// Longest file, bytes: the most events that are read, with long names.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Reads a graph; `-` is standard input. What ends in `.json`, or begins with
/// a brace, is JSON.
pub(super) fn read(path: &Path) -> Result<Graph, Failure> {
    let bytes = bytes(path)
        .map_err(|error| Failure::usage("graph.file", format!("{}: {error}", path.display())))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::usage(
            "graph.file",
            format!("{} has more than {FILE_BYTES_MAX} bytes", path.display()),
        ));
    }
    let named = path
        .extension()
        .is_some_and(|extension| extension == "json");
    let braced = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    if named || braced {
        return json::parse(&bytes);
    }
    let wrong = |message| {
        Failure::Refused(Refusal::rule(
            RefusalCode::Invalid,
            "graph.notation",
            message,
        ))
    };
    let text = String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
    notation::parse(&text).map_err(|error| wrong(error.to_string()))
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        io::stdin()
            .take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)?;
    } else {
        File::open(path)?
            .take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Writes a drawing.
pub(super) fn write(path: &Path, drawing: &str) -> Result<(), Failure> {
    std::fs::write(path, drawing)
        .with_context(|| format!("cannot write {}", path.display()))
        .map_err(Failure::Other)
}
