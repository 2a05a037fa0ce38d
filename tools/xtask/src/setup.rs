//! Install the Debian packages that a build needs.
//!
//! Nothing missing means nothing printed and no network: `dpkg-query` answers
//! in milliseconds, so every other command begins with this.

pub(crate) mod bitcoind;
pub(crate) mod electrum;
pub(crate) mod electrumx;
pub(crate) mod embit;
mod python;

use std::{collections::BTreeSet, path::Path, process::Command};

use anyhow::{Context, Result, bail};

use crate::command::{execute, exists, output, say};

/// A package that the build needs, and why.
struct Need {
    package: &'static str,
    why: &'static str,
}

const NEEDS: [Need; 5] = [
    Need {
        package: "g++",
        why: "compiles RocksDB, the store of every node",
    },
    Need {
        package: "iproute2",
        why: "gives each node a network of its own in campaigns of faults",
    },
    Need {
        package: "libclang-dev",
        why: "generates the Rust bindings of RocksDB",
    },
    Need {
        package: "libzmq3-dev",
        why: "ZeroMQ with CURVE encryption, for gossip and bus",
    },
    Need {
        package: "pkg-config",
        why: "finds native libraries",
    },
];

/// Installs what is missing.
///
/// # Errors
/// Where a package is missing and this is not Debian, or `apt-get` fails.
pub(crate) fn packages() -> Result<()> {
    if !exists("dpkg-query") {
        if has_native_parts() {
            return Ok(());
        }
        bail!(
            "this is not a Debian system, so install these by hand (Debian's names):\n{}",
            list(&NEEDS.iter().collect::<Vec<_>>())
        );
    }
    let installed = installed()?;
    let missing: Vec<&Need> = NEEDS
        .iter()
        .filter(|need| !installed.contains(need.package))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    say("Installing Debian packages that the build needs");
    eprintln!("{}", list(&missing));
    install(&missing.iter().map(|need| need.package).collect::<Vec<_>>())
}

fn list(needs: &[&Need]) -> String {
    needs
        .iter()
        .map(|need| format!("    {:14} {}", need.package, need.why))
        .collect::<Vec<_>>()
        .join("\n")
}

/// On another system the user may already have followed our advice: a C++
/// compiler and the ZeroMQ header are what can be looked for cheaply.
fn has_native_parts() -> bool {
    exists("c++")
        && exists("pkg-config")
        && Command::new("pkg-config")
            .args(["--exists", "libzmq"])
            .status()
            .is_ok_and(|status| status.success())
}

/// Names of all packages that are installed, without architecture.
fn installed() -> Result<BTreeSet<String>> {
    let text = output(
        Command::new("dpkg-query")
            .args(["--show", "--showformat=${db:Status-Status} ${Package}\n"]),
    )?;
    Ok(parse_installed(&text))
}

fn parse_installed(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("installed "))
        .map(str::to_owned)
        .collect()
}

fn install(packages: &[&str]) -> Result<()> {
    execute(apt_get().arg("update").arg("--quiet"))
        .context("apt-get update failed: is this machine online?")?;
    execute(
        apt_get()
            .args(["install", "--yes", "--quiet", "--no-install-recommends"])
            .args(packages),
    )
    .context("apt-get could not install what the build needs")
}

/// `apt-get`, through `sudo` where we are not root.
fn apt_get() -> Command {
    let mut command = if is_root() {
        Command::new("apt-get")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("apt-get");
        sudo
    };
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// Whether `path` holds exactly `text`; what a stamp file is for.
fn stamped(path: &Path, text: &str) -> bool {
    std::fs::read_to_string(path).is_ok_and(|found| found == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_was_removed_counts_as_missing() {
        let found = parse_installed("installed g++\nconfig-files pkg-config\nnot-installed zsh\n");
        assert!(found.contains("g++"));
        assert!(!found.contains("pkg-config"));
        assert!(!found.contains("zsh"));
    }

    #[test]
    fn the_advice_names_every_package_and_its_reason() {
        let text = list(&NEEDS.iter().collect::<Vec<_>>());
        for need in &NEEDS {
            assert!(text.contains(need.package) && text.contains(need.why));
        }
    }
}
