//! Which disk this node speaks from, and whether it is still the same one.
//!
//! What a node has signed is on its disk alone, so a disk that was lost, came
//! from a backup or is a copy does not know all of it, and must not speak for
//! the node's seat before the others have ordered that it counts from now on
//! (`renewal`). Two small files tell: the *mark* in the data folder and the
//! *guard* beside the key. Both name the instance, the number of the disk; the
//! mark names its own inode and time of birth, too, which no copy takes along.
//!
//! | mark | guard | then |
//! | --- | --- | --- |
//! | where it was made | any | the same disk: its instance |
//! | none, and no data | none | a first disk: instance 0 |
//! | else | | another disk: a number is drawn |
//!
//! A disk that was set back beneath the file system, as by a snapshot of a
//! virtual machine, looks the same here. For that one the consensus core asks a
//! quorum at each start what it knows of this node; where that is more than the
//! disk holds, the disk is made another one, too.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use dctrl_consensus::crypto::sha256;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Name of the mark in the data folder.
pub(crate) const MARK: &str = "instance";
/// What the guard's name adds to that of the key file.
const GUARD_SUFFIX: &str = ".instance";
const KIND: &str = "dctrl/instance/2";
/// Before the check was in it.
const KIND_1: &str = "dctrl/instance/1";
const CHECK_DOMAIN: &[u8] = b"dctrl/instance-check/1\0";
/// Crash points of the two: half written, whole, synced, in place.
const MARK_POINTS: [&str; 4] = [
    "node.mark.half_written",
    "node.mark.written",
    "node.mark.synced",
    "node.mark.named",
];
const GUARD_POINTS: [&str; 4] = [
    "node.guard.half_written",
    "node.guard.written",
    "node.guard.synced",
    "node.guard.named",
];
/// Longest file that is read, bytes.
const FILE_BYTES_MAX: u64 = 4096;

/// Why it cannot be told which disk this is.
#[derive(Debug, Error)]
#[error("cannot use {path}, by which the node knows its disk again: {source}")]
pub struct DiskError {
    path: PathBuf,
    source: io::Error,
}

/// What both files hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    kind: String,
    /// Hexadecimal, 16 digits.
    instance: String,
    /// Of the mark.
    inode: u64,
    /// When the mark was made, nanoseconds since the Unix epoch; 0 where the
    /// file system does not say.
    born_ns: u64,
    /// Over the others; none in files of the kind before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    check: Option<String>,
}

impl Stored {
    fn sum(&self) -> String {
        let text = format!("{} {} {}", self.instance, self.inode, self.born_ns);
        hex::encode(&sha256(CHECK_DOMAIN, &[text.as_bytes()]).0[..8])
    }

    /// Whether it is what was written.
    fn is_whole(&self) -> bool {
        match self.kind.as_str() {
            KIND => self.check.as_ref() == Some(&self.sum()),
            KIND_1 => self.check.is_none(),
            _ => false,
        }
    }
}

/// What is wrong with a data folder's mark, if there is one.
pub(crate) fn damage(data: &Path) -> Option<String> {
    match read(&Disk::mark_of(data)) {
        Ok(Some(stored)) if !stored.is_whole() => {
            Some("it is damaged, so the node takes this for another disk".to_owned())
        }
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    }
}

/// The two places.
#[derive(Debug, Clone)]
pub struct Disk {
    data: PathBuf,
    guard: PathBuf,
}

impl Disk {
    /// Of the node with this data folder and key file.
    #[must_use]
    pub fn new(data: &Path, key: &Path) -> Self {
        let mut guard = key.as_os_str().to_owned();
        guard.push(GUARD_SUFFIX);
        Self {
            data: data.to_owned(),
            guard: guard.into(),
        }
    }

    /// The instance to speak as. To be called before anything else touches the
    /// data folder.
    ///
    /// # Errors
    /// Where one of the files cannot be read or written.
    pub fn recognise(&self) -> Result<u64, DiskError> {
        let (mark, guard) = (read(&self.mark())?, read(&self.guard)?);
        if let Some(instance) = mark.as_ref().and_then(|mark| self.is_in_place(mark)) {
            if mark != guard {
                replace(&self.guard, &GUARD_POINTS, |_| mark.clone())?;
            }
            return Ok(instance);
        }
        if mark.is_none() && guard.is_none() && self.is_empty()? {
            return self.write(0).map(|()| 0);
        }
        let instance = self.become_another()?;
        tracing::warn!(
            instance,
            "this is not the disk that the node spoke from before, so it only follows until the \
             others have ordered that it speaks from this one"
        );
        Ok(instance)
    }

    /// Makes this another disk than it was: the one with the number returned.
    ///
    /// # Errors
    /// Where one of the files cannot be written.
    pub fn become_another(&self) -> Result<u64, DiskError> {
        let instance = drawn();
        self.write(instance).map(|()| instance)
    }

    /// Makes this the disk with that number, whatever it was.
    ///
    /// # Errors
    /// Where one of the files cannot be written.
    pub fn write(&self, instance: u64) -> Result<(), DiskError> {
        fs::create_dir_all(&self.data).map_err(at(&self.data))?;
        let stored = replace(&self.mark(), &MARK_POINTS, |meta| {
            let mut stored = Stored {
                kind: KIND.to_owned(),
                instance: format!("{instance:016x}"),
                inode: meta.ino(),
                born_ns: born_ns(meta),
                check: None,
            };
            stored.check = Some(stored.sum());
            Some(stored)
        })?;
        // The mark first: one without a guard still tells the disk.
        replace(&self.guard, &GUARD_POINTS, |_| stored.clone()).map(|_| ())
    }

    fn mark(&self) -> PathBuf {
        Self::mark_of(&self.data)
    }

    /// The mark in a data folder.
    pub(crate) fn mark_of(data: &Path) -> PathBuf {
        data.join(MARK)
    }

    /// The mark's instance, if it lies where it was made.
    fn is_in_place(&self, mark: &Stored) -> Option<u64> {
        let meta = fs::metadata(self.mark()).ok()?;
        let same = mark.is_whole() && mark.inode == meta.ino() && mark.born_ns == born_ns(&meta);
        let instance = u64::from_str_radix(&mark.instance, 16).ok()?;
        same.then_some(instance)
    }

    fn is_empty(&self) -> Result<bool, DiskError> {
        match fs::read_dir(&self.data) {
            Ok(entries) => {
                // The root of a file system of one's own has this one.
                let of_ext = |name: &OsStr| name == "lost+found";
                let mut names = entries.filter_map(|one| Some(one.ok()?.file_name()));
                Ok(names.all(|name| of_ext(&name)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(at(&self.data)(error)),
        }
    }
}

/// A number for a disk; 0 is that of the first.
fn drawn() -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = dctrl_access::fresh_request_id();
    u64::from_be_bytes([a, b, c, d, e, f, g, h]).max(1)
}

fn born_ns(meta: &fs::Metadata) -> u64 {
    let born = meta.created().ok();
    let since = born.and_then(|born| born.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(0))
}

/// What the file holds; nothing where it is missing or not one of these.
fn read(path: &Path) -> Result<Option<Stored>, DiskError> {
    match fs::metadata(path) {
        Ok(meta) if meta.len() > FILE_BYTES_MAX => Ok(None),
        Ok(_) => {
            let bytes = fs::read(path).map_err(at(path))?;
            // What is damaged tells nothing, but that something was there.
            let damaged = || Stored {
                kind: String::new(),
                instance: String::new(),
                inode: 0,
                born_ns: 0,
                check: None,
            };
            Ok(Some(
                serde_json::from_slice(&bytes).unwrap_or_else(|_| damaged()),
            ))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}

/// Replaces the file by what `stored` makes of the new one's facts, so that a
/// crash leaves the old one or the new one. `points` are where it may crash.
fn replace(
    path: &Path,
    points: &[&str; 4],
    stored: impl FnOnce(&fs::Metadata) -> Option<Stored>,
) -> Result<Option<Stored>, DiskError> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".draft");
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let replaced = || {
        let mut file = File::create(&draft)?;
        let stored = stored(&file.metadata()?);
        let bytes = serde_json::to_vec(&stored)?;
        dctrl_crash::torn(points[0], || {
            let _ = file.write_all(&bytes[..bytes.len() / 2]);
        });
        file.write_all(&bytes)?;
        dctrl_crash::fallible(points[1])?;
        file.sync_all()?;
        dctrl_crash::point(points[2]);
        fs::rename(&draft, path)?;
        dctrl_crash::point(points[3]);
        File::open(folder)?.sync_all()?;
        Ok(stored)
    };
    replaced().map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> DiskError {
    let path = path.to_owned();
    |source| DiskError { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(home: &Path) -> Disk {
        Disk::new(&home.join("data"), &home.join("node.key"))
    }

    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy(&entry.path(), &target);
            } else {
                fs::copy(entry.path(), target).unwrap();
            }
        }
    }

    #[test]
    fn a_first_disk_is_0_and_stays_so() {
        let home = tempfile::tempdir().unwrap();
        let disk = disk(home.path());
        assert_eq!(disk.recognise().unwrap(), 0);
        fs::write(home.path().join("data/CURRENT"), "data").unwrap();
        assert_eq!(disk.recognise().unwrap(), 0);
        // The folder that holds the key may be restored from a backup.
        fs::remove_file(home.path().join("node.key.instance")).unwrap();
        assert_eq!(disk.recognise().unwrap(), 0);
        assert!(home.path().join("node.key.instance").exists());
    }

    #[test]
    fn a_file_system_of_its_own_that_is_empty_is_a_first_disk() {
        let home = tempfile::tempdir().unwrap();
        let disk = disk(home.path());
        fs::create_dir_all(home.path().join("data/lost+found")).unwrap();
        assert_eq!(disk.recognise().unwrap(), 0);
    }

    #[test]
    fn a_wiped_disk_is_another_one_and_keeps_its_new_number() {
        let home = tempfile::tempdir().unwrap();
        let disk = disk(home.path());
        disk.recognise().unwrap();
        fs::remove_dir_all(home.path().join("data")).unwrap();
        let drawn = disk.recognise().unwrap();
        assert_ne!(drawn, 0);
        assert_eq!(disk.recognise().unwrap(), drawn);
    }

    #[test]
    fn a_backup_and_a_copy_are_other_disks() {
        let home = tempfile::tempdir().unwrap();
        let node = home.path().join("node");
        fs::create_dir(&node).unwrap();
        disk(&node).recognise().unwrap();
        copy(&node, &home.path().join("backup"));
        // A copy of everything, key and guard, too.
        assert_ne!(disk(&home.path().join("backup")).recognise().unwrap(), 0);
        // The data alone, back in its place.
        fs::remove_dir_all(node.join("data")).unwrap();
        copy(&home.path().join("backup/data"), &node.join("data"));
        assert_ne!(disk(&node).recognise().unwrap(), 0);
    }

    #[test]
    fn data_without_a_mark_and_a_damaged_mark_are_other_disks() {
        let home = tempfile::tempdir().unwrap();
        let node = disk(home.path());
        fs::create_dir(home.path().join("data")).unwrap();
        fs::write(home.path().join("data/CURRENT"), "data").unwrap();
        let first = node.recognise().unwrap();
        assert_ne!(first, 0);
        fs::write(home.path().join("data/instance"), "{").unwrap();
        let second = node.recognise().unwrap();
        assert!(second != 0 && second != first);
    }

    #[test]
    fn a_mark_of_the_kind_before_is_known_and_a_changed_digit_is_not() {
        let home = tempfile::tempdir().unwrap();
        let disk = disk(home.path());
        disk.recognise().unwrap();
        let mark = home.path().join("data/instance");
        // In place, so that the inode stays.
        let change = |change: &dyn Fn(&mut Stored)| {
            let mut stored: Stored = serde_json::from_slice(&fs::read(&mark).unwrap()).unwrap();
            change(&mut stored);
            fs::write(&mark, serde_json::to_vec(&stored).unwrap()).unwrap();
        };
        change(&|stored| {
            stored.kind = KIND_1.to_owned();
            stored.check = None;
        });
        assert_eq!(disk.recognise().unwrap(), 0);
        disk.write(5).unwrap();
        change(&|stored| stored.instance = "0000000000000004".to_owned());
        assert!(damage(&home.path().join("data")).is_some());
        assert!(![0, 4, 5].contains(&disk.recognise().unwrap()));
    }

    #[test]
    fn an_operator_may_say_which_disk_it_is() {
        let home = tempfile::tempdir().unwrap();
        let disk = disk(home.path());
        disk.recognise().unwrap();
        disk.write(9).unwrap();
        assert_eq!(disk.recognise().unwrap(), 9);
    }
}
