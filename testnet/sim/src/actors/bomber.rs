//! Signs many events for one place in its chain, and shows different ones to
//! different nodes.

use bytes::Bytes;
use dctrl_consensus::Message;
use dctrl_consensus::event::Event;

use super::crafter::Crafter;
use super::{Actor, Stage};
use crate::engine::Seat;
use crate::marks::Mark;

/// A chain that is a bush.
pub(crate) struct ForkBomber {
    crafter: Crafter,
}

impl ForkBomber {
    pub(crate) fn new(stage: &Stage<'_>) -> Self {
        Self {
            crafter: Crafter::new(stage),
        }
    }

    fn twin(&mut self, stage: &mut Stage<'_>) -> Event {
        let any = |heard: &[_], stage: &mut Stage<'_>| {
            heard[crate::scenario::pick(stage.chance, heard.len())]
        };
        let others = self.crafter.parents(stage, any);
        let crafted = self.crafter.next(others, stage);
        self.crafter.sign(crafted, stage)
    }
}

impl Actor for ForkBomber {
    fn start(&mut self, stage: &mut Stage<'_>) {
        self.crafter.next_turn(stage);
    }

    fn hear(&mut self, _from: Seat, message: Message, _stage: &mut Stage<'_>) {
        self.crafter.hear(&message);
    }

    fn wake(&mut self, stage: &mut Stage<'_>) {
        let mut last = None;
        for to in stage.others() {
            let events: Vec<Event> = (0..stage.chance.between(1, 4))
                .map(|_| self.twin(stage))
                .collect();
            stage.lied(Mark::ForkBomb);
            last = events.last().cloned();
            stage.tell(to, &Message::Events(events));
        }
        if stage.chance(500) {
            last.into_iter()
                .for_each(|event| self.crafter.append(event));
        }
        self.crafter.next_turn(stage);
    }

    fn submit(&mut self, _transaction: Bytes, _stage: &mut Stage<'_>) {}
}
