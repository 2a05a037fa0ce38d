//! The fault of a directed run: it waits for its layer, and strikes.

use super::World;
use super::happening::Happening;
use crate::engine::{Engine, Seat};
use crate::marks::Mark;
use crate::scenario::{Blow, FLOOD, Strike};

impl World {
    /// Strikes if it is time.
    pub(super) fn strike_when_due(&mut self) {
        let Some(strike) = self.scenario.strike.filter(|strike| self.reaches(strike)) else {
            return;
        };
        self.scenario.strike = None;
        self.marks.hit(Mark::SealStruck);
        let (now, nodes) = (self.now, self.scenario.nodes);
        self.scenario.links.cuts.extend(strike.cut(now));
        for (seat, fate, back_at) in strike.falls(nodes, now) {
            let crash = Happening::Crash {
                seat,
                fate,
                for_good: false,
            };
            self.agenda.plan(now, crash);
            self.agenda.plan(back_at, Happening::Restart { seat });
        }
        if strike.blow == Blow::Flood {
            let seat = strike.seat;
            for number in self.next_number..self.next_number + FLOOD {
                self.agenda.plan(now, Happening::Submit { seat, number });
            }
            self.next_number += FLOOD;
        }
    }

    /// Whether a sound node is where the fault is to begin, or beyond.
    fn reaches(&self, strike: &Strike) -> bool {
        let there = |seat: Seat| {
            let at = self.nodes[seat].engine().map(Engine::summary);
            at.is_some_and(|at| {
                let layer = at.layer.map_or(0, |layer| layer + 1);
                (at.epoch, layer) > (strike.epoch, strike.layer)
            })
        };
        self.sound().any(there)
    }
}
