//! What an actor is given for one turn, and what it does with it.

use bytes::Bytes;
use dctrl_consensus::{Message, NodeIndex};

use crate::engine::{Seat, Setting, index};
use crate::marks::{Mark, Marks};
use crate::people::Rosters;
use crate::prng::Prng;

/// What an actor does. The network treats it like anyone's.
#[derive(Debug)]
pub(crate) enum Act {
    /// Sends bytes, after a while.
    Send { to: Seat, bytes: Bytes, after: u64 },
    /// Wants to be woken at this time of the world.
    WakeAt(u64),
}

/// One turn of an actor.
pub(crate) struct Stage<'a> {
    pub(crate) now: u64,
    pub(crate) me: Seat,
    pub(crate) setting: &'a Setting,
    /// What all know about the epochs so far.
    pub(crate) rosters: &'a Rosters,
    pub(crate) chance: &'a mut Prng,
    pub(crate) marks: &'a mut Marks,
    pub(crate) acts: Vec<Act>,
}

impl Stage<'_> {
    /// All seats but the actor's own.
    pub(crate) fn others(&self) -> impl Iterator<Item = Seat> + use<> {
        let me = self.me;
        (0..self.setting.people.len()).filter(move |seat| *seat != me)
    }

    /// The actor's index in an epoch; where it is no member, the one it had at
    /// the start, which is somebody else's now.
    pub(crate) fn my_index(&self, epoch: u64) -> NodeIndex {
        let index_now = self.rosters.index(epoch, self.me);
        index_now.unwrap_or_else(|| index(self.me))
    }

    pub(crate) fn tell(&mut self, to: Seat, message: &Message) {
        self.send(to, message.encode(), 0);
    }

    pub(crate) fn tell_all(&mut self, message: &Message) {
        let bytes = message.encode();
        for to in self.others() {
            self.send(to, bytes.clone(), 0);
        }
    }

    pub(crate) fn send(&mut self, to: Seat, bytes: Bytes, after: u64) {
        self.acts.push(Act::Send { to, bytes, after });
    }

    pub(crate) fn wake_at(&mut self, time: u64) {
        self.acts.push(Act::WakeAt(time.max(self.now + 1)));
    }

    /// The lie was told once more.
    pub(crate) fn lied(&mut self, lie: Mark) {
        self.marks.hit(lie);
    }

    /// Whether something of this chance, in thousandths, happens.
    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.chance.chance(per_mille)
    }
}
