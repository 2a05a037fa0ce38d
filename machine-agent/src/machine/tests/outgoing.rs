//! Claims about receipts, reports and pauses.

use super::*;

#[test]
fn receipts_are_chained_and_pulses_are_spaced() {
    let mut bench = Bench::ready();
    bench.order(order(1));
    let first = bench.receipt();
    bench.apply(&first);
    bench.order(order(2));
    assert_eq!(bench.pulses.len(), 1, "the pause is not over");
    bench.pass(500);
    assert_eq!(bench.pulses.len(), 2);
    bench.pass(5_000);
    let hash = dctrl_proto::order::receipt_hash(&first.encode_to_vec());
    assert_eq!(bench.receipt().previous_receipt_hash, hash);
}

#[test]
fn a_receipt_is_sent_again_until_a_certified_frame_shows_it() {
    let mut bench = Bench::ready();
    bench.order(order(1));
    let receipt = bench.receipt();
    let mut bench = bench.restart();
    bench.boot();
    for _ in 0..40 {
        bench.pass(5_000);
    }
    let again: Vec<MachineReceipt> = bench.all("machine.receipt");
    assert!(again.len() >= 6 && again.len() < 20, "{}", again.len());
    assert!(again.iter().all(|one| *one == receipt), "signed once");
    bench.apply(&receipt);
    bench.sent.clear();
    bench.pass(120_000);
    assert!(bench.all::<MachineReceipt>("machine.receipt").is_empty());
}

#[test]
fn a_receipt_that_expires_undelivered_is_signed_again_with_the_same_payload() {
    let mut bench = Bench::ready();
    bench.order(order(1));
    let before = bench.sent.last().unwrap().action.clone();
    bench.now.boot_ms += 24 * 3_600_000;
    bench.pass(1);
    let after = bench
        .sent
        .iter()
        .rfind(|sending| sending.name == "machine.receipt")
        .unwrap();
    let body = |action: &SignedAction| ActionBody::decode(action.body.as_slice()).unwrap();
    assert_eq!(body(&after.action).payload, body(&before).payload);
    assert_ne!(body(&after.action).request_id, body(&before).request_id);
    assert!(body(&after.action).expires_at_ms > body(&before).expires_at_ms);
    assert_eq!(bench.machine.durable().receipts[0].receipt, after.action);
}

#[test]
fn a_receipt_signed_while_the_wall_clock_was_far_ahead_is_signed_again_in_time() {
    let mut bench = Bench::ready();
    bench.end = None;
    bench.order(order(1));
    // The power goes in mid-pulse, and the battery of the clock with it.
    let mut bench = bench.restart();
    bench.now.wall_ms += 10 * 365 * 24 * 3_600_000;
    bench.input(Input::Sensed(Report {
        sensor: "door".to_owned(),
        value: 1,
        observed_at_ms: 0,
    }));
    bench.boot();
    bench.pass(60_000);
    let now_ms = bench.machine.action_time(bench.now);
    for name in ["machine.receipt", "machine.report"] {
        let last = bench.sent.iter().rfind(|sending| sending.name == name);
        let body = ActionBody::decode(last.unwrap().action.body.as_slice()).unwrap();
        let ahead_ms = body.expires_at_ms - now_ms;
        assert!(ahead_ms <= 24 * 3_600_000, "{name} {ahead_ms} ms ahead");
    }
}

#[test]
fn sensor_reports_are_numbered_and_each_arrives_once_in_order_after_an_outage() {
    let mut bench = Bench::ready();
    for value in 0..50 {
        bench.input(Input::Sensed(Report {
            sensor: "door".to_owned(),
            value,
            observed_at_ms: 77,
        }));
    }
    let mut bench = bench.restart();
    bench.boot();
    let mut applied: Vec<MachineReport> = Vec::new();
    for _ in 0..400 {
        bench.pass(400);
        for report in bench.all::<MachineReport>("machine.report") {
            // As the ledger: a number that is not the next one is refused.
            if report.number == applied.len() as u64 + 1 {
                applied.push(report.clone());
                bench.sent.clear();
                bench.event(
                    "report",
                    Event::Report(v1::MachineReported {
                        report: Some(report),
                    }),
                );
                break;
            }
        }
    }
    let values: Vec<i64> = applied.iter().map(|report| report.value).collect();
    assert_eq!(values, (0..50).collect::<Vec<i64>>());
    assert!(applied.iter().all(|report| report.observed_at_ms == 77));
    assert!(bench.machine.durable().reports.is_empty());
}

#[test]
fn a_newer_order_never_pushes_out_a_receipt_that_was_not_applied() {
    let mut bench = Bench::ready();
    bench.order(order(1));
    let first = bench.receipt();
    bench.order(order(2));
    bench.pass(500);
    assert_eq!(bench.pulses.len(), 2);
    bench.pass(60_000);
    assert_eq!(bench.receipt(), first, "the oldest is said first");
    bench.apply(&first);
    assert_eq!(bench.receipt().sequence, 2);
}
