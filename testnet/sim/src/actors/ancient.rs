//! Builds on nothing but the oldest events, and makes too many of them.

use bytes::Bytes;
use dctrl_consensus::Message;

use super::crafter::Crafter;
use super::{Actor, Stage};
use crate::engine::Seat;
use crate::marks::Mark;

/// A chain that never comes nearer to the present.
pub(crate) struct AncientEvent {
    crafter: Crafter,
}

impl AncientEvent {
    pub(crate) fn new(stage: &Stage<'_>) -> Self {
        Self {
            crafter: Crafter::new(stage),
        }
    }
}

impl Actor for AncientEvent {
    fn start(&mut self, stage: &mut Stage<'_>) {
        self.crafter.next_turn(stage);
    }

    fn hear(&mut self, _from: Seat, message: Message, _stage: &mut Stage<'_>) {
        self.crafter.hear(&message);
    }

    fn wake(&mut self, stage: &mut Stage<'_>) {
        let mut events = Vec::new();
        for _ in 0..stage.chance.between(1, 3) {
            let oldest = |heard: &[_], _: &mut Stage<'_>| heard[0];
            let others = self.crafter.parents(stage, oldest);
            let crafted = self.crafter.next(others, stage);
            let event = self.crafter.sign(crafted, stage);
            self.crafter.append(event.clone());
            events.push(event);
        }
        stage.lied(Mark::AncientParents);
        if stage.chance(200) {
            // Skips one on the wire, so that the rest waits for its parent.
            events.remove(0);
        }
        stage.tell_all(&Message::Events(events));
        self.crafter.next_turn(stage);
    }

    fn submit(&mut self, _transaction: Bytes, _stage: &mut Stage<'_>) {}
}
