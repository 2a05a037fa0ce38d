//! Claims about money on its way out of the wallet.

use dctrl_sim::payouts::{PayoutCampaign, Planted, find_planted, simulate_payouts};

#[test]
fn whatever_goes_wrong_nothing_is_paid_twice_and_all_comes_to_an_end() {
    let campaign = PayoutCampaign {
        first: 0,
        payouts: 100,
        threads: 2,
    };
    let total = campaign.run(|report| {
        let replay = report.replay_command();
        assert!(
            report.violations.is_empty(),
            "{:#?}\nreplay: {replay}",
            report.violations
        );
    });
    for what in ["reorganised", "broadcast", "observations_lost"] {
        assert!(total.seen(what) > 0, "no {what} in {}", total.json());
    }
}

#[test]
fn the_same_seed_pays_the_same_way_twice() {
    let run = |seed| simulate_payouts(seed, 6);
    assert_eq!(run(3), run(3));
    assert_ne!(run(3).digest, run(4).digest);
}

#[test]
fn every_check_of_payouts_finds_the_error_that_is_planted_for_it() {
    for (planted, what) in Planted::ALL {
        let found = find_planted(*planted).unwrap_or_default();
        assert!(found.contains(what), "{planted:?} was found as {found:?}");
    }
}
