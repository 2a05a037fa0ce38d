//! Graphs as text, one event a line: the notation of tests, dumps and tools.
//!
//! ```text
//! nodes: A B C*2 D              weights where they are not 1
//! rules: layered direct         or classic, received, unanimity, coin=4, supermajority
//! from 3: A B C                 who counts from round 3 on
//! A0: []
//! B0@17: []                     its creator's clock, in milliseconds
//! A1: [A0, B0]                  a parent by the same creator is the self-parent
//! A1'~: [A0]                    a twin; its coin says no
//! ```
//!
//! An event's name begins with its creator, as [`NodeIndex`] is displayed:
//! `A` to `Z`, and `N26.` and so on with a dot behind. The rest is free. All
//! behind a `#` is a comment. Without a line `nodes`, the nodes are those that
//! the names need, with one weight each.
//!
//! Deliberately absent: transactions.

use super::graph::{Graph, GraphEvent, Validator, ValidatorSet, Variant};
use crate::id::NodeIndex;
use crate::ordering::{OrderRule, Profile};

/// Why a text is no graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct NotationError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: NotationProblem,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotationProblem {
    /// There is no colon, or no list in brackets behind it.
    #[error("an event is written as A1: [A0, B0]")]
    Shape,
    /// A name does not begin with a creator.
    #[error("{0:?} does not begin with a node, A to Z or N26. and so on")]
    Name(String),
    /// A time or a number is none.
    #[error("{0:?} is no number")]
    Number(String),
    /// An unknown word in a line of rules.
    #[error("{0:?} is no rule")]
    Rule(String),
}

/// Reads a graph. What the names mean is not checked here: see [`super::explain`].
///
/// # Errors
/// The first line that is not of the notation.
pub fn parse(text: &str) -> Result<Graph, NotationError> {
    let mut graph = Graph::default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if !line.is_empty() {
            parse_line(line, &mut graph).map_err(|problem| NotationError {
                line: number,
                problem,
            })?;
        }
    }
    if graph.validators.is_empty() {
        let highest = graph.events.iter().map(|event| event.creator).max();
        let ids = highest.map_or(0..0, |highest| 0..highest + 1);
        graph.validators = ids.map(|id| Validator { id, weight: 1 }).collect();
    }
    Ok(graph)
}

fn parse_line(line: &str, graph: &mut Graph) -> Result<(), NotationProblem> {
    let (head, tail) = line.split_once(':').ok_or(NotationProblem::Shape)?;
    let (head, tail) = (head.trim(), tail.trim());
    if let Some(parents) = tail.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        let event = parse_event(head, parents, &mut graph.variant)?;
        graph.events.push(event);
    } else if head == "nodes" {
        graph.validators = tail
            .split_whitespace()
            .map(parse_node)
            .collect::<Result<_, _>>()?;
    } else if head == "rules" {
        for word in tail.split_whitespace() {
            parse_rule(word, &mut graph.variant)?;
        }
    } else if let Some(round) = head.strip_prefix("from ") {
        let members = tail
            .split_whitespace()
            .map(|word| Ok(parse_node(word)?.id))
            .collect::<Result<_, _>>()?;
        graph.sets.push(ValidatorSet {
            from_round: number(round)?,
            members,
        });
    } else {
        return Err(NotationProblem::Shape);
    }
    Ok(())
}

fn parse_event(
    head: &str,
    parents: &str,
    variant: &mut Variant,
) -> Result<GraphEvent, NotationProblem> {
    let (name, time) = match head.split_once('@') {
        None => (head, None),
        Some((name, time)) => (name, Some(number(time)?)),
    };
    let id = name.trim_end_matches('~');
    if id.len() < name.len() {
        variant.coin_bits.insert(id.to_owned(), false);
    }
    let creator = creator_of(id)?;
    let mut event = GraphEvent {
        id: id.to_owned(),
        creator,
        timestamp_ms: time,
        ..GraphEvent::default()
    };
    let parents = parents.split(',').map(str::trim);
    for parent in parents.filter(|parent| !parent.is_empty()) {
        if creator_of(parent)? == creator && event.self_parent.is_none() {
            event.self_parent = Some(parent.to_owned());
        } else {
            event.other_parents.push(parent.to_owned());
        }
    }
    Ok(event)
}

fn parse_node(word: &str) -> Result<Validator, NotationProblem> {
    let (name, weight) = word.split_once('*').unwrap_or((word, "1"));
    let dotted = format!("{name}.");
    Ok(Validator {
        id: creator_of(if name.len() == 1 { name } else { &dotted })?,
        weight: number(weight)?,
    })
}

fn parse_rule(word: &str, variant: &mut Variant) -> Result<(), NotationProblem> {
    match word.split_once('=') {
        Some(("coin", every)) => {
            variant.ordering.coin_frequency = u32::try_from(number(every)?)
                .map_err(|_| NotationProblem::Number(every.to_owned()))?;
        }
        None if word == "classic" => variant.ordering.profile = Profile::Classic,
        None if word == "layered" => variant.ordering.profile = Profile::Layered,
        None if word == "received" => variant.ordering.order = OrderRule::Received,
        None if word == "direct" => variant.ordering.order = OrderRule::Direct,
        None if word == "unanimity" => variant.ordering.unanimity = true,
        None if word == "supermajority" => variant.received_needs_supermajority = true,
        _ => return Err(NotationProblem::Rule(word.to_owned())),
    }
    Ok(())
}

fn number(text: &str) -> Result<u64, NotationProblem> {
    text.trim()
        .parse()
        .map_err(|_| NotationProblem::Number(text.to_owned()))
}

/// The node that a name begins with.
pub(crate) fn creator_of(name: &str) -> Result<u64, NotationProblem> {
    let wrong = || NotationProblem::Name(name.to_owned());
    if let Some((node, _)) = name.strip_prefix('N').and_then(|rest| rest.split_once('.')) {
        return node.parse().map_err(|_| wrong());
    }
    match name.bytes().next() {
        Some(letter @ b'A'..=b'Z') => Ok(u64::from(letter - b'A')),
        _ => Err(wrong()),
    }
}

/// The name of a node as the notation writes it before an event's number.
pub(super) fn prefix(column: usize) -> String {
    let Ok(column) = u16::try_from(column) else {
        return format!("N{column}.");
    };
    let node = NodeIndex(column).to_string();
    if node.len() == 1 { node } else { node + "." }
}

/// Whether a name, as it is, says in the notation that this column made it.
pub(super) fn names(name: &str, column: usize) -> bool {
    let free = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '\'' | '_' | '-');
    name.chars().all(free) && creator_of(name) == Ok(column as u64)
}
