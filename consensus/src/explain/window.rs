//! The latest events of a running engine, with what is decided about them.

use std::collections::BTreeMap;

use super::explanation::{EventExplanation, Explanation, Judges};
use super::graph::{Graph, GraphEvent, Validator, Variant};
use super::notation::prefix;
use crate::dag::{Dag, Slot};
use crate::election::Election;
use crate::id::NodeIndex;
use crate::order::Order;
use crate::ordering::Ordering;

/// Events of one window at most: what a picture can still show.
pub const WINDOW_EVENTS_MAX: usize = 2000;

/// The latest events of a graph. Names are those of the notation; a parent
/// below the window is named, but not there. Transactions are left out, and so
/// is which round received an event: a running engine does not keep that.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Window {
    /// The events, in the order in which this node took them in.
    pub graph: Graph,
    /// What is decided about them.
    pub explanation: Explanation,
    /// How many earlier events of the graph are not in the window. With none,
    /// the graph can be explained like any other.
    pub earlier: u64,
}

/// The running engine that a window is cut from.
pub(crate) struct Running<'a> {
    pub(crate) dag: &'a Dag,
    pub(crate) election: &'a Election,
    pub(crate) order: &'a Order,
    pub(crate) ordering: &'a Ordering,
}

impl Running<'_> {
    /// The latest events, `events_max` or [`WINDOW_EVENTS_MAX`] at most.
    pub(crate) fn window(&self, events_max: usize) -> Window {
        let len = self.dag.len();
        let first = len - len.min(events_max.min(WINDOW_EVENTS_MAX));
        let slots = || (first..len).filter_map(|at| Slot::try_from(at).ok());
        let validators =
            (0..self.dag.creators().count() as u64).map(|id| Validator { id, weight: 1 });
        let mut graph = Graph {
            validators: validators.collect(),
            variant: Variant {
                ordering: *self.ordering,
                ..Variant::default()
            },
            ..Graph::default()
        };
        for slot in slots() {
            let event = self.event(slot);
            if self.dag.vertex(slot).event.header().coin & 1 == 0 {
                graph.variant.coin_bits.insert(event.id.clone(), false);
            }
            graph.events.push(event);
        }
        Window {
            graph,
            explanation: Explanation {
                profile: self.ordering.profile,
                events: slots().map(|slot| self.decided(slot)).collect(),
                blocks: Vec::new(),
                judges: self.judges(slots()),
            },
            earlier: first as u64,
        }
    }

    /// Creator, place in the chain, and a tick for each twin before.
    fn name(&self, slot: Slot) -> String {
        let vertex = self.dag.vertex(slot);
        let twins = self.dag.all_at(vertex.creator(), vertex.seq());
        let ticks = "'".repeat(twins.filter(|&twin| twin < slot).count());
        let node = prefix(vertex.creator().position());
        format!("{node}{}{ticks}", vertex.seq())
    }

    fn event(&self, slot: Slot) -> GraphEvent {
        let vertex = self.dag.vertex(slot);
        let others = vertex.other_parents.iter();
        GraphEvent {
            id: self.name(slot),
            creator: u64::from(vertex.creator().0),
            index: Some(vertex.seq()),
            self_parent: vertex.self_parent.map(|parent| self.name(parent)),
            other_parents: others.map(|&parent| self.name(parent)).collect(),
            transactions: Vec::new(),
            timestamp_ms: Some(vertex.event.header().timestamp.as_millis()),
        }
    }

    fn decided(&self, slot: Slot) -> EventExplanation {
        let vertex = self.dag.vertex(slot);
        let forked = self
            .dag
            .creators()
            .filter(|&node| vertex.forked.contains(node));
        EventExplanation {
            level: self.election.round_of(self.dag, slot),
            witness: self.election.is_candidate(slot),
            famous: self.election.famous(self.dag, slot),
            ordered: self.order.has(self.dag, slot),
            lamport: vertex.lamport,
            forked_creators_seen: forked.map(|node| u64::from(node.0)).collect(),
            twin: self.dag.twin_of(&vertex.event).is_some(),
            ..EventExplanation::default()
        }
    }

    /// The elected of each level that is done, one for each creator.
    fn judges(&self, slots: impl Iterator<Item = Slot>) -> Vec<Judges> {
        let mut levels: BTreeMap<u64, BTreeMap<NodeIndex, Slot>> = BTreeMap::new();
        let elected = |&slot: &Slot| self.election.famous(self.dag, slot) == Some(true);
        for slot in slots.filter(elected) {
            let level = self.election.round_of(self.dag, slot);
            if level >= self.election.first_open() {
                continue;
            }
            let vertex = self.dag.vertex(slot);
            let judges = levels.entry(level).or_default();
            let kept = judges.entry(vertex.creator()).or_insert(slot);
            if vertex.event.id() < self.dag.vertex(*kept).event.id() {
                *kept = slot;
            }
        }
        let named = levels.into_iter().map(|(level, judges)| Judges {
            level,
            events: judges.into_values().map(|slot| self.name(slot)).collect(),
        });
        named.collect()
    }
}
