//! Claims about the decisions, one order at a time.

mod begin;
mod firing;
mod orders;
mod outgoing;
mod rejoin;

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
    alarms: Vec<String>,
    latch: Option<bool>,
    /// Height of the block that tells.
    height: u64,
    /// The number of the roster that certifies.
    roster: u64,
    /// A later one is known.
    superseded: bool,
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
            alarms: Vec::new(),
            latch: None,
            height: 0,
            roster: 0,
            superseded: false,
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
                    Effect::Alarm(text) => self.alarms.push(text),
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
            position: Position {
                height: self.height,
                sub_index: 0,
            },
            frame: BusFrame {
                body: body.encode_to_vec(),
                ..BusFrame::default()
            },
            body,
            roster: self.roster,
            superseded: self.superseded,
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

    /// The federation applies a receipt and shows it.
    fn apply(&mut self, receipt: &MachineReceipt) {
        let hash = dctrl_proto::order::receipt_hash(&receipt.encode_to_vec());
        self.status(v1::Machine {
            incarnation: receipt.incarnation,
            last_sequence: receipt.sequence,
            last_receipt_hash: hash.to_vec(),
            ..v1::Machine::default()
        });
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
        issued_at_ms: EXPIRES - 10_000,
        expires_at_ms: EXPIRES,
        ..Order::default()
    }
}
