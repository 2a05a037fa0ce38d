//! Claims about which orders are taken on.

use super::*;

#[test]
fn an_order_is_journalled_accepted_pulsed_once_and_receipted() {
    let mut bench = Bench::ready();
    bench.order(order(1));
    assert_eq!(bench.pulses.len(), 1);
    assert_eq!((bench.pulses[0].line, bench.pulses[0].pulse_ms), (17, 200));
    let kinds: Vec<&str> = bench.records.iter().map(Record::kind).collect();
    assert_eq!(kinds, ["adopted", "begun", "armed", "firing", "settled"]);
    assert_eq!(bench.all::<v1::MachineAccept>("machine.accept").len(), 1);
    let receipt = bench.receipt();
    assert_eq!(receipt.outcome(), Outcome::Dispensed);
    assert_eq!(
        (receipt.incarnation, receipt.sequence, receipt.pulses),
        (1, 1, 1)
    );
    assert_eq!(receipt.previous_receipt_hash, NO_RECEIPT);
    let held = OrderInHand {
        order: order(1),
        frame: BusFrame::default(),
        superseded: false,
    };
    assert_eq!(receipt.order_hash, held.hash());
}

#[test]
fn an_order_for_another_machine_cluster_domain_or_roster_is_refused() {
    for change in [
        (|order| order.machine_id = "m2".to_owned()) as fn(&mut Order),
        |order| order.cluster = vec![2; 32],
        |order| order.domain = "dctrl/vend/2".to_owned(),
        |order| order.roster_epoch = 1,
        |order| order.incarnation = 0,
        |order| order.incarnation = 2,
    ] {
        let mut bench = Bench::ready();
        let mut order = order(1);
        change(&mut order);
        bench.order(order);
        bench.pass(1_000);
        assert!(bench.pulses.is_empty());
        assert!(bench.all::<MachineReceipt>("machine.receipt").is_empty());
    }
}

#[test]
fn the_same_order_again_is_answered_with_the_same_receipt() {
    let mut bench = Bench::ready();
    bench.order(order(1));
    let first = bench.sent.last().cloned();
    bench.sent.clear();
    bench.order(order(1));
    assert_eq!(bench.pulses.len(), 1);
    assert_eq!(bench.sent.last().cloned(), first, "byte for byte");
    let mut bench = bench.restart();
    bench.boot();
    bench.order(order(1));
    assert_eq!(bench.pulses.len(), 1);
}

#[test]
fn another_order_for_the_same_sequence_is_refused_and_kept_as_evidence() {
    let mut other = order(1);
    other.slot = "A2".to_owned();
    let mut bench = Bench::ready();
    bench.order(order(1));
    bench.order(other.clone());
    bench.order(other.clone());
    assert_eq!((bench.pulses.len(), bench.evidence), (1, 1));
    // Also while the first one is only held.
    let mut bench = Bench::new(Durable::default());
    bench.input(Input::Ready(Ok(())));
    bench.input(Input::CaughtUp(Position::default()));
    bench.order(order(1));
    bench.order(other);
    assert_eq!(bench.evidence, 1);
    bench.beacon(1);
    assert_eq!(bench.pulses[0].slot, "A1");
}

#[test]
fn an_order_after_a_hole_waits_for_the_one_before_it() {
    let mut bench = Bench::ready();
    bench.order(order(2));
    bench.pass(1_000);
    assert!(bench.pulses.is_empty());
    assert!(bench.machine.not_ready().is_some());
    bench.order(order(1));
    bench.pass(500);
    let sequences: Vec<u64> = bench.pulses.iter().map(|pulse| pulse.sequence).collect();
    assert_eq!(sequences, [1, 2]);
}

#[test]
fn an_unknown_slot_or_a_failed_self_test_is_a_failed_vend_without_a_pulse() {
    let mut bench = Bench::ready();
    bench.order(Order {
        slot: "Z9".to_owned(),
        ..order(1)
    });
    let first = bench.receipt();
    assert_eq!(first.outcome(), Outcome::Failed);
    bench.apply(&first);
    let reason = format!("the chip is missing\n{}", "é".repeat(200));
    bench.input(Input::Ready(Err(reason)));
    bench.sent.clear();
    bench.order(order(2));
    bench.pass(1_000);
    assert_eq!(bench.receipt().outcome(), Outcome::Failed);
    let told = bench.receipt().reason;
    assert!(
        told.starts_with("the chip is missing é") && told.len() <= 200,
        "as the ledger takes it"
    );
    assert!(bench.pulses.is_empty());
    let heartbeat: MachineHeartbeat = bench.last("machine.heartbeat").unwrap();
    assert!(!heartbeat.ready);
    assert_eq!(heartbeat.detail, told);
}

#[test]
fn an_agent_that_lost_its_journal_serves_again_only_after_a_reset() {
    let mut bench = Bench::new(Durable::default());
    bench.input(Input::Ready(Ok(())));
    bench.order(order(1));
    bench.status(v1::Machine {
        incarnation: 1,
        last_sequence: 1,
        ..v1::Machine::default()
    });
    bench.input(Input::CaughtUp(Position::end_of(9)));
    let heartbeat: MachineHeartbeat = bench.last("machine.heartbeat").unwrap();
    assert!(!heartbeat.ready && heartbeat.detail.contains("reset"));
    bench.pass(60_000);
    assert!(bench.pulses.is_empty() && bench.records.is_empty());
    bench.status(v1::Machine {
        incarnation: 2,
        last_sequence: 1,
        last_report_number: 4,
        ..v1::Machine::default()
    });
    bench.pass(1_000);
    bench.beacon(1);
    bench.order(Order {
        incarnation: 2,
        ..order(2)
    });
    assert_eq!(bench.pulses.len(), 1);
    assert_eq!(bench.machine.durable().reports_done, 4);
}

#[test]
fn what_waits_for_the_federation_is_bounded() {
    let mut bench = Bench::ready();
    for sequence in 2..100 {
        bench.order(order(sequence));
    }
    assert_eq!(bench.machine.pending.len(), PENDING_MAX);
    for value in 0..5_000 {
        bench.input(Input::Sensed(Report {
            sensor: "tilt".to_owned(),
            value,
            observed_at_ms: 0,
        }));
    }
    assert_eq!(bench.machine.durable().reports.len(), durable::REPORTS_MAX);
}

#[test]
fn an_order_names_the_roster_that_certified_it() {
    let mut bench = Bench::ready();
    bench.roster = 3;
    bench.order(order(1));
    assert!(bench.pulses.is_empty());
    bench.order(Order {
        roster_epoch: 3,
        ..order(1)
    });
    assert_eq!(bench.pulses.len(), 1);
}

#[test]
fn an_order_by_a_roster_with_a_successor_is_answered_and_never_carried_out() {
    let mut bench = Bench::ready();
    bench.superseded = true;
    bench.order(order(1));
    assert!(bench.pulses.is_empty());
    assert_eq!(bench.receipt().outcome(), Outcome::Expired);
    // The sequence goes on with the roster of today.
    bench.superseded = false;
    bench.roster = 1;
    bench.order(Order {
        roster_epoch: 1,
        ..order(2)
    });
    assert_eq!(bench.pulses.len(), 1);
}

#[test]
fn former_members_cannot_use_up_a_sequence_while_it_waits() {
    let mut bench = Bench::ready();
    bench.superseded = true;
    bench.order(Order {
        slot: "B9".to_owned(),
        ..order(2)
    });
    bench.superseded = false;
    bench.order(order(2));
    bench.order(order(1));
    bench.pass(1_000);
    assert_eq!(bench.pulses.len(), 2);
    assert_eq!(bench.evidence, 0);
}
