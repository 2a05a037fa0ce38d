//! Graphs and explanations as JSON: the shapes that checkers of other
//! implementations exchange.
//!
//! Unknown fields are passed over; what is optional may also be `null`.

use std::collections::BTreeMap;

use dctrl_consensus::{
    OrderRule, Profile,
    explain::{EventExplanation, Explanation, Graph, GraphEvent, Validator, ValidatorSet, Variant},
};
use dctrl_proto::v1::{Refusal, RefusalCode};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

use crate::failure::Failure;

#[derive(Deserialize)]
struct GraphShape {
    validators: Vec<ValidatorShape>,
    validator_sets: Option<Vec<SetShape>>,
    events: Vec<Value>,
    variant: Option<VariantShape>,
}

#[derive(Serialize, Deserialize)]
struct ValidatorShape {
    id: u64,
    weight: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct SetShape {
    from_round: u64,
    members: Vec<u64>,
}

#[derive(Serialize, Deserialize)]
struct EventShape {
    id: String,
    creator: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    self_parent: Option<String>,
    other_parents: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    txs: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp_ms: Option<u64>,
}

#[derive(Default, Serialize, Deserialize)]
struct VariantShape {
    profile: Option<ProfileShape>,
    order: Option<OrderShape>,
    coin_freq: Option<u32>,
    coin_bits: Option<BTreeMap<String, bool>>,
    received_needs_supermajority: Option<bool>,
    unanimity: Option<bool>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ProfileShape {
    Classic,
    Layered,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OrderShape {
    Received,
    Direct,
}

/// Reads a graph.
///
/// # Errors
/// Where the bytes are no JSON of this shape; a wrong event is named.
pub(super) fn parse(bytes: &[u8]) -> Result<Graph, Failure> {
    let shape: GraphShape =
        serde_json::from_slice(bytes).map_err(|error| wrong("", error.to_string()))?;
    let weighted = |validator: ValidatorShape| Validator {
        id: validator.id,
        weight: validator.weight.unwrap_or(1),
    };
    let set = |set: SetShape| ValidatorSet {
        from_round: set.from_round,
        members: set.members,
    };
    let events = shape.events.into_iter().enumerate();
    Ok(Graph {
        validators: shape.validators.into_iter().map(weighted).collect(),
        sets: shape
            .validator_sets
            .unwrap_or_default()
            .into_iter()
            .map(set)
            .collect(),
        events: events
            .map(|(place, value)| parse_event(place, value))
            .collect::<Result<_, _>>()?,
        variant: variant(shape.variant.unwrap_or_default()),
    })
}

fn wrong(event: &str, message: String) -> Failure {
    Failure::Refused(Refusal::field(
        RefusalCode::Invalid,
        "graph.json",
        event,
        message,
    ))
}

fn parse_event(place: usize, value: Value) -> Result<GraphEvent, Failure> {
    let name = match value.get("id") {
        Some(Value::String(id)) => id.clone(),
        _ => format!("number {place}"),
    };
    let event: EventShape = serde_json::from_value(value)
        .map_err(|error| wrong(&name, format!("event {name}: {error}")))?;
    Ok(GraphEvent {
        id: event.id,
        creator: event.creator,
        index: event.index,
        self_parent: event.self_parent,
        other_parents: event.other_parents.unwrap_or_default(),
        transactions: event.txs.unwrap_or_default(),
        timestamp_ms: event.timestamp_ms,
    })
}

fn variant(shape: VariantShape) -> Variant {
    let mut variant = Variant::default();
    let ordering = &mut variant.ordering;
    if let Some(profile) = shape.profile {
        ordering.profile = match profile {
            ProfileShape::Classic => Profile::Classic,
            ProfileShape::Layered => Profile::Layered,
        };
    }
    if let Some(order) = shape.order {
        ordering.order = match order {
            OrderShape::Received => OrderRule::Received,
            OrderShape::Direct => OrderRule::Direct,
        };
    }
    if let Some(frequency) = shape.coin_freq {
        ordering.coin_frequency = frequency;
    }
    if let Some(unanimity) = shape.unanimity {
        ordering.unanimity = unanimity;
    }
    variant.coin_bits = shape.coin_bits.unwrap_or_default();
    variant.received_needs_supermajority = shape.received_needs_supermajority.unwrap_or_default();
    variant
}

/// A graph in the shape that [`parse`] reads.
#[derive(Serialize)]
pub(super) struct GraphJson {
    validators: Vec<ValidatorShape>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    validator_sets: Vec<SetShape>,
    events: Vec<EventShape>,
    variant: VariantShape,
}

impl From<&Graph> for GraphJson {
    fn from(graph: &Graph) -> Self {
        let validators = graph.validators.iter().map(|validator| ValidatorShape {
            id: validator.id,
            weight: Some(validator.weight),
        });
        let sets = graph.sets.iter().map(|set| SetShape {
            from_round: set.from_round,
            members: set.members.clone(),
        });
        let events = graph.events.iter().map(|event| EventShape {
            id: event.id.clone(),
            creator: event.creator,
            index: event.index,
            self_parent: event.self_parent.clone(),
            other_parents: Some(event.other_parents.clone()),
            txs: Some(event.transactions.clone()),
            timestamp_ms: event.timestamp_ms,
        });
        Self {
            validators: validators.collect(),
            validator_sets: sets.collect(),
            events: events.collect(),
            variant: VariantShape::from(&graph.variant),
        }
    }
}

impl From<&Variant> for VariantShape {
    fn from(variant: &Variant) -> Self {
        let ordering = &variant.ordering;
        Self {
            profile: Some(match ordering.profile {
                Profile::Classic => ProfileShape::Classic,
                Profile::Layered => ProfileShape::Layered,
            }),
            order: Some(match ordering.order {
                OrderRule::Received => OrderShape::Received,
                OrderRule::Direct => OrderShape::Direct,
            }),
            coin_freq: Some(ordering.coin_frequency),
            coin_bits: Some(variant.coin_bits.clone()),
            received_needs_supermajority: Some(variant.received_needs_supermajority),
            unanimity: Some(ordering.unanimity),
        }
    }
}

/// An explanation with the names of its graph.
pub(super) struct ExplanationJson<'a> {
    pub(super) graph: &'a Graph,
    pub(super) explanation: &'a Explanation,
}

struct EventsJson<'a>(&'a ExplanationJson<'a>);
struct JudgesJson<'a>(&'a Explanation);

#[derive(Serialize)]
struct EventJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    round: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layer: Option<u64>,
    witness: bool,
    famous: Option<bool>,
    round_received: Option<u64>,
    lamport: u64,
    order: Option<u64>,
    forked_creators_seen: &'a [u64],
}

#[derive(Serialize)]
struct BlockJson<'a> {
    index: u64,
    round_received: u64,
    txs: &'a [String],
    timestamp_ms: u64,
}

impl Serialize for ExplanationJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let blocks: Vec<BlockJson<'_>> = self
            .explanation
            .blocks
            .iter()
            .map(|block| BlockJson {
                index: block.index,
                round_received: block.received,
                txs: &block.transactions,
                timestamp_ms: block.timestamp_ms,
            })
            .collect();
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("events", &EventsJson(self))?;
        map.serialize_entry("blocks", &blocks)?;
        map.serialize_entry("judges", &JudgesJson(self.explanation))?;
        map.end()
    }
}

impl Serialize for EventsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let explanation = self.0.explanation;
        let decided = explanation.events.iter();
        serializer.collect_map(
            self.0
                .graph
                .events
                .iter()
                .zip(decided)
                .map(|(event, decided)| (&event.id, event_json(explanation.profile, decided))),
        )
    }
}

fn event_json(profile: Profile, event: &EventExplanation) -> EventJson<'_> {
    let level = |of| (profile == of).then_some(event.level);
    EventJson {
        round: level(Profile::Classic),
        layer: level(Profile::Layered),
        witness: event.witness,
        famous: event.famous,
        round_received: event.received,
        lamport: event.lamport,
        order: event.order,
        forked_creators_seen: &event.forked_creators_seen,
    }
}

impl Serialize for JudgesJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let judges = self.0.judges.iter();
        serializer.collect_map(judges.map(|judges| (judges.level.to_string(), &judges.events)))
    }
}
