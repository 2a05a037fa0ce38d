//! The power is cut.

use super::{Content, Keep, ROOT, Volume, data::Left};
use crate::random::Random;

impl Volume {
    /// Forgets what was not synced, but for what `keep` says. Whoever had
    /// files open must be gone.
    pub(in crate::chaos) fn cut(&mut self, keep: Keep, random: &mut Random) {
        let last_synced = match keep {
            Keep::Nothing => 0,
            Keep::Prefix | Keep::Torn => {
                let oldest = self.journal.first().map_or(self.moment, |it| it.moment);
                random.between(oldest.saturating_sub(1), self.moment)
            }
        };
        self.undo_names_after(last_synced);
        for inode in self.inodes.values_mut() {
            inode.opens = 0;
            if let Content::File(data) = &mut inode.content {
                data.cut(|moment, bytes| left(keep, moment, last_synced, bytes, random));
            }
        }
        self.sweep();
    }

    /// Forgets what no name leads to, and counts anew.
    fn sweep(&mut self) {
        let mut reached = std::collections::BTreeSet::from([ROOT]);
        let mut open = vec![ROOT];
        while let Some(folder) = open.pop() {
            if let Some(Content::Folder(names)) =
                self.inodes.get(&folder).map(|inode| &inode.content)
            {
                let new = names.values().filter(|inode| reached.insert(**inode));
                open.extend(new);
            }
        }
        self.inodes.retain(|inode, _| reached.contains(inode));
        let files = self.inodes.values().map(|inode| match &inode.content {
            Content::File(data) => data.bytes().len() as u64,
            Content::Folder(_) => 0,
        });
        self.used = files.sum();
        self.unsynced = 0;
    }
}

fn left(keep: Keep, moment: u64, last: u64, bytes: usize, random: &mut Random) -> Left {
    match keep {
        Keep::Nothing => Left::Nothing,
        Keep::Prefix if moment <= last => Left::All,
        Keep::Prefix if moment == last + 1 => Left::Part(random.index(bytes + 1)),
        Keep::Prefix => Left::Nothing,
        Keep::Torn => match random.below(4) {
            0 => Left::Nothing,
            1 => Left::Part(random.index(bytes + 1)),
            _ => Left::All,
        },
    }
}
