//! The latest events of a running node.

use dctrl_consensus::{
    OrderRule, Ordering, Profile,
    explain::{EventExplanation, Explanation, Graph, GraphEvent, Judges, Validator, Variant},
};
use dctrl_proto::v1::{DagEvent, DagReply, GetDagRequest};

use crate::{context::Context, failure::Failure};

/// Asks for the latest events, and what the node decides about them.
pub(super) async fn latest(
    context: &Context,
    events_max: u32,
) -> Result<(Graph, Explanation), Failure> {
    let request = GetDagRequest { events_max };
    let answer = context
        .nodes
        .query(async |mut client| client.get_dag(request).await)
        .await?;
    Ok(graph(answer.reply))
}

fn graph(reply: DagReply) -> (Graph, Explanation) {
    let profile = if reply.layered {
        Profile::Layered
    } else {
        Profile::Classic
    };
    let order = if reply.direct {
        OrderRule::Direct
    } else {
        OrderRule::Received
    };
    let says_no = reply.events.iter().filter(|event| !event.coin);
    let variant = Variant {
        ordering: Ordering {
            profile,
            order,
            unanimity: reply.unanimity,
            coin_frequency: reply.coin_frequency,
        },
        coin_bits: says_no.map(|event| (event.id.clone(), false)).collect(),
        received_needs_supermajority: false,
    };
    let validators = (0..reply.nodes).map(|id| Validator {
        id: id.into(),
        weight: 1,
    });
    let judges = reply.judges.into_iter().map(|judges| Judges {
        level: judges.level,
        events: judges.events,
    });
    let explanation = Explanation {
        profile,
        events: reply.events.iter().map(decided).collect(),
        blocks: Vec::new(),
        judges: judges.collect(),
    };
    let graph = Graph {
        validators: validators.collect(),
        sets: Vec::new(),
        events: reply.events.into_iter().map(event).collect(),
        variant,
    };
    (graph, explanation)
}

fn decided(event: &DagEvent) -> EventExplanation {
    EventExplanation {
        level: event.level,
        witness: event.witness,
        famous: event.famous,
        ordered: event.ordered,
        lamport: event.lamport,
        forked_creators_seen: event
            .forked_creators_seen
            .iter()
            .map(|&creator| creator.into())
            .collect(),
        twin: event.twin,
        ..EventExplanation::default()
    }
}

fn event(event: DagEvent) -> GraphEvent {
    GraphEvent {
        id: event.id,
        creator: event.creator.into(),
        index: Some(event.index),
        self_parent: (!event.self_parent.is_empty()).then_some(event.self_parent),
        other_parents: event.other_parents,
        transactions: Vec::new(),
        timestamp_ms: Some(event.timestamp_ms),
    }
}
