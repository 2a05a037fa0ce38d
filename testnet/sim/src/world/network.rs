//! The network: who reaches whom, and what the links do to a message.

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use dctrl_consensus::Message;

use super::World;
use super::agenda::Happening;
use crate::engine::{Seat, Setting};
use crate::marks::Mark;
use crate::scenario::{CutKind, MILLISECOND, pick};

/// Messages of a link that may be replayed.
const REPLAYABLE_MAX: usize = 16;

/// Bytes on their way, decoded once however many hear them.
#[derive(Debug)]
pub(super) struct Parcel {
    number: u64,
    pub(super) message: Option<Message>,
}

/// What the links remember.
#[derive(Debug, Default)]
pub(super) struct Network {
    parcels: u64,
    /// Per sender, what it sent last.
    sent: Vec<VecDeque<Rc<Parcel>>>,
}

impl Network {
    pub(super) fn new(seats: usize) -> Self {
        Self {
            parcels: 0,
            sent: vec![VecDeque::new(); seats],
        }
    }

    fn remember(&mut self, from: Seat, parcel: &Rc<Parcel>) {
        let sent = &mut self.sent[from];
        if sent.len() == REPLAYABLE_MAX {
            sent.pop_front();
        }
        sent.push_back(Rc::clone(parcel));
    }
}

impl Parcel {
    fn new(setting: &Setting, number: u64, bytes: &Bytes) -> Self {
        Self {
            number,
            message: setting.decode(bytes),
        }
    }
}

impl World {
    /// Packs bytes, and notes them.
    pub(super) fn pack(&mut self, from: Seat, bytes: &Bytes) -> Rc<Parcel> {
        self.network.parcels += 1;
        let number = self.network.parcels;
        self.trace.note(&[0, from as u64, number], bytes);
        let parcel = Rc::new(Parcel::new(&self.setting, number, bytes));
        self.network.remember(from, &parcel);
        parcel
    }

    /// One node sends to another: the link does what it does.
    pub(super) fn transmit(&mut self, from: Seat, to: Seat, parcel: &Rc<Parcel>) {
        if from == to {
            return;
        }
        let links = &self.scenario.links;
        let stopped = links.cuts.iter().find(|cut| cut.stops(self.now, from, to));
        if let Some(cut) = stopped {
            return self.marks.hit(match cut.kind {
                CutKind::Whole => Mark::Cut,
                CutKind::OneWay => Mark::CutOneWay,
                CutKind::Flickering { .. } => Mark::CutFlickering,
            });
        }
        if self.now >= self.scenario.heal_at {
            return self.schedule(from, to, parcel);
        }
        let (loss, duplicate, replay) = (links.loss[from][to], links.duplicate, links.replay);
        if self.chance.chance(loss) {
            return self.marks.hit(Mark::Lost);
        }
        self.schedule(from, to, parcel);
        if self.chance.chance(duplicate) {
            self.marks.hit(Mark::Duplicated);
            self.schedule(from, to, parcel);
        }
        if self.chance.chance(replay) {
            self.marks.hit(Mark::Replayed);
            let sent = &self.network.sent[from];
            let old = Rc::clone(&sent[pick(&mut self.chance, sent.len())]);
            self.schedule(from, to, &old);
        }
    }

    fn schedule(&mut self, from: Seat, to: Seat, parcel: &Rc<Parcel>) {
        let links = &self.scenario.links;
        let (shortest, jitter) = links.delays[from][to];
        let begin = links.unclogged(self.now, from, to);
        let straggle = links.straggle;
        if begin > self.now {
            self.marks.hit(Mark::Clogged);
        }
        let mut delay = shortest + self.chance.below(jitter + 1);
        if self.now < self.scenario.heal_at && self.chance.chance(straggle) {
            self.marks.hit(Mark::Straggled);
            delay = delay * 10 + 20 * MILLISECOND;
        }
        let parcel = Rc::clone(parcel);
        self.agenda
            .plan(begin + delay, Happening::Deliver { from, to, parcel });
    }

    pub(super) fn note_delivery(&mut self, from: Seat, to: Seat, parcel: &Parcel) {
        self.trace
            .note(&[1, self.now, from as u64, to as u64, parcel.number], &[]);
    }
}
