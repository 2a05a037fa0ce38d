//! The fast path against the definitions, on random graphs.

use super::drawing::{Drawing, Run};
use super::random::{Chance, graph, shuffled};
use super::reference::Reference;
use crate::event::Event;

fn assert_equal(members: usize, coin_frequency: u32, drawing: &Drawing, seed: u64) -> usize {
    let events: Vec<Event> = drawing
        .events
        .iter()
        .map(|(_, event)| event.clone())
        .collect();
    let reference = Reference::new(members, u64::from(coin_frequency), events.clone());
    let mut run = Run::new(members, coin_frequency);
    events.iter().for_each(|event| run.insert(event).unwrap());
    for (x, event) in events.iter().enumerate() {
        let slot = run.slot(event);
        let name = &drawing.events[x].0;
        assert_eq!(
            run.election.round_of(slot),
            reference.rounds[x],
            "round of {name}, seed {seed}"
        );
        assert_eq!(
            run.election.is_witness(slot),
            reference.witness[x],
            "{name}, seed {seed}"
        );
        for (y, other) in events.iter().enumerate().step_by(3) {
            let there = run.slot(other);
            assert_eq!(
                run.dag.ancestor(slot, there),
                reference.ancestor(x, y),
                "seed {seed}"
            );
            assert_eq!(run.dag.see(slot, there), reference.see(x, y), "seed {seed}");
            assert_eq!(
                run.dag.strongly_see(slot, there),
                reference.strongly_see(x, y),
                "seed {seed}"
            );
        }
    }
    let judges: Vec<Vec<_>> = reference
        .judges()
        .iter()
        .map(|judges| judges.iter().map(|&judge| reference.id(judge)).collect())
        .collect();
    assert_eq!(run.judges, judges, "judges, seed {seed}");
    let names: Vec<String> = reference
        .ordered()
        .iter()
        .map(|&x| drawing.events[x].0.clone())
        .collect();
    assert_eq!(run.ordered(), names, "order, seed {seed}");
    reference.tosses.get()
}

#[test]
fn rounds_fame_and_order_are_those_of_the_definitions() {
    for seed in 0..12 {
        assert_equal(4, 10, &graph(seed, 4, 60, false), seed);
    }
    assert_equal(5, 10, &graph(3, 5, 70, false), 3);
    assert_equal(3, 10, &graph(4, 3, 50, false), 4);
}

#[test]
fn rounds_fame_and_order_are_those_of_the_definitions_under_forks() {
    for seed in 100..116 {
        assert_equal(4, 10, &graph(seed, 4, 60, true), seed);
    }
}

#[test]
fn a_coin_in_every_third_step_is_tossed_as_defined() {
    // Seeds whose graphs are split badly enough to come to a coin round.
    let seeds = [47, 71, 81, 109, 160, 174, 385, 483, 662, 1059];
    let tosses: usize = seeds
        .into_iter()
        .map(|seed| assert_equal(4, 3, &graph(seed, 4, 160, seed % 2 == 0), seed))
        .sum();
    assert!(tosses >= 10, "only {tosses} coins were tossed");
}

#[test]
fn random_graphs_fork_and_decide() {
    let (mut branches, mut blocks) = (0, 0);
    for seed in 100..116 {
        let run = Run::of(4, &graph(seed, 4, 60, true));
        let top = (0..u32::try_from(run.dag.len()).unwrap())
            .filter(|&slot| !run.dag.vertex(slot).forked.is_empty());
        branches += top.count();
        blocks += run.blocks.len();
    }
    assert!(branches > 20, "only {branches} events know a fork");
    assert!(blocks > 20, "only {blocks} blocks");
}

#[test]
fn the_order_of_insertion_changes_nothing() {
    for seed in 0..40 {
        let members = 4 + usize::try_from(seed % 4).unwrap();
        let drawing = graph(seed, members, 150, seed % 2 == 0);
        let first = Run::of(members, &drawing);
        for turn in 0..3 {
            let mut again = Run::new(members, 10);
            let order = shuffled(&drawing.events, &mut Chance(seed * 31 + turn));
            order.iter().for_each(|event| again.insert(event).unwrap());
            assert_eq!(again.judges, first.judges, "judges, seed {seed}");
            assert_eq!(again.blocks, first.blocks, "blocks, seed {seed}");
        }
    }
}
