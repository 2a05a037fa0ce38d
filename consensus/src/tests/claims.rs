//! Small drawings, one claim each.

use super::drawing::{Drawing, Run};
use crate::interface::RefusalReason;
use crate::ordering::{OrderRule, Ordering, Profile};

const CLASSIC: Ordering = Ordering {
    profile: Profile::Classic,
    order: OrderRule::Received,
    ..Ordering::STANDARD
};

/// Full layers of four nodes in lock step, each naming all events of the layer before.
fn lock_step(layers: usize) -> Drawing {
    let mut drawing = Drawing::default();
    for layer in 0..layers {
        for creator in ["A", "B", "C", "D"] {
            let before: Vec<String> = match layer.checked_sub(1) {
                None => Vec::new(),
                Some(before) => ["A", "B", "C", "D"]
                    .iter()
                    .map(|c| format!("{c}{before}"))
                    .collect(),
            };
            let before: Vec<&str> = before.iter().map(String::as_str).collect();
            drawing.add(&format!("{creator}{layer}"), &before);
        }
    }
    drawing
}

#[test]
fn in_lock_step_a_round_lasts_two_layers_and_is_done_two_rounds_later() {
    let drawing = lock_step(5);
    let run = Run::of(4, &CLASSIC, &drawing);
    for (layer, round) in [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2)] {
        let slot = run.slot(drawing.get(&format!("A{layer}")));
        assert_eq!(
            run.election().round_of(run.dag(), slot),
            round,
            "layer {layer}"
        );
        assert_eq!(run.dag().vertex(slot).layer, layer);
    }
    assert_eq!(
        run.judges.len(),
        1,
        "round 0 is done by the first witness of round 2"
    );
    assert_eq!(run.judges[0].len(), 4);
    assert!(
        run.blocks.is_empty(),
        "no event but themselves is below all judges of round 0"
    );
    let mut received = Run::of(4, &CLASSIC, &lock_step(7)).ordered();
    received.sort();
    assert_eq!(received, ["A0", "A1", "B0", "B1", "C0", "C1", "D0", "D1"]);
}

#[test]
fn a_round_without_a_witness_two_later_stays_open() {
    let run = Run::of(4, &CLASSIC, &lock_step(4));
    assert_eq!(run.judges.len(), 0);
}

#[test]
fn whoever_knows_both_twins_sees_neither() {
    let drawing = Drawing::parse(
        "A0: []
         B0: []
         C0: []
         A1: [A0, B0]
         A1': [A0, C0]
         B1: [B0, A1]
         C1: [C0, A1']
         B2: [B1, C1]",
    );
    let run = Run::of(4, &CLASSIC, &drawing);
    let slot = |name: &str| run.slot(drawing.get(name));
    assert!(run.dag().see(slot("B1"), slot("A1")) && run.dag().see(slot("C1"), slot("A1'")));
    for twin in ["A1", "A1'", "A0"] {
        assert!(run.dag().ancestor(slot("B2"), slot(twin)));
        assert!(!run.dag().see(slot("B2"), slot(twin)), "{twin}");
    }
    assert!(run.dag().see(slot("B2"), slot("C0")));
}

#[test]
fn a_parent_by_a_creator_known_to_fork_makes_an_event_invalid() {
    let mut drawing = Drawing::parse(
        "A0: []
         A0': []
         B0: []
         C0: []
         B1: [B0, A0]
         C1: [C0, A0']
         B2: [B1, C1]",
    );
    let mut run = Run::of(4, &CLASSIC, &drawing);
    drawing.add("B3", &["B2", "A0"]);
    assert_eq!(
        run.insert(drawing.get("B3")),
        Err(RefusalReason::KnownForker)
    );
}

#[test]
fn an_event_that_knows_its_creators_fork_is_invalid() {
    let mut drawing = Drawing::parse(
        "A0: []
         A0': []
         B0: [A0]",
    );
    let mut run = Run::of(4, &CLASSIC, &drawing);
    drawing.add("A1'", &["A0'", "B0"]);
    assert_eq!(run.insert(drawing.get("A1'")), Err(RefusalReason::OwnFork));
}

#[test]
fn three_of_four_decide_while_one_is_silent() {
    let mut drawing = Drawing::default();
    for layer in 0..9_usize {
        for creator in ["A", "B", "C"] {
            let parents: Vec<String> = layer
                .checked_sub(1)
                .map(|before| {
                    ["A", "B", "C"]
                        .iter()
                        .map(|c| format!("{c}{before}"))
                        .collect()
                })
                .unwrap_or_default();
            let parents: Vec<&str> = parents.iter().map(String::as_str).collect();
            drawing.add(&format!("{creator}{layer}"), &parents);
        }
    }
    assert!(Run::of(4, &CLASSIC, &drawing).judges.len() >= 2);
}

#[test]
fn two_of_four_decide_nothing() {
    let mut drawing = Drawing::parse("A0: []\nB0: []");
    for layer in 1..40 {
        let (a, b) = (format!("A{}", layer - 1), format!("B{}", layer - 1));
        drawing.add(&format!("A{layer}"), &[&a, &b]);
        drawing.add(&format!("B{layer}"), &[&b, &a]);
    }
    let run = Run::of(4, &CLASSIC, &drawing);
    assert_eq!(run.judges.len(), 0);
    assert_eq!(
        run.dag().vertex(run.slot(drawing.get("A39"))).layer,
        0,
        "layers need a quorum"
    );
}

#[test]
fn consensus_time_rises_strictly_and_parents_come_first() {
    let drawing = lock_step(12);
    let run = Run::of(4, &CLASSIC, &drawing);
    let transactions: Vec<_> = run
        .blocks
        .iter()
        .flat_map(|block| &block.transactions)
        .collect();
    assert!(transactions.len() > 12);
    assert!(
        transactions
            .windows(2)
            .all(|pair| pair[0].origin.unwrap().time < pair[1].origin.unwrap().time)
    );
    assert!(
        run.blocks
            .windows(2)
            .all(|pair| pair[0].time < pair[1].time)
    );
    assert!(
        run.blocks
            .iter()
            .zip(1..)
            .all(|(block, index)| block.index == index)
    );
    let ordered = run.ordered();
    let layer = |name: &String| name[1..].parse::<u32>().unwrap();
    assert!(
        ordered
            .windows(2)
            .all(|pair| layer(&pair[0]) <= layer(&pair[1]))
    );
}
