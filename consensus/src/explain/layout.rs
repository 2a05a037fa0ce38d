//! Where the events of a drawing stand: integers only.
//!
//! A row for each (level, lamport) that occurs, so parents are always lower
//! and a round's rows lie together. A column for each validator, as wide as it
//! has branches: two events of one creator never share a place.

use std::collections::{BTreeMap, BTreeSet};

use super::explanation::Explanation;
use super::graph::Graph;

/// The events of a graph on a grid.
#[derive(Debug)]
pub(super) struct Layout {
    /// Lane and row of each event; row 0 is the oldest.
    pub(super) places: Vec<Place>,
    /// First lane and number of lanes of each column.
    pub(super) columns: Vec<(usize, usize)>,
    /// How many lanes there are.
    pub(super) lanes: usize,
    /// How many rows there are.
    pub(super) rows: usize,
    /// First and last row of each level that occurs.
    pub(super) bands: Vec<Band>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) lane: usize,
    pub(super) row: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Band {
    pub(super) level: u64,
    pub(super) first: usize,
    pub(super) last: usize,
}

pub(super) fn layout(graph: &Graph, explanation: &Explanation) -> Layout {
    let height = |at: usize| {
        let decided = explanation.events.get(at);
        decided.map_or((0, at as u64), |event| (event.level, event.lamport))
    };
    let heights: BTreeSet<(u64, u64)> = (0..graph.events.len()).map(height).collect();
    let rows: BTreeMap<(u64, u64), usize> = heights.iter().copied().zip(0..).collect();
    let branches = branches(graph, |at| rows[&height(at)]);
    let mut widths = vec![1; graph.validators.len() + 1];
    let column_of: BTreeMap<u64, usize> = (0..)
        .zip(&graph.validators)
        .map(|(column, validator)| (validator.id, column))
        .collect();
    // Whoever is no validator, in a window nobody checked, stands at the right.
    let stranger = graph.validators.len();
    let columns: Vec<usize> = graph
        .events
        .iter()
        .map(|event| column_of.get(&event.creator).copied().unwrap_or(stranger))
        .collect();
    for (&column, &branch) in columns.iter().zip(&branches) {
        widths[column] = widths[column].max(branch + 1);
    }
    if columns.iter().all(|&column| column < stranger) {
        widths.pop();
    }
    let mut lanes = 0;
    let mut starts = Vec::new();
    for width in widths {
        starts.push((lanes, width));
        lanes += width;
    }
    let places = (0..graph.events.len())
        .map(|at| Place {
            lane: starts[columns[at]].0 + branches[at],
            row: rows[&height(at)],
        })
        .collect();
    Layout {
        places,
        columns: starts,
        lanes,
        rows: rows.len(),
        bands: bands(&rows),
    }
}

/// The branch of each event within its column: its self-parent's where it is
/// the first to continue that, else the first branch that ends below it.
fn branches(graph: &Graph, row: impl Fn(usize) -> usize) -> Vec<usize> {
    let by_id: BTreeMap<&str, usize> = (0..)
        .zip(&graph.events)
        .map(|(at, event)| (event.id.as_str(), at))
        .collect();
    let mut order: Vec<usize> = (0..graph.events.len()).collect();
    order.sort_by_key(|&at| (row(at), at));
    let mut chosen = vec![0; graph.events.len()];
    let mut tops: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for at in order {
        let event = &graph.events[at];
        let tops = tops.entry(event.creator).or_default();
        let parent = event.self_parent.as_deref().and_then(|id| by_id.get(id));
        let continues = parent.and_then(|parent| tops.iter().position(|top| top == parent));
        let branch = match continues {
            Some(branch) => branch,
            None => {
                tops.push(at);
                tops.len() - 1
            }
        };
        tops[branch] = at;
        chosen[at] = branch;
    }
    chosen
}

fn bands(rows: &BTreeMap<(u64, u64), usize>) -> Vec<Band> {
    let mut bands: Vec<Band> = Vec::new();
    for (&(level, _), &row) in rows {
        match bands.last_mut().filter(|band| band.level == level) {
            Some(band) => band.last = row,
            None => bands.push(Band {
                level,
                first: row,
                last: row,
            }),
        }
    }
    bands
}
