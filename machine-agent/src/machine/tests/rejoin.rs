//! Claims about a machine that was off for longer than the nodes keep blocks.

use super::*;

/// A machine that settled its first order and then was off until the nodes had
/// forgotten the blocks up to 50.
fn back() -> Bench {
    let mut bench = Bench::ready();
    bench.order(order(1));
    assert_eq!(bench.pulses.len(), 1);
    let receipt = bench.receipt();
    bench.apply(&receipt);
    let mut bench = bench.restart();
    bench.input(Input::Ready(Ok(())));
    bench.input(Input::Skipped(Position::end_of(50)));
    bench
}

fn heartbeat(bench: &Bench) -> MachineHeartbeat {
    bench.last("machine.heartbeat").unwrap()
}

fn status_at(bench: &mut Bench, height: u64, incarnation: u32, last_sequence: u64) {
    bench.height = height;
    bench.status(v1::Machine {
        incarnation,
        last_sequence,
        ..v1::Machine::default()
    });
}

#[test]
fn it_is_ready_again_when_the_federation_has_said_how_it_is_and_then_sells() {
    let mut bench = back();
    bench.input(Input::CaughtUp(Position::end_of(60)));
    bench.pass(30_000);
    bench.beacon(EXPIRES - 60_000);
    bench.pass(30_000);
    assert!(!heartbeat(&bench).ready, "orders 2 and 3 are not known of");
    status_at(&mut bench, 61, 1, 3);
    assert!(bench.machine.not_ready().is_some(), "older orders may come");
    bench.input(Input::CaughtUp(Position::end_of(61)));
    assert_eq!(bench.machine.not_ready(), None);
    bench.pass(1_000);
    assert!(heartbeat(&bench).ready, "said without delay");
    bench.order(order(4));
    assert_eq!(bench.pulses.len(), 2);
    assert_eq!(bench.receipt().sequence, 4);
    let restarted = bench.restart();
    assert_eq!(restarted.machine.durable().skipped, None);
}

#[test]
fn an_order_in_skipped_blocks_is_never_carried_out_however_late_it_comes() {
    let mut bench = back();
    status_at(&mut bench, 61, 1, 3);
    bench.input(Input::CaughtUp(Position::end_of(61)));
    bench.pass(30_000);
    bench.beacon(EXPIRES - 60_000);
    for sequence in [2, 3] {
        bench.order(order(sequence));
        bench.pass(1_000);
    }
    assert_eq!(bench.pulses.len(), 1, "that of the first order");
    assert!(bench.alarms.iter().any(|text| text.contains("forgotten")));
}

#[test]
fn an_order_behind_the_skipped_blocks_stands_though_the_status_counts_it() {
    let mut bench = back();
    bench.height = 60;
    bench.order(order(3));
    status_at(&mut bench, 60, 1, 3);
    bench.input(Input::CaughtUp(Position::end_of(60)));
    assert_eq!(bench.pulses.len(), 1, "the time is not known yet");
    bench.pass(30_000);
    bench.beacon(EXPIRES - 60_000);
    bench.pass(1_000);
    assert_eq!(bench.pulses.len(), 2);
    assert_eq!(bench.receipt().sequence, 3);
}

#[test]
fn what_it_says_meanwhile_is_new_in_every_run_so_that_it_is_answered() {
    let mut bench = back();
    bench.pass(30_000);
    let first = heartbeat(&bench).detail;
    let mut again = bench.restart();
    again.machine.facts.nonce_seed = [4; 32];
    again.input(Input::Ready(Ok(())));
    again.pass(30_000);
    let second = heartbeat(&again).detail;
    assert!(first.contains("50") && second.contains("50"));
    assert_ne!(first, second);
}

#[test]
fn a_status_from_before_the_skipped_blocks_is_not_enough() {
    let mut bench = back();
    status_at(&mut bench, 40, 1, 1);
    bench.input(Input::CaughtUp(Position::end_of(60)));
    assert!(bench.machine.not_ready().is_some());
}

#[test]
fn who_adopted_blindly_an_incarnation_that_had_orders_is_lost() {
    for (last_sequence, lost) in [(0, false), (2, true)] {
        let mut bench = Bench::new(Durable::default());
        bench.input(Input::Ready(Ok(())));
        bench.input(Input::Skipped(Position::end_of(50)));
        bench.input(Input::CaughtUp(Position::end_of(60)));
        bench.beacon(EXPIRES - 60_000);
        status_at(&mut bench, 61, 1, last_sequence);
        bench.input(Input::CaughtUp(Position::end_of(61)));
        bench.pass(30_000);
        assert_eq!(heartbeat(&bench).ready, !lost);
        bench.order(order(last_sequence + 1));
        assert_eq!(bench.pulses.is_empty(), lost);
    }
}
