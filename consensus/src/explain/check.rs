//! From names to positions: a graph whose events all have their parents.
//!
//! What is refused here no engine could take: names that lead nowhere, and
//! parents that no honest or lying node could have signed. Forks are no
//! fault of a graph.

use std::collections::{BTreeMap, BTreeSet};

use super::error::{EventProblem, GraphError, SetProblem};
use super::graph::{GRAPH_EVENTS_MAX, Graph, GraphEvent, Validator};
use crate::id::{NodeIndex, Timestamp};
use crate::ordering::Profile;
use crate::roster::ROSTER_MEMBERS_MAX;

/// The sum of weights at most: what the engine counts in 32 bits, three times over.
const WEIGHT_MAX: u64 = 1 << 30;
/// Steps from one coin to the next at least: one must be left to decide in.
const COIN_FREQUENCY_MIN: u32 = 3;

/// A graph by positions: of validators, and of events in the file's order.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) weights: Vec<u32>,
    /// Ascending by round; the first from round 0.
    pub(super) sets: Vec<CheckedSet>,
    pub(super) events: Vec<CheckedEvent>,
    /// The positions of the events, parents first and else as in the file.
    pub(super) order: Vec<usize>,
}

#[derive(Debug)]
pub(super) struct CheckedSet {
    pub(super) from_round: u64,
    pub(super) members: Vec<NodeIndex>,
}

#[derive(Debug)]
pub(super) struct CheckedEvent {
    pub(super) creator: NodeIndex,
    pub(super) seq: u64,
    pub(super) time: Timestamp,
    pub(super) self_parent: Option<usize>,
    pub(super) other_parents: Vec<usize>,
}

impl CheckedEvent {
    fn parents(&self) -> impl Iterator<Item = usize> + '_ {
        self.self_parent.iter().chain(&self.other_parents).copied()
    }
}

/// Checks everything that can be checked without an election.
pub(super) fn check(graph: &Graph) -> Result<Checked, GraphError> {
    let columns = columns(graph)?;
    let weight = |validator: &Validator| u32::try_from(validator.weight);
    let weights = graph
        .validators
        .iter()
        .map(weight)
        .collect::<Result<_, _>>();
    let weights = weights.map_err(|_| GraphError::Weights)?;
    let sets = sets(graph, &columns)?;
    if graph.variant.ordering.coin_frequency < COIN_FREQUENCY_MIN {
        return Err(GraphError::CoinFrequency(
            graph.variant.ordering.coin_frequency,
        ));
    }
    if graph.events.len() > GRAPH_EVENTS_MAX {
        return Err(GraphError::TooManyEvents(graph.events.len()));
    }
    let mut places = BTreeMap::new();
    for (place, event) in graph.events.iter().enumerate() {
        if places.insert(event.id.as_str(), place).is_some() {
            return Err(wrong(event, EventProblem::Twice));
        }
    }
    let mut events = graph
        .events
        .iter()
        .map(|event| resolve(event, graph, &columns, &places))
        .collect::<Result<Vec<_>, _>>()?;
    let order = parents_first(graph, &events)?;
    number(graph, &mut events, &order)?;
    Ok(Checked {
        weights,
        sets,
        events,
        order,
    })
}

fn wrong(event: &GraphEvent, problem: EventProblem) -> GraphError {
    GraphError::Event {
        event: event.id.clone(),
        problem,
    }
}

/// The column of each validator by its id.
fn columns(graph: &Graph) -> Result<BTreeMap<u64, NodeIndex>, GraphError> {
    let count = graph.validators.len();
    if count == 0 || count > ROSTER_MEMBERS_MAX {
        return Err(GraphError::Validators(count));
    }
    let mut columns = BTreeMap::new();
    let mut total: u64 = 0;
    for (column, validator) in (0..).zip(&graph.validators) {
        if columns.insert(validator.id, NodeIndex(column)).is_some() {
            return Err(GraphError::ValidatorTwice(validator.id));
        }
        total = total.saturating_add(validator.weight);
    }
    if total == 0 || total >= WEIGHT_MAX {
        return Err(GraphError::Weights);
    }
    Ok(columns)
}

fn sets(graph: &Graph, columns: &BTreeMap<u64, NodeIndex>) -> Result<Vec<CheckedSet>, GraphError> {
    if graph.sets.is_empty() {
        let members = columns.values().copied().collect();
        return Ok(vec![CheckedSet {
            from_round: 0,
            members,
        }]);
    }
    let mut checked: Vec<CheckedSet> = Vec::with_capacity(graph.sets.len());
    for set in &graph.sets {
        let from_round = set.from_round;
        let wrong = |problem| GraphError::Set {
            from_round,
            problem,
        };
        let rises = checked
            .last()
            .map_or(from_round == 0, |last| last.from_round < from_round);
        if !rises {
            return Err(wrong(SetProblem::Order));
        }
        if !checked.is_empty() && graph.variant.ordering.profile == Profile::Layered {
            return Err(wrong(SetProblem::Layered));
        }
        let mut members = BTreeSet::new();
        let mut weight = 0;
        for &id in &set.members {
            let column = *columns.get(&id).ok_or(wrong(SetProblem::Stranger(id)))?;
            if !members.insert(column) {
                return Err(wrong(SetProblem::Twice(id)));
            }
            weight += graph.validators[column.position()].weight;
        }
        if weight == 0 {
            return Err(wrong(SetProblem::Empty));
        }
        let members = members.into_iter().collect();
        checked.push(CheckedSet {
            from_round,
            members,
        });
    }
    Ok(checked)
}

/// Creator and parents of one event. Its place and time follow later, when
/// those of its parents are known.
fn resolve(
    event: &GraphEvent,
    graph: &Graph,
    columns: &BTreeMap<u64, NodeIndex>,
    places: &BTreeMap<&str, usize>,
) -> Result<CheckedEvent, GraphError> {
    let fail = |problem| Err(wrong(event, problem));
    let Some(&creator) = columns.get(&event.creator) else {
        return fail(EventProblem::Stranger(event.creator));
    };
    let place = |name: &String| {
        places
            .get(name.as_str())
            .copied()
            .ok_or_else(|| wrong(event, EventProblem::UnknownParent(name.clone())))
    };
    let self_parent = event.self_parent.as_ref().map(place).transpose()?;
    if let Some(parent) = self_parent.map(|at| &graph.events[at])
        && parent.creator != event.creator
    {
        let (parent, creator) = (parent.id.clone(), parent.creator);
        return fail(EventProblem::ForeignSelfParent { parent, creator });
    }
    let mut other_parents: BTreeMap<u64, usize> = BTreeMap::new();
    for name in &event.other_parents {
        let at = place(name)?;
        let by = graph.events[at].creator;
        if by == event.creator && graph.events[at].id != event.id {
            return fail(EventProblem::OwnOtherParent(name.clone()));
        }
        if other_parents.insert(by, at).is_some() {
            return fail(EventProblem::TwoOtherParents(by));
        }
    }
    let mut other_parents: Vec<usize> = other_parents.into_values().collect();
    other_parents.sort_by_key(|&at| columns.get(&graph.events[at].creator));
    Ok(CheckedEvent {
        creator,
        seq: 0,
        time: Timestamp(0),
        self_parent,
        other_parents,
    })
}

/// The positions of the events with parents first, and else in the order of
/// the file.
fn parents_first(graph: &Graph, events: &[CheckedEvent]) -> Result<Vec<usize>, GraphError> {
    let mut missing: Vec<usize> = events.iter().map(|event| event.parents().count()).collect();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); events.len()];
    for (place, event) in events.iter().enumerate() {
        for parent in event.parents() {
            children[parent].push(place);
        }
    }
    let mut ready: BTreeSet<usize> = (0..events.len()).filter(|&at| missing[at] == 0).collect();
    let mut order = Vec::with_capacity(events.len());
    while let Some(place) = ready.pop_first() {
        order.push(place);
        for &child in &children[place] {
            missing[child] -= 1;
            if missing[child] == 0 {
                ready.insert(child);
            }
        }
    }
    match missing.iter().position(|&count| count > 0) {
        None => Ok(order),
        Some(stuck) => {
            let on_cycle = on_cycle(events, &missing, stuck);
            Err(wrong(&graph.events[on_cycle], EventProblem::Cycle))
        }
    }
}

/// An event on a cycle: going down from a stuck event by stuck parents leads
/// into one, and has been around after as many steps as there are events.
fn on_cycle(events: &[CheckedEvent], missing: &[usize], stuck: usize) -> usize {
    let down = |at: usize| events[at].parents().find(|&parent| missing[parent] > 0);
    (0..events.len()).fold(stuck, |at, _| down(at).unwrap_or(at))
}

/// Gives each event its place in its creator's chain and its time.
fn number(graph: &Graph, events: &mut [CheckedEvent], order: &[usize]) -> Result<(), GraphError> {
    for &place in order {
        let said = &graph.events[place];
        let fail = |problem| Err(wrong(said, problem));
        let before = events[place].self_parent.map(|parent| events[parent].seq);
        let seq = before.map_or(0, |before| before + 1);
        match (said.index, before) {
            (Some(index), None) if index > 0 => return fail(EventProblem::NoSelfParent(index)),
            (Some(index), Some(_)) if index != seq => {
                let expected = seq;
                return fail(EventProblem::WrongIndex { index, expected });
            }
            _ => {}
        }
        let latest = events[place]
            .parents()
            .map(|parent| events[parent].time)
            .max();
        let time = match (said.timestamp_ms, latest) {
            (Some(millis), _) if millis > Timestamp(u64::MAX).as_millis() / 2 => {
                return fail(EventProblem::Time);
            }
            (Some(millis), _) => Timestamp::from_millis(millis),
            (None, None) => Timestamp(0),
            (None, Some(latest)) => latest.after(Timestamp::from_millis(1).0),
        };
        events[place].seq = seq;
        events[place].time = time;
    }
    Ok(())
}
