//! Sizes: of folders, and of processes in memory.

use std::{
    fs::{self, File},
    path::Path,
};

use anyhow::{Context, Result};

/// Bytes of all files in a folder.
pub(super) fn bytes(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // A file that a running node removed in between has no size any more.
        let Ok(meta) = entry.metadata() else {
            continue;
        };
        bytes += if meta.is_dir() {
            self::bytes(&entry.path())?
        } else {
            meta.len()
        };
    }
    Ok(bytes)
}

/// Copies all files of a folder, synced; gives the bytes.
pub(super) fn copy(from: &Path, to: &Path) -> Result<u64> {
    fs::create_dir_all(to)?;
    let mut bytes = 0;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.metadata()?.is_dir() {
            bytes += copy(&entry.path(), &target)?;
        } else {
            bytes += fs::copy(entry.path(), &target)?;
            File::open(&target)?.sync_all()?;
        }
    }
    Ok(bytes)
}

/// Memory that a process holds now, megabytes.
pub(super) fn resident_mb(id: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kb = line.and_then(|line| line.split_whitespace().next());
    let kb: u64 = kb.context("the kernel does not tell")?.parse()?;
    Ok(kb / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_all_bytes_of_all_folders() {
        let folder = tempfile::tempdir().expect("a folder");
        let from = folder.path().join("from");
        fs::create_dir_all(from.join("deep")).expect("made");
        fs::write(from.join("deep").join("a"), [1; 300]).expect("written");
        fs::write(from.join("b"), [2; 7]).expect("written");
        let to = folder.path().join("to");
        assert_eq!(copy(&from, &to).expect("copied"), 307);
        assert_eq!(bytes(&to).expect("counted"), 307);
        assert!(resident_mb(std::process::id()).expect("our own") > 0);
    }
}
