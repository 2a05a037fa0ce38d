//! Events that are not in the graph yet.
//!
//! *Orphans* wait for parents. *Twins* are second events of a forker: they are
//! kept aside and enter the graph only when an event of someone else names
//! them, because honest nodes that met different twins must still be able to
//! build on each other. Both are bounded per creator, so a liar fills nobody's
//! share but its own. Where that is full of events whose parents never come,
//! those that events of others need are charged to these others.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::Event;
use crate::id::{Digest, NodeIndex, Timestamp};
use crate::interface::RefusalReason;
use crate::limits::Limits;
use crate::node_set::NodeSet;

#[derive(Debug)]
struct Orphan {
    event: Event,
    missing: BTreeSet<Digest>,
    payer: Payer,
}

/// Whose share an orphan fills.
#[derive(Debug, Clone, Copy)]
enum Payer {
    /// The creator's.
    Creator(NodeIndex),
    /// That of someone whose event needs it.
    Needer(NodeIndex),
}

/// A parent that someone waits for.
#[derive(Debug)]
pub(crate) struct Missing {
    pub(crate) creator: NodeIndex,
    pub(crate) seq: u64,
    /// Who sent the event that names it.
    pub(crate) from: NodeIndex,
    children: BTreeSet<Digest>,
    /// Whether events say different things about its place: one of them is
    /// wrong, and no range can be trusted to lead there.
    pub(crate) disputed: bool,
    /// When to ask for it by id, and how often that was done.
    pub(crate) ask_at: Timestamp,
    pub(crate) asked: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Share {
    events: usize,
    bytes: usize,
    twins: usize,
}

/// What waits outside the graph.
#[derive(Debug)]
pub(crate) struct Orphans {
    orphans: BTreeMap<Digest, Orphan>,
    missing: BTreeMap<Digest, Missing>,
    twins: BTreeMap<Digest, Event>,
    shares: Vec<Share>,
    /// What each creator's events need beyond the shares of others.
    needed: Vec<Share>,
}

impl Orphans {
    pub(crate) fn new(members: usize) -> Self {
        Self {
            orphans: BTreeMap::new(),
            missing: BTreeMap::new(),
            twins: BTreeMap::new(),
            shares: vec![Share::default(); members],
            needed: vec![Share::default(); members],
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.orphans.len()
    }

    pub(crate) fn holds(&self, id: &Digest) -> bool {
        self.orphans.contains_key(id) || self.twins.contains_key(id)
    }

    /// Whether an orphan names this event as a parent.
    pub(crate) fn needs(&self, id: &Digest) -> bool {
        self.missing.contains_key(id)
    }

    /// The creators of all that waits, directly or not, for this event.
    pub(crate) fn needed_by(&self, id: &Digest) -> NodeSet {
        let mut creators = NodeSet::default();
        let mut seen = BTreeSet::from([*id]);
        let mut next = vec![*id];
        while let Some(id) = next.pop() {
            let children = self.missing.get(&id).map(|missing| &missing.children);
            for child in children.into_iter().flatten() {
                if let (true, Some(orphan)) = (seen.insert(*child), self.orphans.get(child)) {
                    creators.insert(orphan.event.header().creator);
                    next.push(*child);
                }
            }
        }
        creators
    }

    pub(crate) fn missing_mut(&mut self) -> impl Iterator<Item = (&Digest, &mut Missing)> {
        self.missing.iter_mut()
    }

    pub(crate) fn twin_held(&self, id: &Digest) -> bool {
        self.twins.contains_key(id)
    }

    /// Keeps an event until these parents are there, and takes those of them
    /// that were kept aside as twins: they are needed now.
    pub(crate) fn wait(
        &mut self,
        event: Event,
        parents: &[(NodeIndex, u64, Digest)],
        from: NodeIndex,
        ask_at: Timestamp,
        limits: &Limits,
    ) -> Result<Vec<Event>, RefusalReason> {
        let bytes = event.encoded().len();
        let payer = self.payer(&event, limits);
        let payer = payer.ok_or(RefusalReason::OrphansFull)?;
        let share = self.share(payer);
        share.events += 1;
        share.bytes += bytes;
        let mut needed = Vec::new();
        for &(creator, seq, id) in parents {
            let missing = self.missing.entry(id).or_insert_with(|| Missing {
                creator,
                seq,
                from,
                children: BTreeSet::new(),
                disputed: false,
                ask_at,
                asked: 0,
            });
            missing.disputed |= (missing.creator, missing.seq) != (creator, seq);
            missing.children.insert(event.id());
            if let Some(twin) = self.twins.remove(&id) {
                self.shares[twin.header().creator.position()].twins -= 1;
                needed.push(twin);
            }
        }
        let missing = parents.iter().map(|(_, _, id)| *id).collect();
        let orphan = Orphan {
            event,
            missing,
            payer,
        };
        self.orphans.insert(orphan.event.id(), orphan);
        Ok(needed)
    }

    fn share(&mut self, payer: Payer) -> &mut Share {
        match payer {
            Payer::Creator(node) => &mut self.shares[node.position()],
            Payer::Needer(node) => &mut self.needed[node.position()],
        }
    }

    /// In whose share the event has room, if in any.
    fn payer(&self, event: &Event, limits: &Limits) -> Option<Payer> {
        let bytes = event.encoded().len();
        let room = |share: &Share| {
            share.events < limits.orphan_events_max
                && share.bytes + bytes <= limits.orphan_bytes_max
        };
        let creator = event.header().creator;
        if room(&self.shares[creator.position()]) {
            return Some(Payer::Creator(creator));
        }
        let needers = self.needed_by(&event.id());
        let mut others = needers.iter().filter(|node| *node != creator);
        let payer = others.find(|node| room(&self.needed[node.position()]));
        payer.map(Payer::Needer)
    }

    /// Keeps a twin aside. Beyond the bound it is dropped: whoever needs it
    /// asks for it by id.
    pub(crate) fn set_aside(&mut self, event: Event, limits: &Limits) {
        let share = &mut self.shares[event.header().creator.position()];
        if share.twins < limits.twins_max {
            share.twins += 1;
            self.twins.insert(event.id(), event);
        }
    }

    /// The events that waited for nothing but this one, now in the graph.
    pub(crate) fn release(&mut self, id: &Digest) -> Vec<Event> {
        let Some(missing) = self.missing.remove(id) else {
            return Vec::new();
        };
        let mut ready = Vec::new();
        for child in missing.children {
            let Some(orphan) = self.orphans.get_mut(&child) else {
                continue;
            };
            orphan.missing.remove(id);
            if orphan.missing.is_empty() {
                ready.extend(self.remove(&child));
            }
        }
        ready
    }

    /// Drops all that waits, directly or not, for an event that will never be
    /// in the graph.
    pub(crate) fn discard_children(&mut self, id: &Digest) {
        let mut dead = vec![*id];
        while let Some(id) = dead.pop() {
            let Some(missing) = self.missing.remove(&id) else {
                continue;
            };
            for child in missing.children {
                let others: Vec<Digest> = self
                    .orphans
                    .get(&child)
                    .map(|orphan| {
                        orphan
                            .missing
                            .iter()
                            .copied()
                            .filter(|other| *other != id)
                            .collect()
                    })
                    .unwrap_or_default();
                for other in others {
                    let alone = self.missing.get_mut(&other).is_some_and(|missing| {
                        missing.children.remove(&child);
                        missing.children.is_empty()
                    });
                    if alone {
                        self.missing.remove(&other);
                    }
                }
                self.remove(&child);
                dead.push(child);
            }
        }
    }

    fn remove(&mut self, id: &Digest) -> Option<Event> {
        let orphan = self.orphans.remove(id)?;
        let share = self.share(orphan.payer);
        share.events -= 1;
        share.bytes -= orphan.event.encoded().len();
        Some(orphan.event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Ed25519Signer;
    use crate::event::EventHeader;

    fn event(creator: u16, seq: u64, salt: u8) -> Event {
        let signer = Ed25519Signer::from_seed(&[7; 32]);
        let header = EventHeader {
            anchor: Digest::ZERO,
            epoch: 0,
            creator: NodeIndex(creator),
            seq,
            timestamp: Timestamp(1 + seq),
            coin: u32::from(salt),
            self_parent: Some(Digest([salt; 32])),
            other_parents: Vec::new(),
            transaction_count: 0,
            payload_digest: Digest::ZERO,
        };
        Event::create(header, &[], &signer)
    }

    fn wait(orphans: &mut Orphans, event: &Event, parent: Digest) -> Result<(), RefusalReason> {
        let limits = Limits {
            orphan_events_max: 4,
            ..Limits::STANDARD
        };
        let creator = event.header().creator;
        let parents = [(creator, 0, parent)];
        let waits = orphans.wait(event.clone(), &parents, creator, Timestamp(0), &limits);
        waits.map(drop)
    }

    #[test]
    fn a_liar_whose_share_is_full_keeps_out_nothing_that_others_need() {
        let mut orphans = Orphans::new(4);
        for junk in 0..4 {
            let junk = event(3, 9, 100 + junk);
            wait(&mut orphans, &junk, Digest([100; 32])).unwrap();
        }
        let (needed, unneeded) = (event(3, 1, 1), event(3, 2, 2));
        wait(&mut orphans, &event(1, 1, 3), needed.id()).unwrap();
        wait(&mut orphans, &needed, Digest([1; 32])).unwrap();
        assert_eq!(
            wait(&mut orphans, &unneeded, Digest([2; 32])),
            Err(RefusalReason::OrphansFull)
        );
        assert_eq!(orphans.release(&Digest([1; 32])).len(), 1);
        assert_eq!(orphans.len(), 5);
    }
    #[test]
    fn a_liar_that_names_an_event_under_a_wrong_place_does_not_hide_it() {
        let mut orphans = Orphans::new(4);
        let wanted = Digest([9; 32]);
        wait(&mut orphans, &event(3, 1, 1), wanted).unwrap();
        assert!(orphans.missing_mut().all(|(_, missing)| !missing.disputed));
        wait(&mut orphans, &event(1, 1, 2), wanted).unwrap();
        assert!(orphans.missing_mut().all(|(_, missing)| missing.disputed));
    }
}
