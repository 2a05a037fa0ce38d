//! Claims about the decisions, one order at a time.

use dctrl_access::key_file::Secrets;
use dctrl_proto::order::{NO_RECEIPT, ORDER_DOMAIN};
use dctrl_proto::v1::{
    ActionBody, Beacon, BusBody, BusFrame, MachineChanged, MachineHeartbeat, MachineReceipt,
    MachineReport, Order,
};
use prost::Message;

use super::*;

const CLUSTER: [u8; 32] = [1; 32];
const EXPIRES: u64 = 1_000_000;

/// A state machine with everything it has done.
struct Bench {
    machine: Machine,
    now: Now,
    sent: Vec<Sending>,
    pulses: Vec<Pulse>,
    records: Vec<Record>,
    evidence: usize,
    latch: Option<bool>,
    /// How the next pulse ends; none where the power goes in mid-pulse.
    end: Option<Outcome>,
}

impl Bench {
    fn new(durable: Durable) -> Self {
        let identity = Identity::from_secrets(Secrets {
            seed: [7; 32].into(),
            curve_secret: [8; 32].into(),
        });
        let slot = SlotLine {
            line: 17,
            pulse_ms: 200,
        };
        let facts = Facts {
            cluster: CLUSTER,
            roster_epoch: 0,
            machine_id: "m1".to_owned(),
            slots: [("A1".to_owned(), slot)].into(),
            spacing_ms: 500,
            heartbeat_ms: 30_000,
            nonce_seed: [3; 32],
        };
        Self {
            machine: Machine::new(facts, Arc::new(identity.unwrap()), durable),
            now: Now {
                boot_ms: 5_000,
                wall_ms: 900_000,
            },
            sent: Vec::new(),
            pulses: Vec::new(),
            records: Vec::new(),
            evidence: 0,
            latch: None,
            end: Some(Outcome::Dispensed),
        }
    }

    /// Adopted, tested, and with the time.
    fn ready() -> Self {
        let mut bench = Self::new(Durable::default());
        bench.boot();
        bench
    }

    fn boot(&mut self) {
        self.input(Input::Ready(Ok(())));
        self.input(Input::CaughtUp(Position::end_of(1)));
        self.beacon(EXPIRES - 60_000);
    }

    /// The power goes and comes back: only the journal is left.
    fn restart(&mut self) -> Self {
        let mut durable = Durable::default();
        for record in &self.records {
            durable.apply(record);
        }
        assert_eq!(
            &durable,
            self.machine.durable(),
            "the records tell everything"
        );
        let mut next = Self::new(durable);
        next.records.append(&mut self.records);
        next.pulses.append(&mut self.pulses);
        next
    }

    fn input(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for effect in self.machine.step(self.now, input) {
                match effect {
                    Effect::Append(record) => self.records.push(*record),
                    Effect::Send(sending) => self.sent.push(sending),
                    Effect::Pulse(pulse) => {
                        self.pulses.push(pulse);
                        let end = self.end.map(|outcome| PulseEnd {
                            outcome,
                            reason: String::new(),
                            pulses: 1,
                        });
                        inputs.extend(end.map(Input::Pulsed));
                    }
                    Effect::ReadLatch => inputs.push_back(Input::Latched(self.latch)),
                    Effect::Again => inputs.push_back(Input::Tick),
                    Effect::Evidence(_) => self.evidence += 1,
                    Effect::Alarm(_) => {}
                }
            }
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now.boot_ms += ms;
        self.now.wall_ms += ms;
        self.input(Input::Tick);
    }

    fn event(&mut self, topic: &str, event: Event) {
        let body = BusBody {
            topic: format!("machine.m1.{topic}"),
            event: Some(event),
            ..BusBody::default()
        };
        self.input(Input::Frame(Box::new(Verified {
            position: Position::default(),
            frame: BusFrame {
                body: body.encode_to_vec(),
                ..BusFrame::default()
            },
            body,
        })));
    }

    fn order(&mut self, order: Order) {
        self.event("order", Event::Order(order));
    }

    /// Answers the last heartbeat.
    fn beacon(&mut self, time_ms: u64) {
        let heartbeat: MachineHeartbeat = self.last("machine.heartbeat").unwrap();
        self.event(
            "beacon",
            Event::Beacon(Beacon {
                machine_id: "m1".to_owned(),
                incarnation: heartbeat.incarnation,
                nonce: heartbeat.nonce,
                time_ms,
            }),
        );
    }

    fn status(&mut self, machine: v1::Machine) {
        let machine = Some(v1::Machine {
            id: "m1".to_owned(),
            ..machine
        });
        self.event("status", Event::Machine(MachineChanged { machine }));
    }

    fn all<P: Message + Default>(&self, name: &str) -> Vec<P> {
        let named = self.sent.iter().filter(|sending| sending.name == name);
        named
            .map(|sending| {
                let body = ActionBody::decode(sending.action.body.as_slice()).unwrap();
                assert_eq!(body.name, name);
                P::decode(body.payload.as_slice()).unwrap()
            })
            .collect()
    }

    fn last<P: Message + Default>(&self, name: &str) -> Option<P> {
        self.all(name).pop()
    }

    fn receipt(&self) -> MachineReceipt {
        self.last("machine.receipt").expect("a receipt was sent")
    }
}

fn order(sequence: u64) -> Order {
    Order {
        domain: ORDER_DOMAIN.to_owned(),
        cluster: CLUSTER.to_vec(),
        machine_id: "m1".to_owned(),
        incarnation: 1,
        sequence,
        vend_id: format!("v{sequence}"),
        slot: "A1".to_owned(),
        expires_at_ms: EXPIRES,
        ..Order::default()
    }
}

#[test]
fn an_order_is_journalled_accepted_pulsed_once_and_receipted() {
    let mut bench = Bench::ready();
    bench.order(order(1));
    assert_eq!(bench.pulses.len(), 1);
    assert_eq!((bench.pulses[0].line, bench.pulses[0].pulse_ms), (17, 200));
    let kinds: Vec<&str> = bench.records.iter().map(Record::kind).collect();
    assert_eq!(kinds, ["adopted", "armed", "firing", "settled"]);
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
    };
    assert_eq!(receipt.order_hash, held.hash());
}

#[test]
fn receipts_are_chained_and_pulses_are_spaced() {
    let mut bench = Bench::ready();
    bench.order(order(1));
    let first = bench.receipt();
    bench.order(order(2));
    assert_eq!(bench.pulses.len(), 1, "the pause is not over");
    bench.pass(500);
    assert_eq!(bench.pulses.len(), 2);
    bench.pass(5_000);
    let hash = dctrl_proto::order::receipt_hash(&first.encode_to_vec());
    assert_eq!(bench.receipt().previous_receipt_hash, hash);
}

#[test]
fn an_order_for_another_machine_cluster_domain_or_epoch_is_refused() {
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
fn an_unknown_slot_or_a_failed_self_test_is_a_failed_vend_without_a_pulse() {
    let mut bench = Bench::ready();
    bench.order(Order {
        slot: "Z9".to_owned(),
        ..order(1)
    });
    assert_eq!(bench.receipt().outcome(), Outcome::Failed);
    bench.input(Input::Ready(Err("the chip is missing".to_owned())));
    bench.sent.clear();
    bench.order(order(2));
    bench.pass(1_000);
    assert_eq!(bench.receipt().outcome(), Outcome::Failed);
    assert_eq!(bench.receipt().reason, "the chip is missing");
    assert!(bench.pulses.is_empty());
    let heartbeat: MachineHeartbeat = bench.last("machine.heartbeat").unwrap();
    assert!(!heartbeat.ready);
    assert_eq!(heartbeat.detail, "the chip is missing");
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
        bench.records.truncate(2);
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
    bench.status(v1::Machine {
        incarnation: 1,
        last_sequence: 1,
        last_receipt_hash: dctrl_proto::order::receipt_hash(&receipt.encode_to_vec()).to_vec(),
        ..v1::Machine::default()
    });
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
