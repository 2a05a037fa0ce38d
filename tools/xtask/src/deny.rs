//! Advisories, licences, bans and sources, judged by cargo-deny.
//!
//! Compiling cargo-deny takes minutes, so `cargo xtask deny` installs it on
//! demand and `cargo xtask test` uses it only where it is already there.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{
    build::cargo,
    command::{execute, say},
    place::Place,
};

/// Runs all checks, installing cargo-deny where it is missing.
///
/// # Errors
/// Where a check refuses, or cargo-deny cannot be installed.
pub(crate) fn run(place: &Place) -> Result<()> {
    if !available(place) {
        say("Compiling cargo-deny once (several minutes)");
        run_install(place)?;
    }
    check(place, &["advisories", "bans", "licenses", "sources"])
}

fn run_install(place: &Place) -> Result<()> {
    execute(cargo(place).args(["install", "--locked", "cargo-deny"]))
        .context("cargo-deny could not be installed")
}

/// Whether cargo-deny is installed.
pub(crate) fn available(place: &Place) -> bool {
    cargo(place)
        .args(["deny", "--version"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The checks that need no network, for every test run.
///
/// # Errors
/// Where a check refuses.
pub(crate) fn offline(place: &Place) -> Result<()> {
    check(place, &["bans", "licenses", "sources"])
}

fn check(place: &Place, what: &[&str]) -> Result<()> {
    let mut command: Command = cargo(place);
    // The rules are found by their name, .deny.toml.
    command.args(["deny", "check"]).args(what);
    execute(&mut command)
}
