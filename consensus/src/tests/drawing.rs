//! Graphs drawn as text, and the fast path run over them.
//!
//! The notation is the one of [`notation`]. Times are one apart, in order of the
//! drawing; each event carries its own name as its one transaction.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::block::Block;
use crate::crypto::NullSigner;
use crate::dag::{Dag, Slot};
use crate::election::Election;
use crate::engine::Engine;
use crate::event::{Event, EventHeader, ParentRef};
use crate::explain::notation;
use crate::id::{Digest, NodeIndex, PublicKey, Timestamp};
use crate::interface::RefusalReason;
use crate::limits::Limits;
use crate::ordering::Ordering;

/// Events by name, in the order of the drawing.
#[derive(Debug, Default, Clone)]
pub(super) struct Drawing {
    pub(super) events: Vec<(String, Event)>,
    places: BTreeMap<String, usize>,
}

impl Drawing {
    pub(super) fn parse(text: &str) -> Self {
        let graph = notation::parse(text).unwrap();
        let mut drawing = Self::default();
        for event in graph.events {
            let says_no = graph.variant.coin_bits.get(&event.id) == Some(&false);
            let name = event.id + if says_no { "~" } else { "" };
            let parents = event.self_parent.iter().chain(&event.other_parents);
            let parents: Vec<&str> = parents.map(String::as_str).collect();
            drawing.add(&name, &parents);
        }
        drawing
    }

    pub(super) fn get(&self, name: &str) -> &Event {
        &self.events[self.places[name]].1
    }

    /// Adds an event; a parent by the same creator is its self-parent.
    pub(super) fn add(&mut self, drawn: &str, parents: &[&str]) {
        self.add_at(drawn, parents, self.events.len() as u64 + 1);
    }

    /// Adds an event whose creator's clock says this.
    pub(super) fn add_at(&mut self, drawn: &str, parents: &[&str], time: u64) {
        let name = drawn.trim_end_matches('~');
        let creator = creator_of(name);
        let own = parents
            .iter()
            .find(|parent| creator_of(parent) == creator)
            .map(|own| self.get(own));
        let mut others: Vec<ParentRef> = parents
            .iter()
            .filter(|parent| creator_of(parent) != creator)
            .map(|parent| {
                let event = self.get(parent);
                ParentRef {
                    creator: event.header().creator,
                    seq: event.header().seq,
                    id: event.id(),
                }
            })
            .collect();
        others.sort_by_key(|parent| parent.creator);
        let header = EventHeader {
            anchor: Digest::ZERO,
            epoch: 0,
            creator,
            seq: own.map_or(0, |own| own.header().seq + 1),
            timestamp: Timestamp(time),
            coin: u32::from(!drawn.ends_with('~')),
            self_parent: own.map(Event::id),
            other_parents: others,
            transaction_count: 0,
            payload_digest: Digest::ZERO,
        };
        let payload = [Bytes::copy_from_slice(name.as_bytes())];
        let event = Event::create(header, &payload, &NullSigner(PublicKey([0; 32])));
        self.places.insert(name.to_owned(), self.events.len());
        self.events.push((name.to_owned(), event));
    }

    pub(super) fn remove_last(&mut self) {
        let (name, _) = self.events.pop().unwrap();
        self.places.remove(&name);
    }
}

fn creator_of(name: &str) -> NodeIndex {
    NodeIndex(notation::creator_of(name).unwrap().try_into().unwrap())
}

/// The engine over a graph, and all that it decided.
pub(super) struct Run {
    engine: Engine,
    pub(super) judges: Vec<Vec<Digest>>,
    pub(super) ordered: Vec<(Digest, Timestamp)>,
    pub(super) blocks: Vec<Block>,
}

impl Run {
    pub(super) fn new(weights: &[u32], ordering: &Ordering) -> Self {
        let limits = Limits {
            layer_events_max: 1000,
            ..Limits::STANDARD
        };
        Self {
            engine: Engine::of(weights, ordering, &limits).unwrap(),
            judges: Vec::new(),
            ordered: Vec::new(),
            blocks: Vec::new(),
        }
    }

    pub(super) fn of(members: usize, ordering: &Ordering, drawing: &Drawing) -> Self {
        let mut run = Self::new(&vec![1; members], ordering);
        for (name, event) in &drawing.events {
            run.insert(event)
                .unwrap_or_else(|reason| panic!("{name}: {reason}"));
        }
        run
    }

    pub(super) fn insert(&mut self, event: &Event) -> Result<(), RefusalReason> {
        let (_, done) = self.engine.insert(event.clone())?;
        for decided in done {
            assert_eq!(decided.round, self.judges.len() as u64);
            let id = |slot: Slot| self.engine.dag.vertex(slot).event.id();
            self.judges
                .push(decided.judges.iter().map(|&judge| id(judge)).collect());
            let ordered = decided.events.iter();
            self.ordered
                .extend(ordered.map(|event| (id(event.slot), event.time)));
            self.blocks.extend(decided.block);
        }
        Ok(())
    }

    pub(super) fn dag(&self) -> &Dag {
        &self.engine.dag
    }

    pub(super) fn election(&self) -> &Election {
        &self.engine.election
    }

    pub(super) fn waiting(&self) -> usize {
        self.engine.order.waiting()
    }

    pub(super) fn slot(&self, event: &Event) -> Slot {
        self.dag().find(&event.id()).unwrap()
    }

    /// The names in their final order.
    pub(super) fn ordered(&self) -> Vec<String> {
        let transactions = self.blocks.iter().flat_map(|block| &block.transactions);
        transactions
            .map(|transaction| String::from_utf8(transaction.bytes.to_vec()).unwrap())
            .collect()
    }
}
