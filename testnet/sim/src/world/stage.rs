//! Giving liars their turns.

use super::World;
use super::happening::Happening;
use crate::actors::{Act, Actor, Lie, Stage};
use crate::engine::Seat;

impl World {
    /// Puts an actor on its seat.
    pub(super) fn enter(&mut self, seat: Seat, lie: Lie) {
        let mut stage = Stage {
            now: self.now,
            me: seat,
            setting: &self.setting,
            rosters: &self.rosters,
            chance: &mut self.chance,
            marks: &mut self.marks,
            acts: Vec::new(),
        };
        let mut actor = lie.actor(&mut stage);
        actor.start(&mut stage);
        let acts = stage.acts;
        self.liars.insert(seat, actor);
        self.perform_acts(seat, acts);
    }

    /// One turn.
    pub(super) fn act(&mut self, seat: Seat, turn: impl FnOnce(&mut dyn Actor, &mut Stage<'_>)) {
        let Some(actor) = self.liars.get_mut(&seat) else {
            return;
        };
        let mut stage = Stage {
            now: self.now,
            me: seat,
            setting: &self.setting,
            rosters: &self.rosters,
            chance: &mut self.chance,
            marks: &mut self.marks,
            acts: Vec::new(),
        };
        turn(actor.as_mut(), &mut stage);
        let acts = stage.acts;
        self.perform_acts(seat, acts);
    }

    fn perform_acts(&mut self, from: Seat, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Send { to, bytes, after } => {
                    let parcel = self.pack(from, &bytes);
                    if after == 0 {
                        self.transmit(from, to, &parcel);
                    } else {
                        let depart = Happening::Depart { from, to, parcel };
                        self.agenda.plan(self.now + after, depart);
                    }
                }
                Act::WakeAt(time) => {
                    self.agenda.plan(
                        time,
                        Happening::Wake {
                            seat: from,
                            incarnation: 0,
                        },
                    );
                }
            }
        }
    }
}
