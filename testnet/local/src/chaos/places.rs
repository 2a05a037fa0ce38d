//! The named places at which programs let themselves be killed
//! (`DCTRL_CRASH`).

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::programs::Programs;

/// The variable that names one.
pub(super) const VARIABLE: &str = "DCTRL_CRASH";

/// Most places that a program may name.
const PLACES_MAX: usize = 1_000;

/// Those of the node, as it says itself.
///
/// # Errors
/// Where it does not.
pub(super) fn of_node(programs: &Programs) -> Result<Vec<String>> {
    let said = Command::new(programs.node())
        .arg("crash-points")
        .output()
        .context("the node's program does not start")?;
    let text = String::from_utf8(said.stdout)?;
    let places: Vec<String> = text.lines().map(str::to_owned).collect();
    ensure!(
        said.status.success() && (1..=PLACES_MAX).contains(&places.len()),
        "`dctrl-node crash-points` names {} places",
        places.len()
    );
    Ok(places)
}
