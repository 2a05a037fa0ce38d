//! A disk in memory that knows what was synced.
//!
//! Files hold their present bytes and the changes since their last sync; names
//! are changed in the order of one journal. A power cut undoes what was not
//! synced, and leaves of it what [`Keep`] says. A sync of a file makes its
//! bytes durable and, as the journals of ext4 and xfs do, every change of
//! names before it; a *strict* volume does so for a sync of a folder only,
//! which is what POSIX promises.
//!
//! Inode numbers never change and are never given twice, so a disk is known
//! again after a power cut.
//!
//! Deliberately absent: the kernel ([`super::disks`] mounts it), permissions,
//! symbolic links, times.

mod cut;
mod data;
mod names;

use std::{collections::BTreeMap, ffi::OsString};

use serde::{Deserialize, Serialize};

use self::{data::Data, names::Rename};

/// The inode of the uppermost folder, as FUSE has it.
pub(super) const ROOT: u64 = 1;

/// Bytes of unsynced changes from which on the oldest become durable by
/// themselves, as a kernel writes back.
const UNSYNCED_BYTES_MAX: usize = 64 << 20;

/// Inodes of one volume at most.
const INODES_MAX: usize = 1 << 16;

/// What of the unsynced changes is found after a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Keep {
    /// Nothing.
    Nothing,
    /// All up to some moment; the last write may be torn.
    Prefix,
    /// Any of the writes, torn or whole, and names up to some moment.
    Torn,
}

/// Why something is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// There is no such name or inode.
    Missing,
    /// The name is taken.
    Exists,
    /// It is no folder.
    NotFolder,
    /// It is a folder.
    Folder,
    /// The folder holds something.
    NotEmpty,
    /// There is no room.
    Full,
}

/// What an inode is.
#[derive(Debug)]
enum Content {
    File(Data),
    Folder(BTreeMap<OsString, u64>),
}

#[derive(Debug)]
struct Inode {
    content: Content,
    mode: u16,
    /// Names that lead to it.
    links: u32,
    /// Open files of it; what is open lives on without a name.
    opens: u32,
}

/// What is told of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) inode: u64,
    pub(super) folder: bool,
    pub(super) bytes: u64,
    pub(super) mode: u16,
    pub(super) links: u32,
}

/// The volume.
#[derive(Debug)]
pub(super) struct Volume {
    inodes: BTreeMap<u64, Inode>,
    next: u64,
    /// Counts changes, so that their order is known across files.
    moment: u64,
    /// Changes of names that are not durable, oldest first.
    journal: Vec<Rename>,
    strict: bool,
    /// Bytes that it takes.
    capacity: u64,
    used: u64,
    unsynced: usize,
}

impl Volume {
    /// An empty volume of so many bytes.
    pub(super) fn new(capacity: u64, strict: bool) -> Self {
        let root = Inode {
            content: Content::Folder(BTreeMap::new()),
            mode: 0o755,
            links: 1,
            opens: 0,
        };
        Self {
            inodes: BTreeMap::from([(ROOT, root)]),
            next: ROOT + 1,
            moment: 0,
            journal: Vec::new(),
            strict,
            capacity,
            used: 0,
            unsynced: 0,
        }
    }

    /// Bytes that it holds.
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// Bytes that it takes.
    pub(super) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Makes it larger or smaller; what is there stays.
    pub(super) fn resize(&mut self, capacity: u64) {
        self.capacity = capacity;
    }

    pub(super) fn attributes(&self, inode: u64) -> Result<Attributes, Refused> {
        let found = self.inode(inode)?;
        let (folder, bytes) = match &found.content {
            Content::File(data) => (false, data.bytes().len() as u64),
            Content::Folder(_) => (true, 0),
        };
        Ok(Attributes {
            inode,
            folder,
            bytes,
            mode: found.mode,
            links: found.links,
        })
    }

    pub(super) fn set_mode(&mut self, inode: u64, mode: u16) -> Result<(), Refused> {
        self.inode_mut(inode)?.mode = mode;
        Ok(())
    }

    /// Somebody opens a file.
    pub(super) fn open(&mut self, inode: u64) -> Result<(), Refused> {
        self.inode_mut(inode)?.opens += 1;
        Ok(())
    }

    /// Somebody closes it.
    pub(super) fn close(&mut self, inode: u64) {
        if let Ok(found) = self.inode_mut(inode) {
            found.opens = found.opens.saturating_sub(1);
        }
        self.forget_nameless(&[inode]);
    }

    pub(super) fn read(&self, inode: u64, offset: u64, bytes: u32) -> Result<&[u8], Refused> {
        let all = self.data(inode)?.bytes();
        let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(all.len());
        Ok(&all[at(offset)..at(offset.saturating_add(bytes.into()))])
    }

    pub(super) fn write(&mut self, inode: u64, offset: u64, bytes: &[u8]) -> Result<(), Refused> {
        let end = offset.saturating_add(bytes.len() as u64);
        self.change(inode, end, false, |data, moment| {
            data.write(moment, offset, bytes);
        })
    }

    pub(super) fn truncate(&mut self, inode: u64, length: u64) -> Result<(), Refused> {
        self.change(inode, length, true, |data, moment| {
            data.truncate(moment, length);
        })
    }

    /// Gives a file room up to `end`; where `grows`, it is so long then.
    pub(super) fn allocate(&mut self, inode: u64, end: u64, grows: bool) -> Result<(), Refused> {
        let length = self.data(inode)?.bytes().len() as u64;
        if end <= length {
            return Ok(());
        }
        if grows {
            return self.truncate(inode, end);
        }
        let room = self.capacity.saturating_sub(self.used);
        if end - length > room {
            return Err(Refused::Full);
        }
        Ok(())
    }

    /// Makes a file's bytes durable, and names where the volume is not strict.
    pub(super) fn sync(&mut self, inode: u64) -> Result<(), Refused> {
        let data = self.data_mut(inode)?;
        let released = data.sync();
        self.unsynced = self.unsynced.saturating_sub(released);
        if !self.strict {
            self.sync_names();
        }
        Ok(())
    }

    /// Makes everything durable.
    pub(super) fn sync_all(&mut self) {
        for inode in self.inodes.values_mut() {
            if let Content::File(data) = &mut inode.content {
                data.sync();
            }
        }
        self.unsynced = 0;
        self.sync_names();
    }

    fn change(
        &mut self,
        inode: u64,
        length: u64,
        cuts: bool,
        change: impl FnOnce(&mut Data, u64),
    ) -> Result<(), Refused> {
        let before = self.data(inode)?.bytes().len() as u64;
        let grows = length.saturating_sub(before);
        if grows > self.capacity.saturating_sub(self.used) {
            return Err(Refused::Full);
        }
        self.moment += 1;
        let moment = self.moment;
        let data = self.data_mut(inode)?;
        let held = data.unsynced();
        change(data, moment);
        let holds = data.unsynced();
        self.unsynced += holds.saturating_sub(held);
        self.used += grows;
        if cuts {
            self.used = self.used.saturating_sub(before.saturating_sub(length));
        }
        if self.unsynced > UNSYNCED_BYTES_MAX {
            self.sync_all();
        }
        Ok(())
    }

    fn inode(&self, inode: u64) -> Result<&Inode, Refused> {
        self.inodes.get(&inode).ok_or(Refused::Missing)
    }

    fn inode_mut(&mut self, inode: u64) -> Result<&mut Inode, Refused> {
        self.inodes.get_mut(&inode).ok_or(Refused::Missing)
    }

    fn data(&self, inode: u64) -> Result<&Data, Refused> {
        match &self.inode(inode)?.content {
            Content::File(data) => Ok(data),
            Content::Folder(_) => Err(Refused::Folder),
        }
    }

    fn data_mut(&mut self, inode: u64) -> Result<&mut Data, Refused> {
        match &mut self.inode_mut(inode)?.content {
            Content::File(data) => Ok(data),
            Content::Folder(_) => Err(Refused::Folder),
        }
    }

    /// Forgets those of these inodes that no name, no open file and no change
    /// that could be undone leads to.
    fn forget_nameless(&mut self, inodes: &[u64]) {
        for inode in inodes {
            let gone = self
                .inodes
                .get(inode)
                .is_some_and(|found| found.links == 0 && found.opens == 0);
            if !gone || self.journal.iter().any(|rename| rename.touches(*inode)) {
                continue;
            }
            if let Some(Inode {
                content: Content::File(data),
                ..
            }) = self.inodes.remove(inode)
            {
                self.used = self.used.saturating_sub(data.bytes().len() as u64);
                self.unsynced = self.unsynced.saturating_sub(data.unsynced());
            }
        }
    }
}

#[cfg(test)]
mod tests;
