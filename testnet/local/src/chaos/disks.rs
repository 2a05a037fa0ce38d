//! The disks that nodes and the agent live on: volumes in memory, mounted with
//! FUSE.
//!
//! What a disk holds outlives its power cut, not the campaign, which mounts it
//! where nobody else sees it ([`super::apart`]).

mod mount;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use fuser::{BackgroundSession, MountOption};

use self::mount::Mounted;
use super::volume::{Keep, Volume};
use crate::{federation::Federation, random::Random};

/// Bytes of one disk.
const CAPACITY: u64 = 4 << 30;

/// Bytes that a full disk still takes, so that it fills up in the middle of
/// something.
const LAST_BYTES: u64 = 64 << 10;

/// Disks of a hundred that keep new names only when their folder is synced.
const STRICT: u64 = 30;

/// What a disk does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// It takes no more bytes.
    Full,
    /// Every write and sync fails.
    Fails,
    /// Every sync takes so many milliseconds longer.
    Slow(u64),
}

/// A disk as its owner and the kernel share it.
#[derive(Debug)]
struct Disk {
    volume: Mutex<Volume>,
    trouble: Mutex<Trouble>,
}

/// All disks: the nodes', and the agent's after them. Dropping them unmounts.
pub(super) struct Disks {
    disks: Vec<Arc<Disk>>,
    _sessions: Vec<BackgroundSession>,
}

impl Disks {
    /// Puts every node's folder and the agent's journal on a disk of its own.
    ///
    /// # Errors
    /// Where a disk cannot be mounted.
    pub(super) fn mount(federation: &Federation, seed: u64) -> Result<Self> {
        let mut random = Random::part(seed, "disks");
        let nodes = (0..federation.len()).map(|node| federation.node_dir(node));
        let journal = federation.agent_dir().join("journal");
        fs::create_dir_all(&journal)?;
        let (mut disks, mut sessions) = (Vec::new(), Vec::new());
        for folder in nodes.chain([journal]) {
            let (disk, session) = replace(&folder, random.chance(STRICT))
                .with_context(|| format!("no disk for {}", folder.display()))?;
            disks.push(disk);
            sessions.push(session);
        }
        Ok(Self {
            disks,
            _sessions: sessions,
        })
    }

    /// Cuts the power of one disk, whose users are gone.
    pub(super) fn cut(&self, disk: usize, keep: Keep, random: &mut Random) {
        if let Some(disk) = self.disks.get(disk) {
            disk.volume().cut(keep, random);
        }
    }

    /// Lets a disk do something wrong.
    pub(super) fn trouble(&self, disk: usize, trouble: Trouble) {
        if let Some(disk) = self.disks.get(disk) {
            disk.set(trouble);
        }
    }

    /// Lets all disks be good again.
    pub(super) fn mend(&self) {
        for disk in &self.disks {
            disk.set(Trouble::None);
        }
    }
}

impl Disk {
    fn volume(&self) -> MutexGuard<'_, Volume> {
        self.volume.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> Trouble {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, trouble: Trouble) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        let mut volume = self.volume();
        let capacity = match trouble {
            Trouble::Full => volume.used() + LAST_BYTES,
            _ => CAPACITY,
        };
        volume.resize(capacity);
    }
}

/// Mounts a disk over a folder; what the folder holds is on it, synced.
fn replace(folder: &Path, strict: bool) -> Result<(Arc<Disk>, BackgroundSession)> {
    let held = read_all(folder, Path::new(""))?;
    let disk = Arc::new(Disk {
        volume: Mutex::new(Volume::new(CAPACITY, strict)),
        trouble: Mutex::default(),
    });
    let mut config = fuser::Config::default();
    config.mount_options = vec![MountOption::FSName("dctrl-chaos".to_owned())];
    let session = fuser::spawn_mount(Mounted(disk.clone()), folder, &config)?;
    for (path, content, mode) in held {
        let path = folder.join(path);
        match content {
            None => fs::create_dir(&path)?,
            Some(bytes) => fs::write(&path, bytes)?,
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    disk.volume().sync_all();
    Ok((disk, session))
}

type Held = (PathBuf, Option<Vec<u8>>, u32);

/// Everything below a folder, folders before what they hold.
fn read_all(folder: &Path, within: &Path) -> Result<Vec<Held>> {
    let mut held = Vec::new();
    for entry in fs::read_dir(folder.join(within))? {
        let entry = entry?;
        let path = within.join(entry.file_name());
        let meta = entry.metadata()?;
        let mode = meta.permissions().mode() & 0o777;
        if meta.is_dir() {
            held.push((path.clone(), None, mode));
            held.extend(read_all(folder, &path)?);
        } else {
            held.push((path, Some(fs::read(entry.path())?), mode));
        }
    }
    Ok(held)
}

/// Mounts a disk, and uses it.
///
/// # Errors
/// Where that does not work.
pub(super) fn probe() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (_disk, session) = replace(folder.path(), false)?;
    let file = folder.path().join("probe");
    fs::write(&file, b"dctrl")?;
    let read = fs::read(&file)?;
    session.umount_and_join()?;
    anyhow::ensure!(read == b"dctrl", "a file on it is not what was written");
    Ok(())
}

/// Longest that one sync is held up.
const SLOW_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_below_a_folder_is_read_folders_first() {
        let folder = tempfile::tempdir().expect("folder");
        fs::create_dir(folder.path().join("data")).expect("made");
        fs::write(folder.path().join("data/file"), b"x").expect("written");
        let held = read_all(folder.path(), Path::new("")).expect("read");
        let paths: Vec<_> = held.iter().map(|(path, ..)| path.clone()).collect();
        assert_eq!(paths, [Path::new("data"), Path::new("data/file")]);
        assert_eq!(held[1].1.as_deref(), Some(b"x".as_slice()));
    }

    #[test]
    fn a_full_disk_takes_a_little_more_and_a_mended_one_everything() {
        let disk = Disk {
            volume: Mutex::new(Volume::new(CAPACITY, false)),
            trouble: Mutex::default(),
        };
        disk.set(Trouble::Full);
        assert_eq!(disk.volume().capacity(), LAST_BYTES);
        disk.set(Trouble::None);
        assert_eq!(disk.volume().capacity(), CAPACITY);
    }
}
