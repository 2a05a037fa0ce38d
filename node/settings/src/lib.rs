//! Read one configuration file and refuse everything that is wrong with it at once.
//!
//! A program describes its settings as a table of [`Key`]s: path, kind,
//! default, sentence. [`load`] reads a TOML file, lets environment variables
//! override it, checks every value against the table, and only then fills the
//! program's own struct through serde. [`document`] prints the same table as an
//! annotated example file, so the documentation cannot drift.
//!
//! Environment: `<PREFIX>__GOSSIP__LISTEN` sets `gossip.listen`; two
//! underscores stand for a dot. Rows of tables cannot be set that way.
//! Relative paths in the file count from the file's own folder, those in the
//! environment from the working folder.
//!
//! Deliberately absent: several files, includes, secrets and hot reloading.

mod check;
mod detours;
mod document;
mod problem;
mod schema;
mod value;

use std::path::Path;

use serde::de::DeserializeOwned;

pub use detours::Detours;
pub use document::document;
pub use problem::{Problem, SettingsError};
pub use schema::{Key, Kind};

/// Longest configuration file, bytes.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Reads `file`, applies the overrides in `env` that start with `env_prefix`
/// and two underscores, checks all against `schema` and fills a `T`.
///
/// # Errors
/// Every problem of the file and the environment at once.
pub fn load<T: DeserializeOwned>(
    schema: &[Key],
    file: &Path,
    env_prefix: &str,
    env: impl Iterator<Item = (String, String)>,
) -> Result<T, SettingsError> {
    let mut problems = Vec::new();
    let mut settings = match read(file) {
        Ok(table) => table,
        Err(problem) => {
            // What the environment says wrong is still worth telling.
            problems.push(problem);
            toml::Table::new()
        }
    };
    let readable = problems.is_empty();
    let folder = file.parent().unwrap_or(Path::new(""));
    check::table(schema, &mut settings, "", folder, &mut problems);
    check::environment(schema, &mut settings, env_prefix, env, &mut problems);
    check::defaults(schema, &mut settings, "", folder, &mut problems);
    if !readable {
        // Without the file every required key would be missing: noise.
        problems.retain(|problem| !problem.missing);
    }
    if problems.is_empty() {
        match T::deserialize(settings) {
            Ok(filled) => return Ok(filled),
            Err(error) => problems.push(Problem::new("", error.message())),
        }
    }
    Err(SettingsError {
        file: file.to_owned(),
        problems,
    })
}

fn read(file: &Path) -> Result<toml::Table, Problem> {
    let length = std::fs::metadata(file)
        .map_err(|error| Problem::new("", format!("cannot be read: {error}")))?
        .len();
    if length > FILE_BYTES_MAX {
        return Err(Problem::new(
            "",
            format!("has {length} bytes, more than {FILE_BYTES_MAX}"),
        ));
    }
    let text = std::fs::read_to_string(file)
        .map_err(|error| Problem::new("", format!("cannot be read: {error}")))?;
    text.parse().map_err(|error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = text
            .bytes()
            .take(start)
            .filter(|byte| *byte == b'\n')
            .count()
            + 1;
        Problem::new("", format!("is not TOML: line {line}: {}", error.message()))
    })
}

#[cfg(test)]
mod tests;
