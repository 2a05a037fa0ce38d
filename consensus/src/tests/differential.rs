//! The fast path against the definitions, on random graphs.

use super::drawing::{Drawing, Run};
use super::random::{Chance, Shape, graph, shuffled};
use super::reference::Reference;
use crate::event::Event;
use crate::node_set::NodeSet;
use crate::ordering::{OrderRule, Ordering, Profile};

const PROFILES: [Profile; 2] = [Profile::Classic, Profile::Layered];
const ORDERS: [OrderRule; 2] = [OrderRule::Received, OrderRule::Direct];

fn rules(profile: Profile, order: OrderRule) -> Ordering {
    Ordering {
        profile,
        order,
        unanimity: false,
        ..Ordering::STANDARD
    }
}

/// What a comparison came across.
#[derive(Debug, Default)]
struct Met {
    tosses: usize,
    forks: usize,
    judged: usize,
    ordered: usize,
    /// Layers or rounds with fewer judges than creators.
    rejected: usize,
}

impl Met {
    fn add(&mut self, other: &Self) {
        self.tosses += other.tosses;
        self.forks += other.forks;
        self.judged += other.judged;
        self.ordered += other.ordered;
        self.rejected += other.rejected;
    }
}

/// Compares everything; `what` names the graph where they differ.
fn compare(weights: &[u32], ordering: Ordering, drawing: &Drawing, what: &str) -> Met {
    let events: Vec<Event> = drawing
        .events
        .iter()
        .map(|(_, event)| event.clone())
        .collect();
    let reference = Reference::new(weights, ordering, events.clone());
    let mut run = Run::new(weights, &ordering);
    events.iter().for_each(|event| run.insert(event).unwrap());
    for (x, event) in events.iter().enumerate() {
        let slot = run.slot(event);
        let name = &drawing.events[x].0;
        let round = run.election().round_of(run.dag(), slot);
        assert_eq!(round, reference.rounds[x], "round of {name}, {what}");
        let candidate = run.election().is_candidate(slot);
        assert_eq!(candidate, reference.candidate[x], "{name}, {what}");
        for (y, other) in events.iter().enumerate().step_by(3) {
            let there = run.slot(other);
            let (dag, equal) = (run.dag(), run.dag().weights());
            assert_eq!(
                dag.ancestor(slot, there),
                reference.ancestor(x, y),
                "{what}"
            );
            assert_eq!(dag.see(slot, there), reference.see(x, y), "{what}");
            let strongly = dag.strongly_see(slot, there, equal);
            assert_eq!(strongly, reference.strongly_see(x, y), "{what}");
        }
    }
    let judges: Vec<Vec<_>> = reference
        .judges()
        .iter()
        .map(|judges| judges.iter().map(|&judge| reference.id(judge)).collect())
        .collect();
    for (x, elected) in reference.verdicts().into_iter().flatten() {
        let famous = run.election().famous(run.dag(), run.slot(&events[x]));
        assert_eq!(famous, Some(elected), "{}, {what}", drawing.events[x].0);
    }
    if ordering.unanimity {
        // What the first votes showed at the time, a later fork may hide.
        assert!(run.judges.starts_with(&judges), "judges, {what}");
    } else {
        assert_eq!(run.judges, judges, "judges, {what}");
        let ordered = reference.ordered().into_iter();
        let ordered: Vec<_> = ordered.map(|(x, time)| (reference.id(x), time)).collect();
        assert_eq!(run.ordered, ordered, "order, {what}");
    }
    assert_eq!(run.waiting(), events.len() - run.ordered.len());
    Met {
        tosses: reference.tosses.get(),
        forks: (0..u32::try_from(events.len()).unwrap())
            .filter(|&slot| run.dag().vertex(slot).forked != NodeSet::default())
            .count(),
        judged: run.judges.len(),
        ordered: run.ordered.len(),
        rejected: run
            .judges
            .iter()
            .filter(|judges| judges.len() < weights.len())
            .count(),
    }
}

fn shape(members: usize, events: usize, forkers: usize) -> Shape {
    Shape {
        members,
        events,
        forkers,
    }
}

/// Compares graphs of these seeds under all rules.
fn campaign(seeds: std::ops::Range<u64>, shape: Shape) -> Met {
    let mut met = Met::default();
    for seed in seeds {
        let drawing = graph(seed, shape);
        for profile in PROFILES {
            for order in ORDERS {
                let ordering = rules(profile, order);
                let what = format!("{shape:?} seed {seed} {profile:?} {order:?}");
                met.add(&compare(&vec![1; shape.members], ordering, &drawing, &what));
            }
        }
    }
    met
}

#[test]
fn decisions_and_order_are_those_of_the_definitions() {
    let met = campaign(0..8, shape(4, 60, 0));
    assert!(met.ordered > 500 && met.judged > 100, "{met:?}");
    for members in [1, 2, 3, 5, 6, 7, 10] {
        let met = campaign(20..22, shape(members, 40 + 6 * members, 0));
        assert!(met.ordered > 0, "{members} nodes: {met:?}");
    }
}

#[test]
fn decisions_and_order_are_those_of_the_definitions_under_forks() {
    let met = campaign(100..112, shape(4, 60, 1));
    assert!(
        met.forks > 100 && met.judged > 100 && met.rejected > 20,
        "{met:?}"
    );
    let mut larger = Met::default();
    for (members, forkers) in [(5, 1), (6, 1), (7, 2), (10, 3)] {
        larger.add(&campaign(
            120..123,
            shape(members, 60 + 4 * members, forkers),
        ));
    }
    assert!(larger.forks > 100, "{larger:?}");
}

#[test]
fn weights_count_as_defined() {
    let mut met = Met::default();
    for (seed, weights) in (200..).zip([
        vec![1, 2, 3, 1],
        vec![5, 1, 1, 1, 5],
        vec![2, 2, 2, 2, 2],
        vec![0, 3, 3, 3, 1],
        vec![10, 11, 12, 13, 14, 15, 1],
    ]) {
        let drawing = graph(seed, shape(weights.len(), 60, usize::from(seed % 2 == 0)));
        for profile in PROFILES {
            for order in ORDERS {
                let what = format!("{weights:?} seed {seed} {profile:?} {order:?}");
                met.add(&compare(&weights, rules(profile, order), &drawing, &what));
            }
        }
    }
    assert!(met.ordered > 300, "{met:?}");
}

#[test]
fn the_order_of_insertion_changes_nothing() {
    for seed in 0..30 {
        let members = 1 + usize::try_from(seed % 10).unwrap();
        let shape = shape(
            members,
            120,
            usize::try_from(seed / 10).unwrap().min((members - 1) / 3),
        );
        let drawing = graph(seed, shape);
        for profile in PROFILES {
            let order = ORDERS[usize::from(seed % 3 == 0)];
            let ordering = rules(profile, order);
            let first = Run::of(members, &ordering, &drawing);
            for turn in 0..3 {
                let mut again = Run::new(&vec![1; members], &ordering);
                let order = shuffled(&drawing.events, &mut Chance(seed * 31 + turn));
                order.iter().for_each(|event| again.insert(event).unwrap());
                assert_eq!(again.judges, first.judges, "judges, {shape:?} seed {seed}");
                assert_eq!(again.blocks, first.blocks, "blocks, {shape:?} seed {seed}");
            }
        }
    }
}

/// Seeds whose graphs are split badly enough to come to a coin step.
const COIN_SEEDS: [u64; 10] = [9, 16, 23, 29, 34, 55, 61, 131, 221, 307];

#[test]
fn coins_are_tossed_as_defined() {
    let mut met = [Met::default(), Met::default()];
    for seed in COIN_SEEDS {
        let drawing = graph(seed, shape(4, 120, usize::from(seed % 2 == 0)));
        for (profile, met) in PROFILES.into_iter().zip(&mut met) {
            let ordering = Ordering {
                coin_frequency: 3,
                ..rules(profile, OrderRule::Received)
            };
            let what = format!("seed {seed} {profile:?}");
            met.add(&compare(&[1; 4], ordering, &drawing, &what));
        }
    }
    assert!(met.iter().all(|met| met.tosses >= 10), "{met:?}");
}

#[test]
fn the_shortcut_hastens_decisions_and_changes_none() {
    let mut ahead = 0;
    for seed in 0..60 {
        let members = 4 + usize::try_from(seed % 4).unwrap();
        let drawing = graph(seed, shape(members, 100, usize::from(seed % 3 == 0)));
        let plain = rules(Profile::Layered, OrderRule::Received);
        let short = Ordering {
            unanimity: true,
            ..plain
        };
        let what = format!("{members} nodes, seed {seed}");
        if seed < 12 {
            compare(&vec![1; members], short, &drawing, &what);
        }
        let slow = Run::of(members, &plain, &drawing);
        let mut fast = Run::new(&vec![1; members], &short);
        let order = shuffled(&drawing.events, &mut Chance(seed));
        order.iter().for_each(|event| fast.insert(event).unwrap());
        assert!(fast.judges.starts_with(&slow.judges), "{what}");
        assert!(fast.blocks.starts_with(&slow.blocks), "{what}");
        ahead += fast.judges.len() - slow.judges.len();
    }
    assert!(ahead > 10, "the shortcut was {ahead} layers ahead");
}

#[test]
#[ignore = "minutes; run by cargo xtask campaign election"]
fn many_more_graphs_are_decided_as_defined() {
    for (members, forkers) in [(4, 0), (4, 1), (5, 1), (7, 2)] {
        campaign(1000..1600, shape(members, 60, forkers));
    }
}
