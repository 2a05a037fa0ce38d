//! Claims about whole federations under faults.

use dctrl_sim::seals::Seals;
use dctrl_sim::{Campaign, Mark, Rules, simulate};

fn campaign(first: u64, seeds: u64, nodes: &[usize], threads: usize) -> dctrl_sim::Total {
    let nodes = nodes.to_vec();
    Campaign {
        first,
        seeds,
        nodes,
        rules: Rules::default(),
        threads,
    }
    .run(|report| {
        let replay = report.replay_command();
        assert!(
            report.violations.is_empty(),
            "{:#?}\nreplay: {replay}",
            report.violations
        );
    })
}

#[test]
fn four_nodes_agree_whatever_network_disks_clocks_and_one_liar_do() {
    let total = campaign(0, 200, &[4], 2);
    for mark in [
        Mark::Lost,
        Mark::Cut,
        Mark::Clogged,
        Mark::TailLost,
        Mark::Forked,
    ] {
        assert!(
            total.marks().count(mark) > 0,
            "no {} in {}",
            mark.name(),
            total.json()
        );
    }
}

#[test]
fn seven_nodes_agree_with_two_faults_at_once() {
    campaign(0, 60, &[7], 2);
}

#[test]
fn federations_of_other_sizes_agree_too() {
    campaign(0, 12, &[1, 2, 3, 5, 10], 2);
}

#[test]
fn the_same_seed_happens_the_same_way_twice() {
    for seed in 0..4 {
        assert_eq!(
            simulate(seed, 4, Rules::default()),
            simulate(seed, 4, Rules::default())
        );
    }
    assert_ne!(
        simulate(0, 4, Rules::default()).digest,
        simulate(1, 4, Rules::default()).digest
    );
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let json = |threads| campaign(500, 40, &[4], threads).json().to_string();
    assert_eq!(json(1), json(3));
}

#[test]
fn faults_that_begin_at_any_layer_around_a_seal_lose_and_split_nothing() {
    let seals = Seals {
        first: 0,
        seeds: 1,
        nodes: vec![4],
        rules: Rules::default(),
        threads: 2,
    };
    let (sum, failed) = seals.run();
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(sum["struck"], sum["runs"], "each fault met its layer");
}

#[test]
fn members_come_and_go_and_nobody_speaks_for_a_roster_that_is_over() {
    let total = campaign(2000, 60, &[4, 7], 2);
    for mark in [Mark::RosterChanged, Mark::FalseRoster] {
        assert!(total.marks().count(mark) > 0, "no {}", mark.name());
    }
}

#[test]
fn runs_that_once_failed_pass() {
    let once = [
        (1_000_301, 4),
        (20_000_171, 7),
        (40_010_720, 7),
        (80_007_586, 4),
        (90_010_023, 7),
    ];
    for (seed, nodes) in once {
        campaign(seed, 1, &[nodes], 1);
    }
}
