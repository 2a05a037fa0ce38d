//! Fetch embit, an implementation of descriptors and PSBTs in Python that
//! shares no line with ours, into an environment of its own.

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

/// Its release, pinned: what it says is compared with what we say.
const PACKAGE: &str = "embit==0.8.0";

/// Raise it when the package or the way of installing changes.
const STAMP: &str = "dctrl embit 1\n";

/// Makes sure that there is a Python that can import embit; its path.
///
/// # Errors
/// Where Python is missing or the machine is offline.
pub(crate) fn install(place: &Place) -> Result<PathBuf> {
    let home = place.cache.join("embit");
    let stamp = home.join("stamp");
    let environment = home.join("environment");
    let program = environment.join("bin/python");
    if stamped(&stamp, STAMP) {
        return Ok(program);
    }
    ensure!(exists("python3"), "python3 is not here");
    say("Fetching embit, an independent implementation");
    // A folder that a stopped run left half made is made anew.
    if home.exists() {
        fs::remove_dir_all(&home).with_context(|| format!("cannot clear {}", home.display()))?;
    }
    fs::create_dir_all(&home)?;
    python::environment(&environment, &[PACKAGE])?;
    execute(
        Command::new(&program)
            .args(["-c", "import embit.psbt"])
            .stdout(Stdio::null()),
    )
    .context("the embit that was fetched does not run")?;
    fs::write(&stamp, STAMP)?;
    say(&format!("embit is ready: {}", program.display()));
    Ok(program)
}
