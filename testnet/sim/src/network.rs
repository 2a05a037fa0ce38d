//! The network: who reaches whom, and what the links do to a message.

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use dctrl_consensus::Message;

use crate::engine::{Seat, Setting};
use crate::marks::{Mark, Marks};
use crate::prng::Prng;
use crate::scenario::{CutKind, Links, MILLISECOND, pick};

/// Messages of a link that may be replayed.
const REPLAYABLE_MAX: usize = 16;

/// Bytes on their way, decoded once however many hear them.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) number: u64,
    pub(crate) message: Option<Message>,
}

/// When something leaves from whom to whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) now: u64,
    pub(crate) from: Seat,
    pub(crate) to: Seat,
    /// From here on nothing goes wrong.
    pub(crate) heal_at: u64,
}

/// What the links remember.
#[derive(Debug, Default)]
pub(crate) struct Network {
    parcels: u64,
    /// Per sender, what it sent last.
    sent: Vec<VecDeque<Rc<Parcel>>>,
}

impl Network {
    pub(crate) fn new(seats: usize) -> Self {
        Self {
            parcels: 0,
            sent: vec![VecDeque::new(); seats],
        }
    }

    /// Packs bytes, and remembers them.
    pub(crate) fn pack(&mut self, setting: &Setting, from: Seat, bytes: &Bytes) -> Rc<Parcel> {
        self.parcels += 1;
        let parcel = Rc::new(Parcel {
            number: self.parcels,
            message: setting.decode(bytes),
        });
        let sent = &mut self.sent[from];
        if sent.len() == REPLAYABLE_MAX {
            sent.pop_front();
        }
        sent.push_back(Rc::clone(&parcel));
        parcel
    }

    /// One node sends to another, and the link does what it does: what arrives,
    /// and when.
    pub(crate) fn carry(
        &self,
        links: &Links,
        way: Way,
        parcel: &Rc<Parcel>,
        chance: &mut Prng,
        marks: &mut Marks,
    ) -> Vec<(u64, Rc<Parcel>)> {
        let Way { now, from, to, .. } = way;
        if from == to {
            return Vec::new();
        }
        if let Some(cut) = links.cuts.iter().find(|cut| cut.stops(now, from, to)) {
            marks.hit(match cut.kind {
                CutKind::Whole => Mark::Cut,
                CutKind::OneWay => Mark::CutOneWay,
                CutKind::Flickering { .. } => Mark::CutFlickering,
            });
            return Vec::new();
        }
        let arrive = |parcel: &Rc<Parcel>, chance: &mut Prng, marks: &mut Marks| {
            (arrival(links, way, chance, marks), Rc::clone(parcel))
        };
        if now >= way.heal_at {
            return vec![arrive(parcel, chance, marks)];
        }
        if chance.chance(links.loss[from][to]) {
            marks.hit(Mark::Lost);
            return Vec::new();
        }
        let mut arriving = vec![arrive(parcel, chance, marks)];
        if chance.chance(links.duplicate) {
            marks.hit(Mark::Duplicated);
            arriving.push(arrive(parcel, chance, marks));
        }
        if chance.chance(links.replay) {
            marks.hit(Mark::Replayed);
            let sent = &self.sent[from];
            let old = Rc::clone(&sent[pick(chance, sent.len())]);
            arriving.push(arrive(&old, chance, marks));
        }
        arriving
    }
}

/// When something that leaves now arrives.
fn arrival(links: &Links, way: Way, chance: &mut Prng, marks: &mut Marks) -> u64 {
    let (shortest, jitter) = links.delays[way.from][way.to];
    let begin = links.unclogged(way.now, way.from, way.to);
    if begin > way.now {
        marks.hit(Mark::Clogged);
    }
    let mut delay = shortest + chance.below(jitter + 1);
    if way.now < way.heal_at && chance.chance(links.straggle) {
        marks.hit(Mark::Straggled);
        delay = delay * 10 + 20 * MILLISECOND;
    }
    begin + delay
}
