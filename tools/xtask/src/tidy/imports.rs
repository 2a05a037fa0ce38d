//! Who may import whom: the import table of the architecture.
//!
//! Only `[dependencies]` count. A test may drive what its room may not import,
//! but a room's product code may not.

use anyhow::Result;
use cargo_metadata::{DependencyKind, MetadataCommand};

use super::Finding;
use crate::place::Place;

/// A crate of ours and the crates of ours it may import.
struct Row {
    name: &'static str,
    may: &'static [&'static str],
}

const fn row(name: &'static str, may: &'static [&'static str]) -> Row {
    Row { name, may }
}

/// What a crate that writes to a disk may import whatever else it may: the
/// crash points. The pure crates write nothing.
const FOR_WRITERS: &str = "dctrl-crash";
const PURE: [&str; 4] = [
    "dctrl-consensus",
    "dctrl-ledger",
    "dctrl-proto",
    "dctrl-wallet",
];

const TABLE: [Row; 20] = [
    row("dctrl-crash", &[]),
    row("dctrl-proto", &[]),
    row("dctrl-consensus", &[]),
    row("dctrl-settings", &[]),
    // Pure: how the wallet's transactions are built and checked, for whoever
    // orders them and for whoever signs them.
    row("dctrl-wallet", &[]),
    row("dctrl-ledger", &["dctrl-proto", "dctrl-wallet"]),
    row("dctrl-access", &["dctrl-proto"]),
    row(
        "dctrl-store",
        &["dctrl-proto", "dctrl-ledger", "dctrl-consensus"],
    ),
    row(
        "dctrl-net",
        &["dctrl-proto", "dctrl-access", "dctrl-consensus"],
    ),
    row(
        "dctrl-follow",
        &["dctrl-proto", "dctrl-access", "dctrl-consensus"],
    ),
    row(
        "dctrl-effects",
        &[
            "dctrl-proto",
            "dctrl-access",
            "dctrl-consensus",
            "dctrl-ledger",
            "dctrl-store",
            "dctrl-follow",
        ],
    ),
    row(
        "dctrl-api",
        &[
            "dctrl-proto",
            "dctrl-access",
            "dctrl-consensus",
            "dctrl-ledger",
            "dctrl-store",
        ],
    ),
    row(
        "dctrl-node",
        &[
            "dctrl-proto",
            "dctrl-access",
            "dctrl-consensus",
            "dctrl-settings",
            "dctrl-ledger",
            "dctrl-store",
            "dctrl-net",
            "dctrl-follow",
            "dctrl-effects",
            "dctrl-api",
        ],
    ),
    row(
        "dctrl-agent",
        &[
            "dctrl-proto",
            "dctrl-access",
            "dctrl-consensus",
            "dctrl-follow",
            "dctrl-settings",
        ],
    ),
    row(
        "dctrl-cli",
        &[
            "dctrl-proto",
            "dctrl-access",
            "dctrl-consensus",
            "dctrl-settings",
            "dctrl-wallet",
        ],
    ),
    row("xtask", &[]),
    // These import what they drive.
    row(
        "dctrl-benches",
        &[
            "dctrl-proto",
            "dctrl-access",
            "dctrl-consensus",
            "dctrl-ledger",
        ],
    ),
    row(
        "dctrl-testnet",
        &[
            "dctrl-proto",
            "dctrl-access",
            "dctrl-consensus",
            "dctrl-effects",
            "dctrl-follow",
            "dctrl-agent",
        ],
    ),
    row("dctrl-model", &["dctrl-consensus"]),
    row(
        "dctrl-sim",
        &[
            "dctrl-proto",
            "dctrl-access",
            "dctrl-consensus",
            "dctrl-ledger",
            "dctrl-effects",
            "dctrl-follow",
            "dctrl-agent",
        ],
    ),
];

/// A dependency of one workspace member on another.
#[derive(Debug)]
pub(super) struct Edge {
    from: String,
    to: String,
}

/// The members of the workspace and what each imports of ours. A member
/// without imports gives one edge to itself, so that it is known to exist.
///
/// # Errors
/// Where cargo cannot read the workspace.
pub(super) fn edges(place: &Place) -> Result<Vec<Edge>> {
    let metadata = MetadataCommand::new()
        .current_dir(&place.root)
        .no_deps()
        .exec()?;
    let mut edges = Vec::new();
    for package in &metadata.packages {
        let from = package.name.to_string();
        edges.push(Edge {
            from: from.clone(),
            to: from.clone(),
        });
        for dependency in &package.dependencies {
            if dependency.path.is_some() && dependency.kind == DependencyKind::Normal {
                edges.push(Edge {
                    from: from.clone(),
                    to: dependency.name.clone(),
                });
            }
        }
    }
    Ok(edges)
}

/// Findings for every import that the table does not allow.
pub(super) fn check(edges: &[Edge]) -> Vec<Finding> {
    edges
        .iter()
        .filter_map(
            |edge| match TABLE.iter().find(|row| row.name == edge.from) {
                None if edge.from == edge.to => Some(Finding {
                    place: edge.from.clone(),
                    fault: "is a crate that the import table does not know".to_owned(),
                    remedy: "prefer a module; where an import must be impossible, add a row to \
                         tools/xtask/src/tidy/imports.rs and to the README's table",
                }),
                Some(row) if edge.from != edge.to && !allows(row, &edge.to) => Some(Finding {
                    place: edge.from.clone(),
                    fault: format!("may not import {}", edge.to),
                    remedy: "neighbours meet in `node`: hand over a channel or a closure there, \
                             or move the shared type down to proto or consensus",
                }),
                _ => None,
            },
        )
        .collect()
}

fn allows(row: &Row, to: &str) -> bool {
    row.may.contains(&to) || (to == FOR_WRITERS && !PURE.contains(&row.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: &str, to: &str) -> Edge {
        Edge {
            from: from.to_owned(),
            to: to.to_owned(),
        }
    }

    #[test]
    fn neighbours_may_not_import_each_other() {
        let findings = check(&[
            edge("dctrl-net", "dctrl-api"),
            edge("dctrl-api", "dctrl-ledger"),
        ]);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].place, "dctrl-net");
    }

    #[test]
    fn the_pure_crates_import_nothing_of_ours() {
        assert_eq!(check(&[edge("dctrl-consensus", "dctrl-proto")]).len(), 1);
        assert!(check(&[edge("dctrl-consensus", "dctrl-consensus")]).is_empty());
    }

    #[test]
    fn crash_points_are_for_whoever_writes_and_not_for_the_pure() {
        assert!(check(&[edge("dctrl-store", "dctrl-crash")]).is_empty());
        assert_eq!(check(&[edge("dctrl-ledger", "dctrl-crash")]).len(), 1);
    }

    #[test]
    fn a_new_crate_needs_a_row() {
        assert_eq!(check(&[edge("dctrl-utils", "dctrl-utils")]).len(), 1);
    }
}
