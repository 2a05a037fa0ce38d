//! The house rules that no compiler knows; each finding prints its remedy.

mod files;
mod imports;
mod top_level;

use std::{fmt, path::PathBuf};

use anyhow::{Result, bail};

use crate::{command::output, place::Place};

/// A rule that does not hold somewhere, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    place: String,
    fault: String,
    remedy: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}\n    remedy: {}",
            self.place, self.fault, self.remedy
        )
    }
}

/// Checks all rules.
///
/// # Errors
/// Where one does not hold.
pub(crate) fn run(place: &Place) -> Result<()> {
    let tracked = tracked(place)?;
    let mut findings = imports::check(&imports::edges(place)?);
    findings.extend(top_level::check(&tracked));
    for path in &tracked {
        // A deleted file is still listed until the deletion is committed.
        if let Ok(text) = std::fs::read_to_string(place.root.join(path)) {
            findings.extend(files::check(&path.to_string_lossy(), &text));
        }
    }
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} house rules are broken", findings.len());
    }
    println!("tidy: {} files keep the house rules", tracked.len());
    Ok(())
}

/// The files of the project, as git knows them: built files do not count.
fn tracked(place: &Place) -> Result<Vec<PathBuf>> {
    let text = output(
        std::process::Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard"])
            .current_dir(&place.root),
    )?;
    Ok(text.lines().map(PathBuf::from).collect())
}
