//! Makes events whose parents do not exist, or are not what it says.

use bytes::Bytes;
use dctrl_consensus::Message;
use dctrl_consensus::event::Event;

use super::crafter::Crafter;
use super::{Actor, Stage};
use crate::engine::Seat;
use crate::marks::Mark;

/// A chain with a wrong link now and then.
pub(crate) struct WrongParent {
    crafter: Crafter,
}

impl WrongParent {
    pub(crate) fn new(stage: &Stage<'_>) -> Self {
        Self {
            crafter: Crafter::new(stage),
        }
    }

    /// An event that no honest node may take into its graph.
    fn wrong(&mut self, stage: &mut Stage<'_>) -> Event {
        let newest = |heard: &[_], _: &mut Stage<'_>| heard[heard.len() - 1];
        let others = self.crafter.parents(stage, newest);
        let mut crafted = self.crafter.next(others, stage);
        match (stage.chance.below(6), crafted.other_parents.first_mut()) {
            (0, Some(parent)) => parent.seq += 1,
            (1, Some(parent)) => parent.id = Crafter::nowhere(stage),
            (2, Some(parent)) => {
                crafted.seq = crafted.seq.max(1);
                crafted.self_parent = Some(parent.id);
            }
            (3, _) => {
                crafted.seq = crafted.seq.max(1);
                crafted.self_parent = Some(Crafter::nowhere(stage));
            }
            (4, _) if crafted.self_parent.is_some() => crafted.seq += 1,
            (_, _) => {
                if let Some(last) = self.crafter.last() {
                    crafted.timestamp = last.header().timestamp;
                }
            }
        }
        stage.lied(Mark::WrongParent);
        self.crafter.sign(crafted, stage)
    }
}

impl Actor for WrongParent {
    fn start(&mut self, stage: &mut Stage<'_>) {
        self.crafter.next_turn(stage);
    }

    fn hear(&mut self, _from: Seat, message: Message, _stage: &mut Stage<'_>) {
        self.crafter.hear(&message);
    }

    fn wake(&mut self, stage: &mut Stage<'_>) {
        let event = if stage.chance(500) {
            self.wrong(stage)
        } else {
            let newest = |heard: &[_], _: &mut Stage<'_>| heard[heard.len() - 1];
            let others = self.crafter.parents(stage, newest);
            let crafted = self.crafter.next(others, stage);
            let event = self.crafter.sign(crafted, stage);
            self.crafter.append(event.clone());
            event
        };
        stage.tell_all(&Message::Events(vec![event]));
        self.crafter.next_turn(stage);
    }

    fn submit(&mut self, _transaction: Bytes, _stage: &mut Stage<'_>) {}
}
