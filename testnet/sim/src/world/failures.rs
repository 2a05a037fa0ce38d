//! Processes fall and come back.

use std::collections::VecDeque;

use super::World;
use crate::disk::Fate;
use crate::engine::{Seat, Stimulus};
use crate::marks::Mark;

impl World {
    pub(super) fn crash(&mut self, seat: Seat, fate: Fate, for_good: bool) {
        if self.nodes[seat].gone {
            return;
        }
        self.nodes[seat].gone = for_good;
        if for_good {
            self.marks.hit(Mark::DownForGood);
        }
        // A disk can be exchanged while its process is down.
        let exchanged = matches!(fate, Fate::Wiped | Fate::Older(_));
        if self.nodes[seat].is_up() || exchanged {
            self.marks.hit(Mark::Crash);
            self.trace.note(&[5, self.now, seat as u64], &[]);
            self.nodes[seat].crash(fate, &mut self.chance, &mut self.marks);
        }
    }

    pub(super) fn restart(&mut self, seat: Seat) {
        if self.nodes[seat].is_up() || self.nodes[seat].gone {
            return;
        }
        self.trace.note(&[6, self.now, seat as u64], &[]);
        let effects = match self.nodes[seat].restart(&self.setting, self.now) {
            Ok(effects) => effects,
            Err(error) => return self.violation(format!("node {seat} does not restart: {error}")),
        };
        self.order.restarted(seat, self.nodes[seat].app.index());
        self.forks.restarted(seat);
        for (_, record) in self.nodes[seat].recover(&self.setting).records {
            self.note_taken(seat, &record);
        }
        let mut next = VecDeque::new();
        self.perform(seat, effects, &mut next);
        next.push_back(Stimulus::Wake);
        next.into_iter()
            .for_each(|stimulus| self.drive(seat, stimulus));
        self.submit_again(seat);
    }

    /// What was not in a synced event is lost; its users submit it again.
    fn submit_again(&mut self, seat: Seat) {
        let lost = self.waiting.iter().filter(|one| one.seat == seat);
        let lost: Vec<u32> = lost.map(|one| one.number).collect();
        for number in lost {
            self.submit_one_again(number);
        }
    }
}
