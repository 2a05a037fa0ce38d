//! Fetch ElectrumX, a real Electrum server for the tests of that backend.
//!
//! It goes into a Python environment of its own in the cache folder; the
//! machine stays as it is.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use super::{python, stamped};
use crate::{
    command::{execute, exists, say},
    place::Place,
};

/// The last version that works with a bitcoind before 31, and its store.
const PACKAGES: [&str; 2] = ["e-x==1.19.0", "plyvel"];

/// Raise it when the way of installing changes: an older folder is made anew.
const STAMP: &str = "dctrl electrumx 1\n";

/// Makes sure that there is an ElectrumX; its program.
///
/// # Errors
/// Where there is no Python with venv, or the machine is offline.
pub(crate) fn install(place: &Place) -> Result<PathBuf> {
    let home = place.cache.join("electrumx");
    let (stamp, environment) = (home.join("stamp"), home.join("environment"));
    let program = environment.join("bin/electrumx_server");
    if stamped(&stamp, STAMP) {
        return Ok(program);
    }
    ensure!(exists("python3"), "python3 is not here");
    say("Fetching ElectrumX, an Electrum server for tests");
    // A folder that a stopped run left half made is made anew.
    if home.exists() {
        fs::remove_dir_all(&home).with_context(|| format!("cannot clear {}", home.display()))?;
    }
    fs::create_dir_all(&home)?;
    python::environment(&environment, &PACKAGES)?;
    execute(
        Command::new(environment.join("bin/python"))
            .args(["-c", "import electrumx, plyvel"])
            .stdout(Stdio::null()),
    )
    .context("the ElectrumX that was fetched does not run")?;
    fs::write(&stamp, STAMP)?;
    say(&format!("ElectrumX is ready: {}", program.display()));
    Ok(program)
}
