//! Where the programs that are driven lie.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

/// Names the folder of the programs, where it is not found by itself.
pub(crate) const PROGRAMS: &str = "DCTRL_PROGRAMS";

/// Names the folder of `bitcoind` and `bitcoin-cli`.
pub(crate) const BITCOIND: &str = "DCTRL_BITCOIND";

/// The folder of `dctrl-node`, `dctrl` and `dctrl-agent`.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// The programs in `folder`.
    ///
    /// # Errors
    /// Where one of them is missing.
    pub fn new(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        for name in ["dctrl-node", "dctrl", "dctrl-agent"] {
            ensure!(
                folder.join(name).is_file(),
                "{name} is not in {}: run `cargo build --workspace --bins` first",
                folder.display()
            );
        }
        Ok(Self { folder })
    }

    /// The programs that the environment names, or else those that cargo built
    /// beside the running program.
    ///
    /// # Errors
    /// Where they are not found.
    pub fn find() -> Result<Self> {
        if let Some(folder) = env::var_os(PROGRAMS) {
            return Self::new(folder);
        }
        let own = env::current_exe().context("the own program's path is not known")?;
        let folder = own.parent().context("the own program has no folder")?;
        // Cargo puts tests one folder deeper.
        let folder = if folder.ends_with("deps") {
            folder.parent().unwrap_or(folder)
        } else {
            folder
        };
        Self::new(folder)
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> PathBuf {
        self.folder.join("dctrl-node")
    }

    /// The command line.
    #[must_use]
    pub fn cli(&self) -> PathBuf {
        self.folder.join("dctrl")
    }

    /// The driver of federations, this program's own crate.
    ///
    /// # Errors
    /// Where it was not built beside the others.
    pub fn testnet(&self) -> Result<PathBuf> {
        let program = self.folder.join("dctrl-testnet");
        ensure!(program.is_file(), "there is no {}", program.display());
        Ok(program)
    }

    /// The machine's agent.
    #[must_use]
    pub fn agent(&self) -> PathBuf {
        self.folder.join("dctrl-agent")
    }
}

/// The folder of `bitcoind`: what the environment names, or where
/// `cargo xtask setup bitcoind` puts it.
///
/// # Errors
/// Where there is none.
pub fn bitcoind() -> Result<PathBuf> {
    let folder = env::var_os(BITCOIND)
        .map(PathBuf::from)
        .or_else(|| {
            let cache = env::var_os("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))?;
            Some(cache.join("dctrl/bitcoind/bin"))
        })
        .context("neither DCTRL_BITCOIND nor HOME is set")?;
    ensure!(
        folder.join("bitcoind").is_file(),
        "there is no bitcoind in {}: run `cargo xtask setup bitcoind`",
        folder.display()
    );
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_programs_names_the_missing_one_and_the_remedy() {
        let folder = tempfile::tempdir().expect("folder");
        let text = Programs::new(folder.path()).expect_err("empty").to_string();
        assert!(
            text.contains("dctrl-node") && text.contains("cargo build"),
            "{text}"
        );
    }
}
