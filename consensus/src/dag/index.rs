//! From event ids to slots: open addressing over the ids' own bytes.
//!
//! Ids are SHA-256 digests, so they need no further hashing. A forger may grind
//! ids that collide in their low bits; it pays thousands of hashes for each
//! comparison that it costs us, and layers bound its events. Never iterated.

use super::Slot;
use crate::id::Digest;

/// Places in a new table; a power of two.
const PLACES_MIN: usize = 64;

/// One place of the table: four bytes of the id, and the slot plus one (0: free).
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    tag: u32,
    taken: u32,
}

#[derive(Debug, Default)]
pub(super) struct Index {
    places: Vec<Place>,
    len: usize,
}

impl Index {
    /// The slot of this id; `is_it` compares the whole id.
    pub(super) fn find(&self, id: &Digest, is_it: impl Fn(Slot) -> bool) -> Option<Slot> {
        if self.places.is_empty() {
            return None;
        }
        let (start, tag) = hash(id);
        let mask = self.places.len() - 1;
        let mut at = start & mask;
        loop {
            let place = self.places[at];
            let slot = place.taken.checked_sub(1)?;
            if place.tag == tag && is_it(slot) {
                return Some(slot);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds an id that is not there; `id_of` gives the ids of those that are.
    pub(super) fn insert(&mut self, id: &Digest, slot: Slot, id_of: impl Fn(Slot) -> Digest) {
        // At most half full, so that a free place is near.
        if self.places.len() < 2 * (self.len + 1) {
            let places = (self.places.len() * 2).max(PLACES_MIN);
            let before = std::mem::replace(&mut self.places, vec![Place::default(); places]);
            for slot in before.iter().filter_map(|place| place.taken.checked_sub(1)) {
                self.put(&id_of(slot), slot);
            }
        }
        self.put(id, slot);
        self.len += 1;
    }

    fn put(&mut self, id: &Digest, slot: Slot) {
        let (start, tag) = hash(id);
        let mask = self.places.len() - 1;
        let mut at = start & mask;
        while self.places[at].taken != 0 {
            at = (at + 1) & mask;
        }
        let taken = slot + 1;
        self.places[at] = Place { tag, taken };
    }
}

/// Where to look first, and the tag.
fn hash(id: &Digest) -> (usize, u32) {
    let b = &id.0;
    let start = u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]);
    let tag = u32::from_le_bytes([b[8], b[9], b[10], b[11]]);
    // Only low bits are used, on 32-bit machines too.
    (start as usize, tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::sha256;

    #[test]
    fn every_id_is_found_and_no_other() {
        let id = |number: Slot| sha256(b"index", &[&number.to_be_bytes()]);
        let mut index = Index::default();
        assert_eq!(index.find(&id(0), |_| true), None);
        for slot in 0..1000 {
            index.insert(&id(slot), slot, id);
        }
        for slot in 0..1000 {
            assert_eq!(index.find(&id(slot), |at| id(at) == id(slot)), Some(slot));
        }
        assert_eq!(index.find(&id(1000), |at| id(at) == id(1000)), None);
    }

    #[test]
    fn ids_that_collide_are_told_apart() {
        let id = |number: Slot| {
            let mut digest = Digest::ZERO;
            digest.0[31] = u8::try_from(number).unwrap();
            digest
        };
        let mut index = Index::default();
        (0..200).for_each(|slot| index.insert(&id(slot), slot, id));
        for slot in 0..200 {
            assert_eq!(index.find(&id(slot), |at| at == slot), Some(slot));
        }
    }
}
