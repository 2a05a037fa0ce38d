//! Names and folders: each change is one entry of the journal, and can be
//! undone until it is durable.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use super::{Attributes, Content, Data, INODES_MAX, Inode, Refused, Volume};

/// What one name leads to.
#[derive(Debug)]
struct Entry {
    folder: u64,
    name: OsString,
    before: Option<u64>,
    after: Option<u64>,
}

/// One change of names; all of it happens, or nothing.
#[derive(Debug)]
pub(super) struct Rename {
    pub(super) moment: u64,
    entries: Vec<Entry>,
}

impl Rename {
    pub(super) fn touches(&self, inode: u64) -> bool {
        let touched = |entry: &Entry| entry.before == Some(inode) || entry.after == Some(inode);
        self.entries.iter().any(touched)
    }
}

impl Volume {
    pub(in crate::chaos) fn lookup(
        &self,
        folder: u64,
        name: &OsStr,
    ) -> Result<Attributes, Refused> {
        let inode = self.folder(folder)?.get(name).ok_or(Refused::Missing)?;
        self.attributes(*inode)
    }

    /// Names and what they lead to.
    pub(in crate::chaos) fn list(
        &self,
        folder: u64,
    ) -> Result<Vec<(OsString, Attributes)>, Refused> {
        let names = self.folder(folder)?.iter();
        names
            .map(|(name, inode)| Ok((name.clone(), self.attributes(*inode)?)))
            .collect()
    }

    /// Makes an empty file or folder.
    pub(in crate::chaos) fn create(
        &mut self,
        folder: u64,
        name: &OsStr,
        mode: u16,
        is_folder: bool,
    ) -> Result<Attributes, Refused> {
        if self.folder(folder)?.contains_key(name) {
            return Err(Refused::Exists);
        }
        if self.inodes.len() >= INODES_MAX {
            return Err(Refused::Full);
        }
        let inode = self.next;
        self.next += 1;
        let content = if is_folder {
            Content::Folder(BTreeMap::new())
        } else {
            Content::File(Data::default())
        };
        let made = Inode {
            content,
            mode,
            links: 0,
            opens: 0,
        };
        self.inodes.insert(inode, made);
        self.rename_all(vec![(folder, name, Some(inode))]);
        self.attributes(inode)
    }

    /// Another name for a file.
    pub(in crate::chaos) fn link(
        &mut self,
        inode: u64,
        folder: u64,
        name: &OsStr,
    ) -> Result<Attributes, Refused> {
        self.data(inode)?;
        if self.folder(folder)?.contains_key(name) {
            return Err(Refused::Exists);
        }
        self.rename_all(vec![(folder, name, Some(inode))]);
        self.attributes(inode)
    }

    /// Takes a name away; that of a folder where `is_folder`.
    pub(in crate::chaos) fn remove(
        &mut self,
        folder: u64,
        name: &OsStr,
        is_folder: bool,
    ) -> Result<(), Refused> {
        let found = self.lookup(folder, name)?;
        match (found.folder, is_folder) {
            (true, false) => return Err(Refused::Folder),
            (false, true) => return Err(Refused::NotFolder),
            (true, true) if !self.folder(found.inode)?.is_empty() => {
                return Err(Refused::NotEmpty);
            }
            _ => {}
        }
        self.rename_all(vec![(folder, name, None)]);
        Ok(())
    }

    /// Moves a name; what the new one led to goes.
    pub(in crate::chaos) fn rename(
        &mut self,
        from: (u64, &OsStr),
        to: (u64, &OsStr),
    ) -> Result<(), Refused> {
        let moved = self.lookup(from.0, from.1)?;
        match self.lookup(to.0, to.1) {
            Ok(replaced) if replaced.inode == moved.inode => return Ok(()),
            Ok(replaced) if replaced.folder && !self.folder(replaced.inode)?.is_empty() => {
                return Err(Refused::NotEmpty);
            }
            Ok(_) | Err(Refused::Missing) => {}
            Err(refused) => return Err(refused),
        }
        self.rename_all(vec![
            (from.0, from.1, None),
            (to.0, to.1, Some(moved.inode)),
        ]);
        Ok(())
    }

    /// Makes names durable; what no name leads to any more goes.
    pub(in crate::chaos) fn sync_names(&mut self) {
        let journal = std::mem::take(&mut self.journal);
        for rename in journal {
            let gone: Vec<u64> = rename
                .entries
                .iter()
                .filter_map(|entry| entry.before)
                .collect();
            self.forget_nameless(&gone);
        }
    }

    /// Undoes every change of names after `moment`; the others are durable.
    pub(super) fn undo_names_after(&mut self, moment: u64) {
        let mut journal = std::mem::take(&mut self.journal);
        while journal.last().is_some_and(|rename| rename.moment > moment) {
            let Some(undone) = journal.pop() else { break };
            for entry in undone.entries.into_iter().rev() {
                self.lead(entry.folder, &entry.name, entry.before);
            }
        }
    }

    fn rename_all(&mut self, changes: Vec<(u64, &OsStr, Option<u64>)>) {
        self.moment += 1;
        let entries = changes.into_iter().map(|(folder, name, after)| Entry {
            folder,
            name: name.to_owned(),
            before: self.lead(folder, name, after),
            after,
        });
        let entries = entries.collect();
        self.journal.push(Rename {
            moment: self.moment,
            entries,
        });
    }

    /// Lets a name lead somewhere else; gives where it led.
    fn lead(&mut self, folder: u64, name: &OsStr, to: Option<u64>) -> Option<u64> {
        let Some(Inode {
            content: Content::Folder(names),
            ..
        }) = self.inodes.get_mut(&folder)
        else {
            return None;
        };
        let before = match to {
            Some(inode) => names.insert(name.to_owned(), inode),
            None => names.remove(name),
        };
        if let Some(inode) = to.and_then(|inode| self.inodes.get_mut(&inode)) {
            inode.links += 1;
        }
        if let Some(inode) = before.and_then(|inode| self.inodes.get_mut(&inode)) {
            inode.links = inode.links.saturating_sub(1);
        }
        before
    }

    fn folder(&self, inode: u64) -> Result<&BTreeMap<OsString, u64>, Refused> {
        match &self.inode(inode)?.content {
            Content::Folder(names) => Ok(names),
            Content::File(_) => Err(Refused::NotFolder),
        }
    }
}
