//! Claims about time and about restarts: when the line may move.

use super::*;

#[test]
fn without_a_beacon_of_this_boot_nothing_fires() {
    let mut bench = Bench::new(Durable::default());
    bench.input(Input::Ready(Ok(())));
    bench.input(Input::CaughtUp(Position::default()));
    bench.order(order(1));
    bench.pass(10_000);
    assert!(bench.pulses.is_empty());
    let heartbeats: Vec<MachineHeartbeat> = bench.all("machine.heartbeat");
    assert!(
        heartbeats.len() >= 2,
        "it asks for the time sooner than usual"
    );
    // A beacon for another nonce, machine or incarnation is none.
    let good = Beacon {
        machine_id: "m1".to_owned(),
        incarnation: 1,
        nonce: heartbeats[0].nonce.clone(),
        time_ms: 1,
    };
    for bad in [
        Beacon {
            nonce: vec![0; 16],
            ..good.clone()
        },
        Beacon {
            machine_id: "m2".to_owned(),
            ..good.clone()
        },
        Beacon {
            incarnation: 2,
            ..good.clone()
        },
    ] {
        bench.event("beacon", Event::Beacon(bad));
    }
    assert!(bench.pulses.is_empty());
    bench.event("beacon", Event::Beacon(good));
    assert_eq!(bench.pulses.len(), 1);
}

#[test]
fn a_delayed_beacon_counts_from_the_sending_of_its_nonce() {
    for (delay, fires) in [(9_000, true), (10_000, false)] {
        let mut bench = Bench::new(Durable::default());
        bench.input(Input::Ready(Ok(())));
        bench.input(Input::CaughtUp(Position::default()));
        bench.order(order(1));
        bench.now.boot_ms += delay;
        bench.beacon(EXPIRES - 10_000);
        assert_eq!(bench.pulses.len(), usize::from(fires), "{delay}");
        let outcome = if fires {
            Outcome::Dispensed
        } else {
            Outcome::Expired
        };
        assert_eq!(bench.receipt().outcome(), outcome);
    }
}

#[test]
fn a_slow_oscillator_never_fires_after_the_deadline() {
    assert_eq!(drifted(1_000_000), 1_000_500);
    assert_eq!(drifted(1), 2);
    let mut bench = Bench::ready();
    bench.now.boot_ms += 60_000 - 10;
    bench.order(order(1));
    assert!(
        bench.pulses.is_empty(),
        "10 ms are less than the drift of a minute"
    );
    assert_eq!(bench.receipt().outcome(), Outcome::Expired);
    assert_eq!(bench.receipt().pulses, 0);
}

#[test]
fn the_wall_clock_has_no_say_in_firing() {
    for wall_ms in [0, u64::MAX / 2] {
        let mut bench = Bench::ready();
        bench.now.wall_ms = wall_ms;
        bench.order(order(1));
        assert_eq!(bench.pulses.len(), 1);
    }
}

#[test]
fn a_restart_in_armed_continues_only_after_a_fresh_check() {
    for (beacon, outcome) in [
        (EXPIRES - 1_000, Outcome::Dispensed),
        (EXPIRES, Outcome::Expired),
    ] {
        let mut bench = Bench::ready();
        bench.order(order(1));
        // The power went right after the order was journalled.
        bench.records.truncate(3);
        bench.pulses.clear();
        let mut durable = Durable::default();
        bench
            .records
            .iter()
            .for_each(|record| durable.apply(record));
        assert!(matches!(durable.stage, Stage::Armed(_)));
        let mut bench = Bench::new(durable);
        bench.input(Input::Ready(Ok(())));
        bench.input(Input::CaughtUp(Position::default()));
        bench.pass(5_000);
        assert!(bench.pulses.is_empty(), "no beacon of this boot yet");
        bench.beacon(beacon);
        assert_eq!(
            bench.pulses.len(),
            usize::from(outcome == Outcome::Dispensed)
        );
        assert_eq!(bench.receipt().outcome(), outcome);
    }
}

#[test]
fn a_restart_in_firing_never_pulses_again() {
    for (latch, outcome) in [
        (None, Outcome::Unknown),
        (Some(true), Outcome::Dispensed),
        (Some(false), Outcome::Failed),
    ] {
        let mut bench = Bench::ready();
        bench.end = None;
        bench.order(order(1));
        let mut bench = bench.restart();
        bench.latch = latch;
        bench.boot();
        bench.order(order(1));
        bench.pass(60_000);
        assert_eq!(bench.pulses.len(), 1, "the one before the power went");
        assert_eq!(bench.receipt().outcome(), outcome);
    }
}
