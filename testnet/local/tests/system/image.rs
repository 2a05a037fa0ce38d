//! A file system in a file: small, or one of which there can be exact copies.

use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

/// A file system in a file, mounted where only a process and its children see it.
pub(crate) struct Image {
    file: PathBuf,
    /// Where it is mounted.
    pub(crate) folder: PathBuf,
}

impl Image {
    /// An empty one of so many bytes.
    pub(crate) fn make(file: PathBuf, folder: PathBuf, bytes: u64) -> Result<Self> {
        File::create(&file)?.set_len(bytes)?;
        fs::create_dir_all(&folder)?;
        let made = Command::new("mkfs.ext4")
            .args(["-q", "-F"])
            .arg(&file)
            .status();
        ensure!(made.context("no mkfs.ext4")?.success(), "mkfs.ext4 failed");
        Ok(Self { file, folder })
    }

    /// Every byte of it as it is now, as `dd` or a snapshot of a virtual machine
    /// copies it: inodes and times of birth are the same.
    pub(crate) fn copy(&self, file: PathBuf, folder: PathBuf) -> Result<Self> {
        let mut from = File::open(&self.file)?;
        // What a mount has written and nobody has synced is on its way.
        from.sync_all()?;
        std::io::copy(&mut from, &mut File::create(&file)?)?;
        fs::create_dir_all(&folder)?;
        Ok(Self { file, folder })
    }

    /// The same file system, mounted elsewhere.
    pub(crate) fn at(&self, folder: &Path) -> Self {
        Self {
            file: self.file.clone(),
            folder: folder.to_path_buf(),
        }
    }

    /// Whether this machine mounts file systems in files.
    pub(crate) fn mounts(&self) -> Result<bool> {
        self.run(&["true"])
    }

    /// What to put before a command, so that it finds the file system there.
    pub(crate) fn prefix(&self) -> Vec<OsString> {
        const SCRIPT: &str = "mount -o loop \"$1\" \"$2\" && shift 2 && exec \"$@\"";
        let unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-c"];
        let mut words: Vec<OsString> = unshare.map(Into::into).to_vec();
        words.extend([SCRIPT.into(), "sh".into()]);
        words.extend([self.file.clone().into(), self.folder.clone().into()]);
        words
    }

    /// Runs a command in a mount of its own.
    pub(crate) fn run(&self, words: &[&str]) -> Result<bool> {
        let prefix = self.prefix();
        let (first, rest) = prefix.split_first().context("never empty")?;
        let status = Command::new(first).args(rest).args(words).status()?;
        Ok(status.success())
    }
}
