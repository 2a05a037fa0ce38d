//! The product's own code on the model's graphs: what `explain` decides, which
//! runs the very graph and election that nodes run.

use std::collections::BTreeMap;

use dctrl_consensus::{
    OrderRule, Ordering, Profile,
    explain::{Explanation, Graph as Written, GraphEvent, Validator, Variant, explain},
};

use crate::{
    draw::name,
    election::{NO, YES},
    graph::{Graph, Set, bit, elements},
    judge::{candidates, elect},
    prng::Prng,
    random::Sample,
};

/// What the product decides about the events of a set that is closed under
/// ancestry, inserted in this order.
///
/// # Errors
/// Where the product refuses the graph, which no graph of the model deserves.
fn decide(
    graph: &Graph,
    coins: &[bool],
    order: &[usize],
    unanimity: bool,
) -> Result<Explanation, String> {
    let validator = |id: usize| Validator {
        id: id as u64,
        weight: 1,
    };
    let event = |event: &usize| {
        let it = graph.event(*event);
        let others = it.parents & !it.self_parent.map_or(0, bit);
        GraphEvent {
            id: name(graph, *event),
            creator: it.creator as u64,
            self_parent: it.self_parent.map(|parent| name(graph, parent)),
            other_parents: elements(others).map(|parent| name(graph, parent)).collect(),
            ..GraphEvent::default()
        }
    };
    let coin_bits: BTreeMap<String, bool> = order
        .iter()
        .map(|event| (name(graph, *event), coins[*event]))
        .collect();
    let written = Written {
        validators: (0..graph.rules().nodes).map(validator).collect(),
        events: order.iter().map(event).collect(),
        variant: Variant {
            ordering: Ordering {
                profile: Profile::Layered,
                order: OrderRule::Received,
                unanimity,
                coin_frequency: graph.rules().coin_every,
            },
            coin_bits,
            ..Variant::default()
        },
        ..Written::default()
    };
    let explained = explain(&written).map_err(|error| format!("refused: {error}"))?;
    Ok(explained.explanation().clone())
}

/// Compares the product's layers, candidates and verdicts on the whole graph
/// with the model's. Returns the number of verdicts compared.
///
/// # Errors
/// Where they differ, with the event.
pub fn compare(graph: &Graph, coins: &[bool]) -> Result<usize, String> {
    let order: Vec<usize> = (0..graph.events().len()).collect();
    let plain = decide(graph, coins, &order, false)?;
    let quick = decide(graph, coins, &order, true)?;
    let standing = candidates(graph);
    let mut compared = 0;
    for event in order {
        let it = &plain.events[event];
        let named = |fault: &str| format!("{}: {fault}", name(graph, event));
        if it.level != graph.event(event).layer as u64 {
            return Err(named("the layers differ"));
        }
        if it.witness != standing.contains(&event) {
            return Err(named("is a candidate only for one of them"));
        }
        if !it.witness {
            continue;
        }
        let model = elect(graph, coins, event);
        let tally = model.verdicts & !crate::election::AT_ONCE;
        let plainly = verdict(&plain, event);
        for (famous, verdicts) in [(plainly, tally), (verdict(&quick, event), model.verdicts)] {
            let allowed = match famous {
                Some(true) => verdicts & YES != 0,
                Some(false) => verdicts & NO != 0,
                None => true,
            };
            if !allowed {
                return Err(named("the product decides what the model does not"));
            }
            compared += usize::from(famous.is_some());
        }
        if plainly.is_none() && tally != 0 {
            return Err(named("the model decides what the product does not"));
        }
    }
    Ok(compared)
}

/// The product's verdict on an event. One that came after its layer was closed
/// is not elected, and the product says nothing of it.
fn verdict(seen: &Explanation, event: usize) -> Option<bool> {
    let it = &seen.events[event];
    let closed = seen.judges.iter().any(|judges| judges.level == it.level);
    it.famous.or(closed.then_some(false))
}

/// Lets several observers, each with a causally closed part of the graph, its
/// own order of insertion, and with or without the shortcut, judge with the
/// product's code: layers closed by two of them have the same judges. Returns
/// the number of layers compared.
///
/// # Errors
/// Where two observers differ, with the layer.
pub fn observe(sample: &Sample, seed: u64) -> Result<usize, String> {
    const OBSERVERS: usize = 6;
    let graph = &sample.graph;
    let mut prng = Prng::new(!seed);
    let mut known: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let mut compared = 0;
    for observer in 0..OBSERVERS {
        let events = graph.events().len();
        let some = graph.event(prng.below(events)).past | graph.event(prng.below(events)).past;
        let part = if observer == 0 { Set::MAX } else { some };
        let order = shuffled(graph, part, &mut prng);
        let seen = decide(graph, &sample.coins, &order, observer % 2 == 1)?;
        for judges in seen.judges {
            compared += 1;
            let first = known
                .entry(judges.level)
                .or_insert_with(|| judges.events.clone());
            if *first != judges.events {
                return Err(format!("layer {} has different judges", judges.level));
            }
        }
    }
    Ok(compared)
}

/// The events of the part in a random order in which parents come first.
fn shuffled(graph: &Graph, part: Set, prng: &mut Prng) -> Vec<usize> {
    let mut order = Vec::new();
    let mut done: Set = 0;
    loop {
        let ready: Vec<usize> = (0..graph.events().len())
            .filter(|event| part & bit(*event) != 0 && done & bit(*event) == 0)
            .filter(|event| graph.event(*event).parents & !done == 0)
            .collect();
        if ready.is_empty() {
            return order;
        }
        let next = ready[prng.below(ready.len())];
        done |= bit(next);
        order.push(next);
    }
}
