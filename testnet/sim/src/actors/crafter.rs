//! Making events by hand: one's own chain, and what others have made.

use bytes::Bytes;
use dctrl_consensus::event::{Event, ParentRef};
use dctrl_consensus::{Digest, Message};

use super::Stage;
use crate::clock;
use crate::engine::Crafted;
use crate::scenario::MILLISECOND;

/// Events of others that a crafter remembers, of each creator.
const HEARD_MAX: usize = 64;

/// A chain under one's own key, and what one has heard.
#[derive(Default)]
pub(crate) struct Crafter {
    /// The last own event.
    last: Option<Event>,
    /// By index, the events heard: in order of arrival, the oldest ones kept.
    heard: Vec<Vec<ParentRef>>,
    crafted: u64,
    /// The epoch that others are in, and what binds events to it.
    epoch: u64,
    anchor: Option<Digest>,
    turns: u64,
}

impl Crafter {
    pub(crate) fn new(stage: &Stage<'_>) -> Self {
        let heard = vec![Vec::new(); stage.setting.people.len()];
        Self {
            heard,
            ..Self::default()
        }
    }

    pub(crate) fn hear(&mut self, message: &Message) {
        let Message::Events(events) = message else {
            return;
        };
        for event in events {
            let header = event.header();
            if header.epoch > self.epoch {
                self.epoch = header.epoch;
                self.anchor = Some(header.anchor);
                self.last = None;
                self.heard.iter_mut().for_each(Vec::clear);
            }
            let parent = ParentRef {
                creator: header.creator,
                seq: header.seq,
                id: event.id(),
            };
            if let Some(heard) = self.heard.get_mut(header.creator.position())
                && heard.len() < HEARD_MAX
                && !heard.contains(&parent)
            {
                heard.push(parent);
            }
        }
    }

    /// Of every other node that was heard, one event.
    pub(crate) fn parents(
        &self,
        stage: &mut Stage<'_>,
        choose: impl Fn(&[ParentRef], &mut Stage<'_>) -> ParentRef,
    ) -> Vec<ParentRef> {
        let mut parents = Vec::new();
        let me = stage.my_index(self.epoch).position();
        for (at, heard) in self.heard.iter().enumerate() {
            if at != me && !heard.is_empty() {
                parents.push(choose(heard, stage));
            }
        }
        parents
    }

    /// What a right next event of the own chain would say.
    pub(crate) fn next(&self, other_parents: Vec<ParentRef>, stage: &Stage<'_>) -> Crafted {
        let now = clock::right(stage.now);
        let last = self.last.as_ref();
        Crafted {
            creator: stage.my_index(self.epoch),
            epoch: self.epoch,
            anchor: self.anchor.unwrap_or(stage.setting.cluster.0),
            seq: last.map_or(0, |last| last.header().seq + 1),
            timestamp: last.map_or(now, |last| now.max(last.header().timestamp.after(1))),
            self_parent: last.map(Event::id),
            other_parents,
        }
    }

    /// Signs an event; no two have the same payload.
    pub(crate) fn sign(&mut self, crafted: Crafted, stage: &Stage<'_>) -> Event {
        self.crafted += 1;
        let payload = format!("lie {} of {}", self.crafted, stage.me);
        stage
            .setting
            .craft(stage.me, crafted, &[Bytes::from(payload)])
    }

    /// Goes on from this event.
    pub(crate) fn append(&mut self, event: Event) {
        self.last = Some(event);
    }

    pub(crate) fn last(&self) -> Option<&Event> {
        self.last.as_ref()
    }

    /// A digest that no event has.
    pub(crate) fn nowhere(stage: &mut Stage<'_>) -> Digest {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&stage.chance.bits().to_be_bytes());
        Digest(digest)
    }
}

/// Turns after which a crafter has had enough: a run must come to rest.
const TURNS_MAX: u64 = 60;

impl Crafter {
    /// Asks for the next turn, as long as there is one.
    pub(crate) fn next_turn(&mut self, stage: &mut Stage<'_>) {
        self.turns += 1;
        if self.turns < TURNS_MAX {
            let wait = stage.chance.between(2, 40) * MILLISECOND;
            stage.wake_at(stage.now + wait);
        }
    }
}
