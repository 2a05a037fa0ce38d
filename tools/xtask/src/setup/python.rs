//! Python environments in the cache folder, so that the machine's own Python
//! stays as it is.

use std::{path::Path, process::Command};

use anyhow::{Context, Result};

use crate::command::execute;

/// Makes an environment in `folder` with these packages, as pip names them.
///
/// # Errors
/// Where Python or its venv is missing, or the machine is offline.
pub(super) fn environment(folder: &Path, packages: &[&str]) -> Result<()> {
    execute(Command::new("python3").args(["-m", "venv"]).arg(folder))
        .context("cannot make a Python environment: is python3-venv installed?")?;
    execute(
        Command::new(folder.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet"])
            .arg("--disable-pip-version-check")
            .args(packages),
    )
    .with_context(|| format!("cannot install {}", packages.join(", ")))
}
