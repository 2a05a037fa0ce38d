//! A fake federation, as much of a ledger as one machine needs, and the real
//! binary.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dctrl_access::Identity;
use dctrl_agent::actuator::TraceLine;
use dctrl_follow::testing::FakeFederation;
use dctrl_proto::order::{ORDER_DOMAIN, receipt_hash};
use dctrl_proto::v1::bus_body::Event;
use dctrl_proto::v1::{
    self, ActionBody, Beacon, MachineChanged, MachineHeartbeat, MachineReceipt, MachineReport,
    MachineReported, Order, Refusal, RefusalCode, Slot,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use prost::Message;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(20);

/// As much of a ledger as one machine needs.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) machine: v1::Machine,
    pub(crate) heartbeats: Vec<MachineHeartbeat>,
    /// By their request: a copy of one changes nothing.
    pub(crate) accepts: BTreeSet<Vec<u8>>,
    /// So many times what answers an order is refused, as by a node that does not
    /// know the order yet.
    pub(crate) behind: usize,
    pub(crate) receipts: BTreeMap<u64, Vec<u8>>,
    pub(crate) reports: Vec<MachineReport>,
}

/// A fake federation, the ledger, and the folder of one agent.
pub(crate) struct World {
    pub(crate) fake: Arc<FakeFederation>,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    pub(crate) folder: TempDir,
}

pub(crate) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

pub(crate) fn topic(kind: &str) -> String {
    format!("machine.m1.{kind}")
}

impl World {
    pub(crate) fn new() -> Self {
        let fake = Arc::new(FakeFederation::start(4, |genesis| {
            genesis.slots.push(Slot {
                machine_id: "m1".to_owned(),
                slot: "A1".to_owned(),
                ..Slot::default()
            });
        }));
        let ledger = Arc::new(Mutex::new(Ledger {
            machine: v1::Machine {
                id: "m1".to_owned(),
                incarnation: 1,
                ..v1::Machine::default()
            },
            ..Ledger::default()
        }));
        let (weak, books) = (Arc::downgrade(&fake), Arc::clone(&ledger));
        fake.on_submit(Box::new(move |action| {
            let body = ActionBody::decode(action.body.as_slice()).unwrap();
            assert!(body.expires_at_ms > wall_ms());
            let mut books = books.lock().unwrap();
            let answers = ["machine.accept", "machine.receipt"].contains(&body.name.as_str());
            if answers && books.behind > 0 {
                books.behind -= 1;
                let code = RefusalCode::Precond;
                return Some(Refusal::rule(code, "machine.sequence", "no such order"));
            }
            let outputs = books.apply(&body);
            drop(books);
            if let Some(fake) = weak.upgrade() {
                fake.commit(wall_ms(), outputs);
            }
            None
        }));
        let folder = tempfile::tempdir().unwrap();
        let world = Self {
            fake,
            ledger,
            folder,
        };
        let genesis = serde_json::to_vec(&world.fake.genesis).unwrap();
        std::fs::write(world.path("genesis.json"), genesis).unwrap();
        std::fs::write(world.path("lines"), "").unwrap();
        Identity::generate()
            .unwrap()
            .save(&world.path("agent.key"))
            .unwrap();
        let config = "genesis = \"genesis.json\"\nkey = \"agent.key\"\nmachine = \"m1\"\n\
             journal = \"journal\"\nheartbeat_s = 1\nsensor_lines = \"lines\"\n\
             [actuator]\nkind = \"fake\"\ntrace = \"trace\"\nline = 17\npulse_ms = 5\n";
        std::fs::write(world.path("agent.toml"), config).unwrap();
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn agent(&self, env: &[(&str, &str)]) -> Agent {
        let child = Command::new(env!("CARGO_BIN_EXE_dctrl-agent"))
            .arg("--config")
            .arg(self.path("agent.toml"))
            .envs(env.iter().copied())
            .stderr(self.log())
            .spawn()
            .unwrap();
        Agent(child)
    }

    pub(crate) fn log(&self) -> Stdio {
        let mut options = std::fs::File::options();
        let file = options.append(true).create(true).open(self.path("log"));
        Stdio::from(file.unwrap())
    }

    pub(crate) fn order(&self, sequence: u64) -> Event {
        Event::Order(Order {
            domain: ORDER_DOMAIN.to_owned(),
            cluster: self.fake.federation.cluster.to_vec(),
            machine_id: "m1".to_owned(),
            incarnation: 1,
            sequence,
            slot: "A1".to_owned(),
            roster_epoch: self.fake.members().roster.number,
            issued_at_ms: wall_ms(),
            expires_at_ms: wall_ms() + 60_000,
            ..Order::default()
        })
    }

    pub(crate) fn issue(&self, sequence: u64) {
        self.ledger.lock().unwrap().machine.last_sequence = sequence;
        self.fake
            .commit(wall_ms(), vec![(topic("order"), self.order(sequence))]);
    }

    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Ledger) -> bool) {
        let end = Instant::now() + DEADLINE;
        while !is_so(&self.ledger.lock().unwrap()) {
            if Instant::now() >= end {
                let log = std::fs::read_to_string(self.path("log")).unwrap();
                let last = self.ledger.lock().unwrap().heartbeats.last().cloned();
                panic!("{what} did not come about; {last:?}; the agent said:\n{log}");
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn until_ready(&self) {
        let count = self.ledger.lock().unwrap().heartbeats.len();
        self.until("a heartbeat", |ledger| {
            ledger.heartbeats[count..].iter().any(|one| one.ready)
        });
    }

    pub(crate) fn receipt(&self, sequence: u64) -> MachineReceipt {
        self.until("a receipt", |ledger| {
            ledger.receipts.contains_key(&sequence)
        });
        let ledger = self.ledger.lock().unwrap();
        MachineReceipt::decode(ledger.receipts[&sequence].as_slice()).unwrap()
    }

    /// Sequences whose line went high, one entry for each time.
    pub(crate) fn pulses(&self) -> Vec<u64> {
        trace(&self.path("trace"))
            .into_iter()
            .filter(|line| line.level == 1)
            .map(|line| line.sequence)
            .collect()
    }
}

pub(crate) fn trace(path: &Path) -> Vec<TraceLine> {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

impl Ledger {
    pub(crate) fn apply(&mut self, body: &ActionBody) -> Vec<(String, Event)> {
        let payload = body.payload.as_slice();
        match body.name.as_str() {
            "machine.heartbeat" => {
                let heartbeat = MachineHeartbeat::decode(payload).unwrap();
                self.heartbeats.push(heartbeat.clone());
                let beacon = Event::Beacon(Beacon {
                    machine_id: heartbeat.machine_id,
                    incarnation: heartbeat.incarnation,
                    nonce: heartbeat.nonce,
                    time_ms: wall_ms(),
                });
                vec![(topic("beacon"), beacon), self.status()]
            }
            "machine.accept" => {
                self.accepts.insert(body.request_id.clone());
                Vec::new()
            }
            "machine.receipt" => {
                let receipt = MachineReceipt::decode(payload).unwrap();
                let before = self.receipts.insert(receipt.sequence, payload.to_vec());
                // A second different receipt is equivocation.
                assert!(before.is_none_or(|before| before == payload));
                self.machine.last_receipt_hash = receipt_hash(payload).to_vec();
                vec![self.status()]
            }
            "machine.report" => {
                let report = MachineReport::decode(payload).unwrap();
                if report.number == self.machine.last_report_number + 1 {
                    self.machine.last_report_number = report.number;
                    self.reports.push(report.clone());
                }
                let report = Some(report);
                vec![(topic("report"), Event::Report(MachineReported { report }))]
            }
            other => panic!("an agent never says {other}"),
        }
    }

    pub(crate) fn status(&self) -> (String, Event) {
        let machine = Some(self.machine.clone());
        (topic("status"), Event::Machine(MachineChanged { machine }))
    }
}

/// The process; killed when dropped.
pub(crate) struct Agent(pub(crate) Child);

impl Agent {
    pub(crate) fn wait(&mut self, what: &str) -> ExitStatus {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "{what}: the agent did not end");
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn stop(mut self) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        assert!(self.wait("a stop").success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
