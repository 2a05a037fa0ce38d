//! What one node sends to another, noted and carried.

use std::rc::Rc;

use bytes::Bytes;

use super::World;
use super::happening::Happening;
use crate::engine::Seat;
use crate::network::{Parcel, Way};

impl World {
    /// Packs bytes, and notes them.
    pub(super) fn pack(&mut self, from: Seat, bytes: &Bytes) -> Rc<Parcel> {
        let parcel = self.network.pack(&self.setting, from, bytes);
        self.trace.note(&[0, from as u64, parcel.number], bytes);
        parcel
    }

    /// One node sends to another: the link does what it does.
    pub(super) fn transmit(&mut self, from: Seat, to: Seat, parcel: &Rc<Parcel>) {
        let way = Way {
            now: self.now,
            from,
            to,
            heal_at: self.scenario.heal_at,
        };
        let (chance, marks) = (&mut self.chance, &mut self.marks);
        let links = &self.scenario.links;
        for (at, parcel) in self.network.carry(links, way, parcel, chance, marks) {
            self.agenda
                .plan(at, Happening::Deliver { from, to, parcel });
        }
    }

    pub(super) fn note_delivery(&mut self, from: Seat, to: Seat, parcel: &Parcel) {
        self.trace
            .note(&[1, self.now, from as u64, to as u64, parcel.number], &[]);
    }
}
