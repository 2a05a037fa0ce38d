//! The top level of the repository is the reader's first page: it stays as it is.

use std::{collections::BTreeSet, path::PathBuf};

use super::Finding;

/// What may stand there beside dot-files.
const ALLOWED: [&str; 10] = [
    "Cargo.lock",
    "Cargo.toml",
    "README.md",
    "benches",
    "consensus",
    "machine-agent",
    "node",
    "proto",
    "testnet",
    "tools",
];

/// Findings for every other entry, once each.
pub(super) fn check(tracked: &[PathBuf]) -> Vec<Finding> {
    let entries: BTreeSet<String> = tracked
        .iter()
        .filter_map(|path| path.iter().next())
        .map(|first| first.to_string_lossy().into_owned())
        .collect();
    entries
        .into_iter()
        .filter(|entry| !entry.starts_with('.') && !ALLOWED.contains(&entry.as_str()))
        .map(|entry| Finding {
            place: entry,
            fault: "does not belong to the top level".to_owned(),
            remedy: "put it into the room it belongs to, or make a tool's configuration a dot-file",
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stray_entry_is_named_once_and_dot_files_are_free() {
        let paths = [
            "README.md",
            "tools/a.rs",
            ".ci/run",
            "docs/a.md",
            "docs/b.md",
        ]
        .map(PathBuf::from);
        let findings = check(&paths);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].place, "docs");
    }
}
