//! Where things are: the checkout, the cache folder and the build folder.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// The folders that the commands work in.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Root of the checkout.
    pub(crate) root: PathBuf,
    /// What is expensive to make and safe to delete.
    pub(crate) cache: PathBuf,
    /// Where cargo builds.
    pub(crate) target: PathBuf,
}

impl Place {
    /// Works out the folders from the environment.
    ///
    /// # Errors
    /// Where neither `XDG_CACHE_HOME` nor `HOME` is set.
    pub(crate) fn find() -> Result<Self> {
        // Asked of cargo when it runs us, not when it compiled us: checkouts
        // that share a build folder share this program, too. The manifest
        // folder is `tools/xtask`, two below the root.
        let manifest =
            variable("CARGO_MANIFEST_DIR").context("run this as `cargo xtask`, not by hand")?;
        let root = Path::new(&manifest)
            .ancestors()
            .nth(2)
            .context("xtask is not two folders below the root of the checkout")?
            .to_path_buf();
        let cache = cache(variable("XDG_CACHE_HOME"), variable("HOME"))?;
        let target = target(variable("CARGO_TARGET_DIR"), variable("CI"), &cache, &root);
        Ok(Self {
            root,
            cache,
            target,
        })
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn cache(xdg: Option<String>, home: Option<String>) -> Result<PathBuf> {
    let base = match (xdg, home) {
        (Some(xdg), _) => PathBuf::from(xdg),
        (None, Some(home)) => PathBuf::from(home).join(".cache"),
        (None, None) => {
            anyhow::bail!("set HOME or XDG_CACHE_HOME, so that there is a cache folder")
        }
    };
    Ok(base.join("dctrl"))
}

/// CI checks out afresh each time, and `RocksDB` alone takes minutes to
/// compile: so CI builds outside the checkout, where the last run's build is.
fn target(chosen: Option<String>, ci: Option<String>, cache: &Path, root: &Path) -> PathBuf {
    match (chosen, ci) {
        (Some(chosen), _) => root.join(chosen),
        (None, Some(ci)) if ci != "false" && ci != "0" => cache.join("target"),
        (None, _) => root.join("target"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn ci_builds_outside_the_checkout_unless_told_otherwise() {
        let (cache, root) = (Path::new("/c"), Path::new("/r"));
        assert_eq!(
            target(None, some("true"), cache, root),
            Path::new("/c/target")
        );
        assert_eq!(
            target(None, some("false"), cache, root),
            Path::new("/r/target")
        );
        assert_eq!(target(None, None, cache, root), Path::new("/r/target"));
        assert_eq!(target(some("/t"), some("1"), cache, root), Path::new("/t"));
        assert_eq!(target(some("t"), None, cache, root), Path::new("/r/t"));
    }

    #[test]
    fn the_cache_follows_the_desktop_convention_and_needs_a_home() {
        assert_eq!(
            cache(some("/x"), some("/h")).expect("xdg"),
            Path::new("/x/dctrl")
        );
        assert_eq!(
            cache(None, some("/h")).expect("home"),
            Path::new("/h/.cache/dctrl")
        );
        assert!(cache(None, None).is_err());
    }
}
