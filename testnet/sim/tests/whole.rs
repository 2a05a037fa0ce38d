//! Claims about the whole system in one world.

use dctrl_sim::Rules;
use dctrl_sim::full::{FullCampaign, FullTotal, Planted, Size, find_planted, simulate_full};

fn campaign(first: u64, seeds: u64, nodes: &[usize], size: Size, sweep: bool) -> FullTotal {
    let campaign = FullCampaign {
        first,
        seeds,
        nodes: nodes.to_vec(),
        size,
        rules: Rules::default(),
        threads: 2,
        sweep,
    };
    campaign.run(|report| {
        let replay = report.replay_command();
        assert!(
            report.violations.is_empty(),
            "{:#?}\nreplay: {replay}",
            report.violations
        );
    })
}

#[test]
fn one_can_is_quoted_paid_dispensed_and_received() {
    let report = simulate_full(1, 4, Size::One, Rules::default());
    assert!(report.violations.is_empty(), "{:?}", report.violations);
    assert_eq!((report.vends, report.pulses), (1, 1));
    assert_eq!(report.seen.count("outcome_dispensed"), 1);
}

#[test]
fn every_paid_vend_ends_whatever_goes_wrong_around_it() {
    let total = campaign(0, 3, &[4], Size::Usual, false);
    for what in ["outcome_dispensed", "frames_lost", "agent_kills", "jams"] {
        assert!(total.seen(what) > 0, "no {what} in {}", total.json());
    }
}

#[test]
fn what_copayers_want_is_paid_once_whatever_goes_wrong_around_them() {
    let total = campaign(100, 8, &[4], Size::Usual, false);
    for what in [
        "payouts_settled",
        "payouts_rejected",
        "node_crashes",
        "blocks_reorganised",
    ] {
        assert!(total.seen(what) > 0, "no {what} in {}", total.json());
    }
}

#[test]
fn the_same_seed_happens_the_same_way_twice() {
    let run = |seed| simulate_full(seed, 4, Size::One, Rules::default());
    assert_eq!(run(5), run(5));
    assert_ne!(run(5).digest, run(6).digest);
}

#[test]
fn a_kill_at_every_named_place_loses_and_doubles_nothing() {
    let total = campaign(0, 1, &[4], Size::One, true);
    assert!(total.missing().is_empty(), "{}", total.json());
}

#[test]
fn every_check_finds_the_error_that_is_planted_for_it() {
    for (planted, stormy, what) in Planted::ALL {
        let found = find_planted(planted, stormy).unwrap_or_default();
        assert!(found.contains(what), "{planted:?} was found as {found:?}");
    }
}
