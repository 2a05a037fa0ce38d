//! The layers that could come next: for each line the events that it could
//! make, those with equal consequences once.
//!
//! Events of one layer have no parents among each other here, so the layer is
//! a product over the lines. Two events of one line have equal consequences
//! if they know the same of what can still matter; that depends on how far
//! the other lines come with the same layer, so it is judged for each
//! combination of what the lines reach. In the last layer only decisions and
//! first votes count, for nothing comes after it.

use crate::{
    key,
    world::{Family, HONEST, LIAR, LINES, Move, World},
};

/// An event that a line could make.
struct Outcome {
    step: Option<Move>,
    /// The steps of the election that its line has reached then.
    reached: u16,
    world: Option<World>,
}

/// Every layer that could come next.
pub(crate) fn layers_over(world: &World, family: &Family) -> Vec<Vec<Move>> {
    let last = world.graph.top_layer() + 2 == family.layers;
    let outcomes: Vec<Vec<Outcome>> = (0..LINES)
        .map(|line| outcomes(world, family, line))
        .collect();
    let classes: Vec<Vec<u16>> = outcomes
        .iter()
        .map(|of_line| {
            let mut classes: Vec<u16> = of_line.iter().map(|o| o.reached).collect();
            classes.sort_unstable();
            classes.dedup();
            classes
        })
        .collect();
    let mut layers = Vec::new();
    for class in product(&classes) {
        let open = class.iter().fold(0, |open, reached| open | !(reached >> 1));
        let choices: Vec<Vec<Option<Move>>> = outcomes
            .iter()
            .zip(&class)
            .map(|(of_line, reached)| distinct(of_line, *reached, open, family, last))
            .collect();
        layers.extend(
            product(&choices)
                .into_iter()
                .filter(|layer| layer[LIAR].is_some() || !begins_second_branch(world, layer))
                .map(|layer| layer.into_iter().flatten().collect::<Vec<Move>>())
                .filter(|layer| !layer.is_empty()),
        );
    }
    layers
}

/// A second branch without a first is a first one.
fn begins_second_branch(world: &World, layer: &[Option<Move>]) -> bool {
    world.tips[LINES - 1].is_none() && layer[LINES - 1].is_some()
}

fn outcomes(world: &World, family: &Family, line: usize) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for step in world.moves(family, line) {
        let mut after = world.clone();
        let coin_used = after.make(&step);
        outcomes.push(outcome(step, after));
        if coin_used {
            let step = Move { coin: true, ..step };
            let mut after = world.clone();
            after.make(&step);
            outcomes.push(outcome(step, after));
        }
    }
    if outcomes.is_empty() || world.may_pause(family, line) {
        // A line that has stopped for good needs no votes any more.
        let rests = |tip: usize| {
            let layer = world.graph.event(tip).layer;
            layer + family.pause > world.graph.top_layer()
        };
        let reached = match world.tips[line] {
            Some(tip) if line < HONEST || rests(tip) => world.election.reached(tip),
            _ => u16::MAX,
        };
        outcomes.push(Outcome {
            step: None,
            reached,
            world: None,
        });
    }
    outcomes
}

fn outcome(step: Move, world: World) -> Outcome {
    let made = world.graph.events().len() - 1;
    Outcome {
        step: Some(step),
        reached: world.election.reached(made),
        world: Some(world),
    }
}

fn distinct(
    outcomes: &[Outcome],
    reached: u16,
    open: u16,
    family: &Family,
    last: bool,
) -> Vec<Option<Move>> {
    let mut seen: Vec<Vec<u128>> = Vec::new();
    let mut moves = Vec::new();
    for outcome in outcomes.iter().filter(|o| o.reached == reached) {
        let Some(world) = &outcome.world else {
            moves.push(None);
            continue;
        };
        let words = if last {
            key::decisions(world)
        } else {
            key::consequences(world, family, open)
        };
        if !seen.contains(&words) {
            seen.push(words);
            moves.push(outcome.step);
        }
    }
    moves
}

fn product<T: Copy>(choices: &[Vec<T>]) -> Vec<Vec<T>> {
    choices.iter().fold(vec![Vec::new()], |lists, choice| {
        lists
            .iter()
            .flat_map(|list| {
                choice.iter().map(move |item| {
                    let mut longer = list.clone();
                    longer.push(*item);
                    longer
                })
            })
            .collect()
    })
}
