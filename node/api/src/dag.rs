//! The node's graph of events, as a picture of it needs it.

use dctrl_consensus::{
    OrderRule, Profile,
    explain::{EventExplanation, GraphEvent, Judges, Variant, WINDOW_EVENTS_MAX, Window},
};
use dctrl_proto::v1::{DagEvent, DagJudges, DagReply, GetDagRequest};

/// Events shown where the caller names no number.
const EVENTS_DEFAULT: usize = 200;

/// How many events to show.
pub(crate) fn events_max(request: GetDagRequest) -> usize {
    match usize::try_from(request.events_max).unwrap_or(usize::MAX) {
        0 => EVENTS_DEFAULT,
        asked => asked.min(WINDOW_EVENTS_MAX),
    }
}

pub(crate) fn reply(window: Window) -> DagReply {
    let variant = &window.graph.variant;
    let ordering = &variant.ordering;
    let decided = window.explanation.events;
    let events = window.graph.events.into_iter().zip(decided);
    DagReply {
        nodes: u32::try_from(window.graph.validators.len()).unwrap_or(u32::MAX),
        layered: ordering.profile == Profile::Layered,
        direct: ordering.order == OrderRule::Direct,
        unanimity: ordering.unanimity,
        coin_frequency: ordering.coin_frequency,
        earlier_events: window.earlier,
        events: events
            .map(|(event, decided)| row(variant, event, decided))
            .collect(),
        judges: window.explanation.judges.into_iter().map(judges).collect(),
    }
}

fn row(variant: &Variant, event: GraphEvent, decided: EventExplanation) -> DagEvent {
    let creator = |id: u64| u32::try_from(id).unwrap_or(u32::MAX);
    DagEvent {
        creator: creator(event.creator),
        index: event.index.unwrap_or_default(),
        self_parent: event.self_parent.unwrap_or_default(),
        other_parents: event.other_parents,
        timestamp_ms: event.timestamp_ms.unwrap_or_default(),
        coin: variant.coin_bits.get(&event.id).copied().unwrap_or(true),
        level: decided.level,
        witness: decided.witness,
        famous: decided.famous,
        lamport: decided.lamport,
        ordered: decided.ordered,
        forked_creators_seen: decided
            .forked_creators_seen
            .into_iter()
            .map(creator)
            .collect(),
        twin: decided.twin,
        id: event.id,
    }
}

fn judges(judges: Judges) -> DagJudges {
    DagJudges {
        level: judges.level,
        events: judges.events,
    }
}
