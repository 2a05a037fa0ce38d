//! Refuse new work before the disk is full, and take it again by itself.
//!
//! A node whose disk is full can neither finish nor say so, hence two lines of
//! defence. Below the *reserve* the node takes no new work: `node.disk_full`,
//! the same on every transport. It still follows, so the disk may go on
//! filling; below half of the reserve the *ballast*, a file that is there for
//! this, is removed. When a write fails in spite of both, the process ends
//! (`pipeline::PipelineError::Store`) and nothing half done was acknowledged.
//!
//! Units: bytes that this user may still write. Deliberately absent: removing
//! anything of worth.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use nix::{
    fcntl::{FallocateFlags, fallocate},
    sys::statvfs::statvfs,
};

/// Name of the ballast in the data folder.
const BALLAST: &str = "ballast";
/// Its length: enough for RocksDB to write its files and for two segments.
const BALLAST_BYTES: u64 = 64 << 20;
/// Share of the file system that is kept free, and the most that this means.
const RESERVE_SHARE: u64 = 20;
const RESERVE_BYTES_MAX: u64 = 2 << 30;
/// Between two looks: a flood writes some 100 MiB in a second.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is known of the disk. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Space(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    full: AtomicBool,
    free: AtomicU64,
}

impl Space {
    /// Whether no new work is taken: one relaxed load.
    #[must_use]
    pub(crate) fn is_full(&self) -> bool {
        self.0.full.load(Ordering::Relaxed)
    }

    /// What a person should know, if anything.
    #[must_use]
    pub(crate) fn trouble(&self) -> Option<String> {
        let free = self.0.free.load(Ordering::Relaxed) >> 20;
        let sentence = || {
            format!(
                "the disk is nearly full: {free} MiB are free, and no new work is taken until \
                 there is room"
            )
        };
        self.is_full().then(sentence)
    }

    /// Takes note of a look; whether something changed.
    fn note(&self, free: u64, reserve: u64) -> bool {
        self.0.free.store(free, Ordering::Relaxed);
        let was = self.is_full();
        // Back only with something to spare, so that it does not flicker.
        let line = if was { reserve + reserve / 4 } else { reserve };
        let full = free < line;
        self.0.full.store(full, Ordering::Relaxed);
        full != was
    }
}

/// Looks after the disk under a folder.
#[derive(Debug, Clone)]
pub(crate) struct Warden {
    space: Space,
    folder: PathBuf,
    reserve_bytes_min: u64,
}

impl Warden {
    /// Of the data folder, which must exist; looks once.
    ///
    /// # Errors
    /// Where the file system does not say how full it is.
    pub(crate) fn start(folder: &Path, reserve_bytes_min: u64) -> io::Result<Self> {
        let warden = Self {
            space: Space::default(),
            folder: folder.to_owned(),
            reserve_bytes_min,
        };
        warden.look()?;
        Ok(warden)
    }

    /// What it knows.
    pub(crate) fn space(&self) -> Space {
        self.space.clone()
    }

    /// Looks again and again; the caller ends it.
    pub(crate) async fn run(self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let own = self.clone();
            // A disk that is ill may let this wait.
            let looked = tokio::task::spawn_blocking(move || own.look()).await;
            if let Ok(Err(error)) = looked {
                tracing::warn!(%error, "the disk does not say how full it is");
            }
        }
    }

    fn look(&self) -> io::Result<()> {
        let (free, size) = measure(&self.folder)?;
        let reserve = reserve(size, self.reserve_bytes_min);
        if self.space.note(free, reserve) {
            if self.space.is_full() {
                tracing::error!(
                    free,
                    reserve,
                    "the disk is nearly full: no new work is taken"
                );
            } else {
                tracing::info!(free, reserve, "there is room again: work is taken");
            }
        }
        // A node without ballast is worse off, but works.
        if let Err(error) = self.trim(free, reserve) {
            tracing::warn!(%error, "the ballast cannot be made or thrown off");
        }
        Ok(())
    }

    /// Gives the ballast up where the disk is all but full, and makes it where
    /// there is plenty.
    fn trim(&self, free: u64, reserve: u64) -> io::Result<()> {
        let path = self.folder.join(BALLAST);
        match path.exists() {
            true if free < reserve / 2 => {
                tracing::warn!(free, "the ballast is thrown off");
                fs::remove_file(&path)?;
                dctrl_crash::point("node.ballast.removed");
            }
            false if free >= reserve + reserve / 4 + BALLAST_BYTES => {
                dctrl_crash::fallible("node.ballast.before")?;
                let file = File::create(&path)?;
                let length = i64::try_from(BALLAST_BYTES).map_err(io::Error::other)?;
                let made = fallocate(&file, FallocateFlags::empty(), 0, length);
                if let Err(error) = made {
                    // A part of it is of no use.
                    fs::remove_file(&path)?;
                    return Err(error.into());
                }
                dctrl_crash::point("node.ballast.made");
            }
            _ => {}
        }
        Ok(())
    }
}

/// Bytes that are free for this user, and that there are.
fn measure(folder: &Path) -> io::Result<(u64, u64)> {
    let found = statvfs(folder)?;
    let unit = found.fragment_size();
    Ok((found.blocks_available() * unit, found.blocks() * unit))
}

fn reserve(size: u64, min: u64) -> u64 {
    (size / RESERVE_SHARE).min(RESERVE_BYTES_MAX).max(min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_refused_below_the_reserve_and_taken_again_only_with_room_to_spare() {
        let space = Space::default();
        assert!(!space.note(100, 100) && space.trouble().is_none());
        assert!(space.note(99, 100) && space.is_full());
        assert!(space.trouble().is_some_and(|text| text.contains("0 MiB")));
        assert!(!space.note(124, 100), "it would flicker");
        assert!(space.note(125, 100) && !space.is_full());
    }

    #[test]
    fn the_reserve_is_a_share_within_bounds() {
        assert_eq!(reserve(1 << 30, 128 << 20), 128 << 20);
        assert_eq!(reserve(10 << 30, 128 << 20), (10 << 30) / 20);
        assert_eq!(reserve(1 << 40, 128 << 20), RESERVE_BYTES_MAX);
    }

    #[test]
    fn the_ballast_is_made_where_there_is_plenty_and_thrown_off_in_need() {
        let folder = tempfile::tempdir().unwrap();
        let warden = Warden {
            space: Space::default(),
            folder: folder.path().to_owned(),
            reserve_bytes_min: 0,
        };
        let ballast = folder.path().join(BALLAST);
        warden.trim(100 << 20, 100 << 20).unwrap();
        assert!(!ballast.exists(), "there is no room for it");
        warden.trim(200 << 20, 100 << 20).unwrap();
        assert_eq!(fs::metadata(&ballast).unwrap().len(), BALLAST_BYTES);
        warden.trim(60 << 20, 100 << 20).unwrap();
        assert!(ballast.exists(), "refusing work comes first");
        warden.trim(49 << 20, 100 << 20).unwrap();
        assert!(!ballast.exists());
    }
}
