//! The engine over a graph: insert, elect, order, and note what it says.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::check::{Checked, check};
use super::error::GraphError;
use super::explanation::{BlockExplanation, EventExplanation, Explanation, Judges};
use super::graph::Graph;
use crate::crypto::{NullSigner, sha256};
use crate::dag::Slot;
use crate::engine::{Decided, Engine};
use crate::event::{Event, EventHeader, ParentRef};
use crate::id::{Digest, NodeIndex, PublicKey};
use crate::limits::Limits;
use crate::weights::Weights;

/// What one event may have to do with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The second is the first, or an ancestor of it.
    Ancestor,
    /// The second is an ancestor, and the first knows no fork by its creator.
    See,
    /// Events of a quorum of creators, each seen by the first, see the second.
    /// The quorum is that of the second's round.
    StronglySee,
}

/// A graph that the engine has taken in.
#[derive(Debug)]
pub struct Explained {
    explanation: Explanation,
    #[cfg(test)]
    ordering: crate::ordering::Ordering,
    engine: Engine,
    slots: BTreeMap<String, Slot>,
}

/// Runs the engine over a graph.
///
/// # Errors
/// Where the graph is malformed; an event at fault is named.
pub fn explain(graph: &Graph) -> Result<Explained, GraphError> {
    let checked = check(graph)?;
    let mut run = Run {
        engine: engine(graph, &checked)?,
        graph,
        slots: vec![0; checked.events.len()],
        checked,
        decided: Vec::new(),
    };
    run.take_all();
    Ok(run.explained())
}

/// An engine with the graph's rules, and none of the bounds of a node.
fn engine(graph: &Graph, checked: &Checked) -> Result<Engine, GraphError> {
    let variant = &graph.variant;
    let limits = Limits {
        layer_events_max: u32::MAX,
        branches_max: usize::MAX,
        ..Limits::STANDARD
    };
    let sets: Vec<(u64, Vec<u32>)> = checked
        .sets
        .iter()
        .map(|set| (set.from_round, weights_of(checked, &set.members)))
        .collect();
    // Whoever is not in the first set counts nowhere before the next.
    let first = sets
        .first()
        .map_or(&checked.weights, |(_, weights)| weights);
    let mut engine = Engine::of(first, &variant.ordering, &limits).ok_or(GraphError::Weights)?;
    if sets.len() > 1 {
        let counted = |(from, weights): (u64, Vec<u32>)| {
            let weights = Weights::of(&weights).ok_or(GraphError::Weights)?;
            Ok((from, weights))
        };
        let sets = sets
            .into_iter()
            .map(counted)
            .collect::<Result<_, GraphError>>()?;
        engine = engine.with_sets(&variant.ordering, sets);
    }
    if variant.received_needs_supermajority {
        engine = engine.needing_a_later_quorum_of_judges();
    }
    Ok(engine)
}

/// The weights, with nothing for those that are no members.
fn weights_of(checked: &Checked, members: &[NodeIndex]) -> Vec<u32> {
    let columns = checked.weights.iter().zip(0..);
    let counted = |(&weight, column)| match members.contains(&NodeIndex(column)) {
        true => weight,
        false => 0,
    };
    columns.map(counted).collect()
}

impl Explained {
    /// What the engine decides about the graph.
    #[must_use]
    pub fn explanation(&self) -> &Explanation {
        &self.explanation
    }

    /// The engine as a node would show it.
    #[cfg(test)]
    pub(super) fn window(&self, events_max: usize) -> super::Window {
        super::Running {
            dag: &self.engine.dag,
            election: &self.engine.election,
            order: &self.engine.order,
            ordering: &self.ordering,
        }
        .window(events_max)
    }

    /// Whether event `a` stands in the relation to event `b`.
    ///
    /// # Errors
    /// Where the graph has no event of one of these names.
    pub fn holds(&self, relation: Relation, a: &str, b: &str) -> Result<bool, GraphError> {
        let slot = |name: &str| {
            let slot = self.slots.get(name).copied();
            slot.ok_or_else(|| GraphError::NotThere(name.to_owned()))
        };
        let (a, b) = (slot(a)?, slot(b)?);
        Ok(match relation {
            Relation::Ancestor => self.engine.dag.ancestor(a, b),
            Relation::See => self.engine.dag.see(a, b),
            Relation::StronglySee => self.engine.strongly_see(a, b),
        })
    }
}

struct Run<'a> {
    graph: &'a Graph,
    checked: Checked,
    engine: Engine,
    /// By position in the graph.
    slots: Vec<Slot>,
    decided: Vec<Decided>,
}

impl Run<'_> {
    fn take_all(&mut self) {
        for at in 0..self.checked.order.len() {
            let place = self.checked.order[at];
            let event = self.event(place);
            let Ok((slot, decided)) = self.engine.insert_unchecked(event) else {
                unreachable!("the parents are there, and are what the event says");
            };
            self.slots[place] = slot;
            self.decided.extend(decided);
        }
    }

    fn event(&self, place: usize) -> Event {
        let said = &self.graph.events[place];
        let known = &self.checked.events[place];
        let id_of = |parent: usize| self.engine.dag.vertex(self.slots[parent]).event.id();
        let other = |&parent: &usize| ParentRef {
            creator: self.checked.events[parent].creator,
            seq: self.checked.events[parent].seq,
            id: id_of(parent),
        };
        let coin = self.graph.variant.coin_bits.get(&said.id);
        let header = EventHeader {
            // The name goes into the id by a field that decides nothing, so
            // that events which are else equal differ.
            anchor: sha256(b"dctrl/explain/1\0", &[said.id.as_bytes()]),
            epoch: 0,
            creator: known.creator,
            seq: known.seq,
            timestamp: known.time,
            coin: u32::from(coin.copied().unwrap_or(true)),
            self_parent: known.self_parent.map(id_of),
            other_parents: known.other_parents.iter().map(other).collect(),
            transaction_count: 0,
            payload_digest: Digest::ZERO,
        };
        let payload: Vec<Bytes> = said
            .transactions
            .iter()
            .map(|text| Bytes::copy_from_slice(text.as_bytes()))
            .collect();
        Event::create(header, &payload, &NullSigner(PublicKey([0; 32])))
    }

    fn explained(self) -> Explained {
        let mut events: Vec<EventExplanation> = (0..self.slots.len())
            .map(|place| self.standing(place))
            .collect();
        let places: BTreeMap<Slot, usize> = self.slots.iter().copied().zip(0..).collect();
        let (mut blocks, mut judges, mut order) = (Vec::new(), Vec::new(), 0..);
        for decided in &self.decided {
            for ordered in &decided.events {
                let event = &mut events[places[&ordered.slot]];
                event.ordered = true;
                event.received = Some(decided.round);
                event.order = order.next();
            }
            judges.push(self.judges(decided, &places));
            blocks.extend(decided.block.as_ref().map(|block| {
                BlockExplanation {
                    // The engine's blocks count from 1.
                    index: block.index - 1,
                    received: block.round,
                    transactions: block
                        .transactions
                        .iter()
                        .map(|tx| text(&tx.bytes))
                        .collect(),
                    timestamp_ms: block.time.as_millis(),
                }
            }));
        }
        let names = self.graph.events.iter().map(|event| event.id.clone());
        Explained {
            explanation: Explanation {
                profile: self.graph.variant.ordering.profile,
                events,
                blocks,
                judges,
            },
            #[cfg(test)]
            ordering: self.graph.variant.ordering,
            slots: names.zip(self.slots).collect(),
            engine: self.engine,
        }
    }

    /// The judges by name, in the order of the validators.
    fn judges(&self, decided: &Decided, places: &BTreeMap<Slot, usize>) -> Judges {
        let mut judges: Vec<usize> = decided.judges.iter().map(|slot| places[slot]).collect();
        judges.sort_by_key(|&place| self.checked.events[place].creator);
        Judges {
            level: decided.round,
            events: judges
                .into_iter()
                .map(|place| self.graph.events[place].id.clone())
                .collect(),
        }
    }

    /// What the elections make of one event.
    fn standing(&self, place: usize) -> EventExplanation {
        let slot = self.slots[place];
        let vertex = self.engine.dag.vertex(slot);
        let standing = self.engine.standing(slot);
        let forked = self.graph.validators.iter().zip(0..);
        EventExplanation {
            level: standing.round,
            witness: standing.candidate,
            famous: standing.famous,
            lamport: vertex.lamport,
            forked_creators_seen: forked
                .filter(|(_, column)| vertex.forked.contains(NodeIndex(*column)))
                .map(|(validator, _)| validator.id)
                .collect(),
            twin: self.engine.dag.twin_of(&vertex.event).is_some(),
            ..EventExplanation::default()
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
