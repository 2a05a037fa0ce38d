//! Graphs drawn as text, in the [`notation`](super::notation).
//!
//! Names that are not of the notation are replaced by creator and place in
//! the chain, and told in a comment. Parents that are not in the graph, since
//! it is a window of a larger one, are told in a comment as well.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::explanation::{EventExplanation, Explanation};
use super::graph::{Graph, GraphEvent};
use super::notation::{names, prefix};
use crate::ordering::{OrderRule, Ordering, Profile};

/// The graph alone. [`parse`](super::notation::parse) reads it back.
#[must_use]
pub fn draw_text(graph: &Graph) -> String {
    draw(graph, |_| None)
}

/// The graph with what the engine decides in comments.
#[must_use]
pub fn draw_text_explained(graph: &Graph, explanation: &Explanation) -> String {
    draw(graph, |at| explanation.events.get(at))
}

fn draw<'a>(graph: &Graph, decided: impl Fn(usize) -> Option<&'a EventExplanation>) -> String {
    let mut text = preamble(graph);
    let drawn = drawn_names(graph);
    let lines: Vec<String> = graph
        .events
        .iter()
        .enumerate()
        .map(|(at, event)| line(graph, event, &drawn, at))
        .collect();
    let width = lines.iter().map(|line| line.chars().count()).max();
    for (at, line) in lines.iter().enumerate() {
        let event = &graph.events[at];
        let mut comments = Vec::new();
        if drawn.by_place[at] != event.id {
            comments.push(format!("{:?}", event.id));
        }
        comments.extend(decided(at).map(verdict));
        let loose = parents(event).filter(|parent| !drawn.by_id.contains_key(parent));
        comments.extend(loose.map(|parent| format!("over {parent:?}, which is not here")));
        if comments.is_empty() {
            let _ = writeln!(text, "{line}");
        } else {
            let width = width.unwrap_or(0);
            let _ = writeln!(text, "{line:<width$}  # {}", comments.join(", "));
        }
    }
    text
}

/// Who takes part, and the rules where they are not the default.
fn preamble(graph: &Graph) -> String {
    let column = |id: u64| {
        let position = graph.validators.iter().position(|v| v.id == id);
        node_name(position.unwrap_or(graph.validators.len()))
    };
    let mut text = String::from("nodes:");
    for (at, validator) in graph.validators.iter().enumerate() {
        text += &format!(" {}", node_name(at));
        if validator.weight != 1 {
            text += &format!("*{}", validator.weight);
        }
    }
    text.push('\n');
    let variant = &graph.variant;
    text += "rules:";
    text += match variant.ordering.profile {
        Profile::Classic => " classic",
        Profile::Layered => " layered",
    };
    text += match variant.ordering.order {
        OrderRule::Received => " received",
        OrderRule::Direct => " direct",
    };
    if variant.ordering.profile == Profile::Layered && variant.ordering.unanimity {
        text += " unanimity";
    }
    if variant.ordering.coin_frequency != Ordering::STANDARD.coin_frequency {
        text += &format!(" coin={}", variant.ordering.coin_frequency);
    }
    if variant.received_needs_supermajority {
        text += " supermajority";
    }
    text.push('\n');
    for set in &graph.sets {
        let members: Vec<String> = set.members.iter().map(|&id| column(id)).collect();
        let _ = writeln!(text, "from {}: {}", set.from_round, members.join(" "));
    }
    text
}

fn node_name(column: usize) -> String {
    prefix(column).trim_end_matches('.').to_owned()
}

struct Drawn<'a> {
    by_place: Vec<String>,
    by_id: BTreeMap<&'a str, usize>,
}

/// The events' own names where all are of the notation, else creator and
/// place in the chain, with a tick for each twin before.
fn drawn_names(graph: &Graph) -> Drawn<'_> {
    let by_id: BTreeMap<&str, usize> = (0..)
        .zip(&graph.events)
        .map(|(at, event)| (event.id.as_str(), at))
        .collect();
    let columns: BTreeMap<u64, usize> = (0..)
        .zip(&graph.validators)
        .map(|(at, validator)| (validator.id, at))
        .collect();
    let column = |event: &GraphEvent| columns.get(&event.creator).copied();
    let fits = |event: &GraphEvent| column(event).is_some_and(|at| names(&event.id, at));
    if graph.events.iter().all(fits) {
        let by_place = graph.events.iter().map(|event| event.id.clone()).collect();
        return Drawn { by_place, by_id };
    }
    let places = chain_places(graph, &by_id);
    let mut taken: BTreeMap<(u64, u64), usize> = BTreeMap::new();
    let name = |(event, seq): (&GraphEvent, &u64)| {
        let before = taken.entry((event.creator, *seq)).or_default();
        let ticks = "'".repeat(*before);
        *before += 1;
        let column = column(event).unwrap_or(graph.validators.len());
        format!("{}{seq}{ticks}", prefix(column))
    };
    let by_place = graph.events.iter().zip(&places).map(name).collect();
    Drawn { by_place, by_id }
}

fn parents(event: &GraphEvent) -> impl Iterator<Item = &str> {
    event
        .self_parent
        .iter()
        .chain(&event.other_parents)
        .map(String::as_str)
}

fn line(graph: &Graph, event: &GraphEvent, drawn: &Drawn<'_>, at: usize) -> String {
    let coin = graph.variant.coin_bits.get(&event.id) == Some(&false);
    let time = event.timestamp_ms.map(|time| format!("@{time}"));
    let here: Vec<&str> = parents(event)
        .filter_map(|parent| drawn.by_id.get(parent))
        .map(|&parent| drawn.by_place[parent].as_str())
        .collect();
    format!(
        "{}{}{}: [{}]",
        drawn.by_place[at],
        if coin { "~" } else { "" },
        time.unwrap_or_default(),
        here.join(", "),
    )
}

fn verdict(event: &EventExplanation) -> String {
    let mut words = vec![event.level.to_string()];
    if event.witness {
        words.push("witness".to_owned());
        words.push(
            match event.famous {
                Some(true) => "famous",
                Some(false) => "not famous",
                None => "undecided",
            }
            .to_owned(),
        );
    }
    match event.received {
        Some(received) => words.push(format!("received in {received}")),
        None if event.ordered => words.push("ordered".to_owned()),
        None => {}
    }
    if let Some(order) = event.order {
        words.push(format!("number {order}"));
    }
    if event.twin {
        words.push("twin".to_owned());
    }
    if !event.forked_creators_seen.is_empty() {
        words.push(format!("knows forks of {:?}", event.forked_creators_seen));
    }
    words.join(" ")
}

/// The place of each event in its creator's chain: as it is said, or as far as
/// the self-parents lead down, whether or not the graph is whole.
fn chain_places(graph: &Graph, by_id: &BTreeMap<&str, usize>) -> Vec<u64> {
    let mut places: Vec<Option<u64>> = graph.events.iter().map(|event| event.index).collect();
    for start in 0..graph.events.len() {
        // A cycle of self-parents ends the walk at the events that were on it.
        let mut path = Vec::new();
        let mut walked = BTreeSet::new();
        let mut at = start;
        let mut place = loop {
            if let Some(place) = places[at] {
                break place + 1;
            }
            if !walked.insert(at) {
                break 0;
            }
            path.push(at);
            let parent = graph.events[at].self_parent.as_deref();
            match parent.and_then(|id| by_id.get(id)) {
                Some(&parent) => at = parent,
                None => break 0,
            }
        };
        while let Some(at) = path.pop() {
            if places[at].is_none() {
                places[at] = Some(place);
                place += 1;
            }
        }
    }
    places.into_iter().flatten().collect()
}
