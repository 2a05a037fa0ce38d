//! Members come and go: whom users go to, what they ask for, and who is to be
//! removed.

use super::World;
use super::happening::Happening;
use crate::app::Change;
use crate::engine::{Engine, Seat};
use crate::marks::Mark;
use crate::scenario::MILLISECOND;

impl World {
    /// A user asks for a change of the members.
    pub(super) fn ask_for(&mut self, at: u64, seat: Seat, change: Change) {
        let number = self.next_number;
        self.next_number += 1;
        self.changes.insert(number, change);
        self.agenda.plan(at, Happening::Submit { seat, number });
    }

    /// Where a user who wants to go to this seat is served: there, unless it
    /// says that it is no member.
    pub(super) fn counter_for(&self, seat: Seat) -> Seat {
        let cast = &self.scenario.cast;
        if !self.scenario.churns || !cast.honest(seat) || self.serves_users(seat) != Some(false) {
            return seat;
        }
        let newest = &self.rosters.newest().roster;
        let members = self.setting.people.seats_of(newest);
        let mut sound = members.into_iter().filter(|member| cast.sound(*member));
        let serving = sound
            .clone()
            .find(|seat| self.serves_users(*seat) == Some(true));
        serving.or_else(|| sound.next()).unwrap_or(seat)
    }

    /// Whether the node thinks that it is a member; `None` while it is down.
    pub(super) fn serves_users(&self, seat: Seat) -> Option<bool> {
        let node = &self.nodes[seat];
        if !node.started {
            return Some(false);
        }
        let epoch = node.engine().map(Engine::epoch);
        epoch.map(|epoch| epoch.me.is_some())
    }

    /// The node is no member: its users go elsewhere with what they wait for.
    pub(super) fn leaves(&mut self, seat: Seat) {
        let unserved = self.waiting.iter().filter(|one| one.seat == seat);
        let numbers: Vec<u32> = unserved.map(|one| one.number).collect();
        for number in numbers {
            let again = Happening::SubmitAgain { number };
            self.agenda.plan(self.now + MILLISECOND, again);
        }
    }

    /// The user of one action submits it again, if it still waits for it. Each
    /// attempt is another transaction, so none may be ordered twice.
    pub(super) fn submit_one_again(&mut self, number: u32) {
        let place = self.waiting.iter().position(|one| one.number == number);
        let Some(place) = place.filter(|_| self.order.block_of(number).is_none()) else {
            return;
        };
        let seat = self.counter_for(self.waiting[place].seat);
        let waiting = &mut self.waiting[place];
        waiting.seat = seat;
        waiting.attempt += 1;
        let attempt = waiting.attempt;
        self.submit(seat, number, attempt);
    }

    /// Where members change, a proven forker is to go.
    pub(super) fn ask_to_remove(&mut self, seat: Seat, forker: Seat) {
        let member = self
            .rosters
            .newest()
            .roster
            .index_of(&self.setting.people.key(forker));
        if self.scenario.churns && member.is_some() && self.accused.insert(forker) {
            self.marks.hit(Mark::ForkerRemoved);
            self.ask_for(self.now + 20 * MILLISECOND, seat, Change::Leave(forker));
        }
    }
}
