//! Claims about whole federations under faults.

use dctrl_sim::{Total, simulate};

fn run(seeds: std::ops::Range<u64>, nodes: usize) -> Total {
    let mut total = Total::default();
    for seed in seeds {
        let report = simulate(seed, nodes);
        assert!(
            report.violations.is_empty(),
            "{:#?}\nreplay: {}",
            report.violations,
            report.replay_command()
        );
        total.add(&report);
    }
    total
}

#[test]
fn four_nodes_agree_under_loss_crashes_partitions_and_a_twin() {
    let total = run(0..80, 4).json();
    for fault in ["lost", "duplicated", "cut", "crashes", "forks_proven"] {
        assert!(
            total["faults"][fault].as_u64() > Some(0),
            "no {fault} in {total}"
        );
    }
}

#[test]
fn seven_nodes_agree_with_a_twin_and_a_crash_at_once() {
    run(0..20, 7);
}

#[test]
fn one_two_three_and_five_nodes_agree_too() {
    for nodes in [1, 2, 3, 5] {
        run(0..8, nodes);
    }
}

#[test]
fn a_crash_among_several_blocks_leaves_no_gap_in_the_signatures() {
    // A node fell after several blocks of one step and before their signatures
    // were recorded; it never had a certificate again.
    run(700_009..700_010, 7);
}

#[test]
fn the_same_seed_happens_the_same_way_twice() {
    for seed in 0..4 {
        assert_eq!(simulate(seed, 4), simulate(seed, 4));
    }
    assert_ne!(simulate(0, 4).digest, simulate(1, 4).digest);
}
