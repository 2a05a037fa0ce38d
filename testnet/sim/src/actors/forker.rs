//! Two histories under one key: two real cores, each of which talks to one
//! part of the others and is shown nothing that the other one made.

use bytes::Bytes;
use dctrl_consensus::message::Known;
use dctrl_consensus::{Message, NodeIndex};

use super::{Actor, Stage};
use crate::clock;
use crate::engine::{Seat, Stimulus};
use crate::marks::Mark;
use crate::puppet::Puppet;

/// A key in use twice.
pub(crate) struct Forker {
    copies: [Puppet; 2],
    /// Which copies a seat hears and is heard by: the first, the second, both.
    audience: Vec<[bool; 2]>,
}

impl Forker {
    pub(crate) fn new(stage: &mut Stage<'_>) -> Self {
        let puppet = || Puppet::new(stage.setting, stage.me);
        let copies = [puppet(), puppet()];
        let seats = stage.setting.people.len();
        let audience = (0..seats).map(|_| match stage.chance.below(7) {
            0..3 => [true, false],
            3..6 => [false, true],
            _ => [true, true],
        });
        let audience = audience.collect();
        Self { copies, audience }
    }

    /// One copy for the seats whose bit is set, and one for the others. What
    /// another colluder says is heard through honest nodes only, so that the
    /// two stories stay apart.
    pub(crate) fn colluding(sides: u32, stage: &mut Stage<'_>) -> Self {
        let mut forker = Self::new(stage);
        for (seat, hears) in forker.audience.iter_mut().enumerate() {
            let first = (sides >> seat) & 1 == 1;
            *hears = [first, !first];
        }
        forker
    }

    fn step(&mut self, copy: usize, stimulus: Stimulus, stage: &mut Stage<'_>) {
        let now = clock::right(stage.now);
        self.copies[copy].executed.clear();
        for (to, bytes) in self.copies[copy].step(stage.setting, now, stimulus) {
            for to in to.into_iter().filter(|to| self.audience[*to][copy]) {
                stage.lied(Mark::Forked);
                stage.send(to, bytes.clone(), 0);
            }
        }
        if let Some(wake_at) = self.copies[copy].wake_at {
            stage.wake_at(stage.now + wake_at.since(now));
        }
    }
}

/// What a copy of a key that is in use twice is shown of a message: nothing
/// that tells of the other copy.
/// `me` is the index of the key in an epoch.
pub(crate) fn blinded(mut message: Message, me: impl Fn(u64) -> Option<NodeIndex>) -> Message {
    match &mut message {
        Message::Events(events) => {
            events.retain(|event| Some(event.header().creator) != me(event.header().epoch));
        }
        Message::Known(known) => {
            let own = me(known.epoch).and_then(|me| known.counts.get_mut(me.position()));
            own.into_iter().for_each(|count| *count = 0);
        }
        Message::Request(_)
        | Message::Signatures(_)
        | Message::Evidence(_)
        | Message::BlockRequest(_)
        | Message::Blocks(_)
        | Message::Entrusted(_)
        | Message::BlocksGone(_)
        | Message::StateRequest(_)
        | Message::State(_) => {}
    }
    message
}

impl Actor for Forker {
    /// Each copy asks whether its key is in use, and believes a made-up answer
    /// of every other node.
    fn start(&mut self, stage: &mut Stage<'_>) {
        let counts = vec![0; stage.setting.genesis.len()];
        let now = clock::right(stage.now);
        for copy in 0..2 {
            let said = self.copies[copy].step(stage.setting, now, Stimulus::Wake);
            let asked = said.iter().find_map(|(_, bytes)| {
                let message = stage.setting.decode(bytes)?;
                let Message::Known(known) = message else {
                    return None;
                };
                known.asks
            });
            for from in stage.others().take(counts.len()) {
                let known = Known {
                    counts: counts.clone(),
                    answers: asked,
                    ..Known::default()
                };
                let message = Message::Known(known).assume_verified();
                self.step(copy, Stimulus::Hear { from, message }, stage);
            }
            self.step(copy, Stimulus::Wake, stage);
        }
    }

    fn hear(&mut self, from: Seat, message: Message, stage: &mut Stage<'_>) {
        let (rosters, me) = (stage.rosters, stage.me);
        let message = blinded(message, |epoch| rosters.index(epoch, me));
        for copy in 0..2 {
            if self.audience[from][copy] {
                let message = message.clone().assume_verified();
                self.step(copy, Stimulus::Hear { from, message }, stage);
            }
        }
    }

    fn wake(&mut self, stage: &mut Stage<'_>) {
        for copy in 0..2 {
            let wake_at = self.copies[copy].wake_at;
            if wake_at.is_some_and(|at| at <= clock::right(stage.now)) {
                self.step(copy, Stimulus::Wake, stage);
            }
        }
    }

    fn submit(&mut self, transaction: Bytes, stage: &mut Stage<'_>) {
        let copy = usize::from(stage.chance(500));
        self.step(copy, Stimulus::Submit(transaction), stage);
    }
}
