//! Claims about orders that are older than the journal.

use super::*;

/// When the first beacon of [`Bench::ready`] was ordered.
const FIRST_BEACON: u64 = EXPIRES - 60_000;

fn issued(sequence: u64, issued_at_ms: u64) -> Order {
    Order {
        issued_at_ms,
        ..order(sequence)
    }
}

fn says_lost(bench: &Bench) -> bool {
    let heartbeat: MachineHeartbeat = bench.last("machine.heartbeat").unwrap();
    !heartbeat.ready && heartbeat.detail.contains("reset")
}

#[test]
fn an_order_from_before_the_first_beacon_proves_a_lost_journal_and_never_fires() {
    let mut bench = Bench::ready();
    bench.order(issued(1, FIRST_BEACON - 1));
    bench.pass(1_000);
    assert!(bench.pulses.is_empty() && bench.alarms.len() == 1);
    assert!(says_lost(&bench));
    // Nor does a later one: what was done before is not known.
    bench.order(order(1));
    bench.pass(30_000);
    assert!(bench.pulses.is_empty());
    assert!(bench.all::<MachineReceipt>("machine.receipt").is_empty());
    // Only a reset helps.
    bench.status(v1::Machine {
        incarnation: 2,
        ..v1::Machine::default()
    });
    bench.pass(1_000);
    bench.beacon(FIRST_BEACON + 32_000);
    bench.order(Order {
        incarnation: 2,
        ..order(1)
    });
    assert_eq!(bench.pulses.len(), 1);
    assert_eq!(bench.machine.not_ready(), None);
}

#[test]
fn an_order_that_came_before_the_first_beacon_is_judged_by_it() {
    for (issued_at_ms, pulses) in [(FIRST_BEACON - 1, 0), (FIRST_BEACON, 1)] {
        let mut bench = Bench::new(Durable::default());
        bench.input(Input::Ready(Ok(())));
        bench.input(Input::CaughtUp(Position::default()));
        bench.order(issued(1, issued_at_ms));
        bench.beacon(FIRST_BEACON);
        bench.pass(1_000);
        assert_eq!(bench.pulses.len(), pulses, "{issued_at_ms}");
        assert_eq!(says_lost(&bench), pulses == 0);
    }
}

#[test]
fn the_first_beacon_and_the_loss_are_remembered_after_a_restart() {
    let mut bench = Bench::ready().restart();
    bench.input(Input::Ready(Ok(())));
    bench.input(Input::CaughtUp(Position::default()));
    bench.beacon(FIRST_BEACON + 5_000);
    // Between the two beacons: an order of this journal's life.
    bench.order(issued(1, FIRST_BEACON + 1_000));
    assert_eq!(bench.pulses.len(), 1);
    bench.order(issued(2, FIRST_BEACON - 1));
    let mut bench = bench.restart();
    bench.boot();
    bench.pass(1_000);
    assert!(says_lost(&bench));
    bench.order(order(2));
    bench.pass(1_000);
    assert_eq!(bench.pulses.len(), 1);
}

#[test]
fn no_order_is_asked_for_before_the_first_beacon_is_journalled() {
    // Or a restart in between would take the order of a good journal for one
    // of a lost one: its beacon would be later.
    let mut bench = Bench::new(Durable::default());
    bench.input(Input::Ready(Ok(())));
    bench.input(Input::CaughtUp(Position::default()));
    let mut bench = bench.restart();
    bench.input(Input::Ready(Ok(())));
    bench.input(Input::CaughtUp(Position::default()));
    bench.pass(60_000);
    let before: Vec<MachineHeartbeat> = bench.all("machine.heartbeat");
    assert!(before.len() >= 2 && before.iter().all(|one| !one.ready));
    bench.beacon(FIRST_BEACON);
    let after: MachineHeartbeat = bench.last("machine.heartbeat").unwrap();
    assert!(after.ready, "said at once");
}

#[test]
fn an_old_order_proves_nothing_where_a_later_one_is_settled_or_the_journal_is_older() {
    let mut bench = Bench::ready();
    bench.order(order(1));
    bench.order(issued(1, FIRST_BEACON - 1));
    assert_eq!((bench.pulses.len(), bench.evidence), (1, 1));
    assert_eq!(bench.machine.not_ready(), None);
    // A journal from before first beacons were recorded.
    let mut durable = Durable::default();
    durable.apply(&Record::Adopted {
        life: Life {
            incarnation: 1,
            sequence: 0,
            receipt_hash: NO_RECEIPT,
            begin: Begin::default(),
        },
        reports_done: 0,
    });
    let mut bench = Bench::new(durable);
    bench.boot();
    bench.order(issued(1, FIRST_BEACON - 1));
    assert_eq!(bench.pulses.len(), 1);
}
