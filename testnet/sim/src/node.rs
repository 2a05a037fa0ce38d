//! One simulated process that follows the rules: a real engine, a disk that
//! forgets what was not synced, a clock, and an application.

use std::collections::BTreeMap;

use bytes::Bytes;
use dctrl_consensus::{Block, Certificate, FinalBlock, Install, RestoreError, Timestamp};

use crate::app::App;
use crate::clock::Clock;
use crate::disk::{Disk, Fate};
use crate::engine::{Effect, Engine, Seat, Setting, Stimulus};
use crate::marks::Marks;
use crate::prng::Prng;
use crate::states::{Installed, States};

/// The first byte of an entry that holds a record of the core.
const RECORD: u8 = b'r';
/// The first byte of an entry that holds what execution has reached.
const REACHED: u8 = b'x';
/// The first byte of an entry that says which records are not needed.
const PRUNED: u8 = b'p';

/// A process, up or down.
pub(crate) struct Node {
    pub(crate) seat: Seat,
    clock: Clock,
    engine: Option<Engine>,
    disk: Disk,
    /// Entries that go to the disk together: a frame is there wholly or not.
    batch: Vec<u8>,
    /// Final blocks, as they are served to nodes that were away.
    pub(crate) blocks: BTreeMap<u64, FinalBlock>,
    /// The transactions of executed blocks that are not final yet.
    executed: BTreeMap<u64, Vec<Bytes>>,
    /// States behind seals, for nodes that were away for long.
    pub(crate) states: States,
    /// Whether the log does not begin with the first record any more.
    pub(crate) pruned: bool,
    /// Whether it ever executed a block of another node: the log does not lead
    /// there.
    pub(crate) fetched: bool,
    pub(crate) app: App,
    /// The number of the last record in the log.
    pub(crate) records: u64,
    /// The one wake that counts, in the world's time.
    pub(crate) wake_at: Option<u64>,
    /// Whether it was ever started.
    pub(crate) started: bool,
    /// How often the process was started: its wakes and syncs die with it.
    pub(crate) incarnation: u64,
    /// Certified up to here, as far as this process has put out.
    pub(crate) final_index: u64,
    /// Whether it will never run again.
    pub(crate) gone: bool,
}

/// What is on a disk.
pub(crate) struct Recovered {
    /// Records by number.
    pub(crate) records: Vec<(u64, Vec<u8>)>,
    pub(crate) pruned: bool,
    pub(crate) app: App,
}

impl Node {
    /// A process that was never started.
    pub(crate) fn new(setting: &Setting, seat: Seat, clock: Clock) -> Self {
        Self {
            seat,
            clock,
            engine: None,
            disk: Disk::default(),
            batch: Vec::new(),
            blocks: BTreeMap::new(),
            executed: BTreeMap::new(),
            states: States::default(),
            pruned: false,
            fetched: false,
            app: App::genesis(setting),
            records: 0,
            wake_at: None,
            started: false,
            incarnation: 0,
            final_index: 0,
            gone: false,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.engine.is_some()
    }

    pub(crate) fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref()
    }

    pub(crate) fn date(&self, now: u64) -> Timestamp {
        self.clock.read(now)
    }

    /// The world's time at which this node's clock shows the date.
    pub(crate) fn shows_at(&self, date: Timestamp, now: u64) -> Option<u64> {
        self.clock.shows_at(date, now)
    }

    /// The first start.
    pub(crate) fn start(&mut self, setting: &Setting) {
        self.started = true;
        self.engine = Some(Engine::new(setting, self.seat));
    }

    pub(crate) fn step(&mut self, now: u64, stimulus: Stimulus) -> Vec<Effect> {
        let date = self.date(now);
        let engine = self.engine.as_mut();
        engine
            .map(|engine| engine.step(date, stimulus))
            .unwrap_or_default()
    }

    pub(crate) fn record(&mut self, number: u64, bytes: &[u8]) {
        self.records = number;
        self.entry(RECORD, &[&number.to_be_bytes()[..], bytes].concat());
    }

    /// A block was executed: what that has reached goes into the batch.
    pub(crate) fn reached(&mut self, block: &Block) {
        let reached = self.app.encode();
        self.entry(REACHED, &reached);
        let transactions = block.transactions.iter();
        self.fetched |= transactions.clone().any(|one| one.origin.is_none());
        let transactions = transactions.map(|one| one.bytes.clone()).collect();
        self.executed.insert(block.index, transactions);
    }

    /// A block is final, and can be served.
    pub(crate) fn finalized(&mut self, certificate: &Certificate) {
        let index = certificate.header.index;
        self.final_index = index;
        self.states.certified(certificate, &self.app);
        if let Some(transactions) = self.executed.remove(&index) {
            let certificate = certificate.clone();
            self.blocks.insert(
                index,
                FinalBlock {
                    certificate,
                    transactions,
                },
            );
        }
    }

    /// Forgets blocks that a kept state makes superfluous.
    pub(crate) fn forget_old_blocks(&mut self) {
        let first = self.states.first().unwrap_or(0);
        self.blocks = self.blocks.split_off(&first);
    }

    /// Does a step of a take-over; in the end the state is there durably.
    pub(crate) fn install(&mut self, step: Install) -> (Option<Stimulus>, Option<Certificate>) {
        match self.states.install(step) {
            Installed::Progress(manifest, progress) => {
                (Some(Stimulus::Installed { manifest, progress }), None)
            }
            Installed::Present(present) => {
                let (app, finish) = *present;
                self.app = app;
                self.fetched = true;
                self.blocks.clear();
                self.executed.clear();
                self.final_index = finish.certificate.header.index;
                self.record(finish.record.number, &finish.record.bytes);
                let reached = self.app.encode();
                self.entry(REACHED, &reached);
                self.write();
                self.synced(self.log_len());
                (None, Some(finish.certificate))
            }
            Installed::Nothing => (None, None),
        }
    }

    pub(crate) fn prune(&mut self, through: u64) {
        self.pruned = true;
        self.entry(PRUNED, &through.to_be_bytes());
    }

    fn entry(&mut self, kind: u8, body: &[u8]) {
        self.batch.push(kind);
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        self.batch.extend_from_slice(&length.to_be_bytes());
        self.batch.extend_from_slice(body);
    }

    /// Hands the batch to the disk; false where there is none.
    pub(crate) fn write(&mut self) -> bool {
        let batch = std::mem::take(&mut self.batch);
        if !batch.is_empty() {
            self.disk.append(&batch);
        }
        !batch.is_empty()
    }

    /// The length of the log.
    pub(crate) fn log_len(&self) -> usize {
        self.disk.len()
    }

    pub(crate) fn synced(&mut self, through: usize) {
        self.disk.sync(through);
    }

    pub(crate) fn crash(&mut self, fate: Fate, chance: &mut Prng, marks: &mut Marks) {
        self.engine = None;
        self.wake_at = None;
        self.incarnation += 1;
        self.disk.crash(fate, chance, marks);
    }

    /// What the disk holds.
    pub(crate) fn recover(&self, setting: &Setting) -> Recovered {
        let (mut records, mut through) = (Vec::new(), 0);
        let mut app = App::genesis(setting);
        for (kind, body) in self.disk.frames().flat_map(entries) {
            match kind {
                RECORD => {
                    let (number, record) = body.split_at(8);
                    records.push((big_endian(number), record.to_vec()));
                }
                REACHED => app = App::decode(body).unwrap_or(app),
                _ => through = big_endian(body),
            }
        }
        records.retain(|(number, _)| *number > through);
        let pruned = through > 0;
        Recovered {
            records,
            pruned,
            app,
        }
    }

    pub(crate) fn restart(
        &mut self,
        setting: &Setting,
        now: u64,
    ) -> Result<Vec<Effect>, RestoreError> {
        let Recovered {
            records,
            pruned,
            app,
        } = self.recover(setting);
        self.started = true;
        self.records = records.last().map_or(0, |(number, _)| *number);
        self.app = app;
        self.pruned = pruned;
        self.batch.clear();
        let lost = self.app.index() + 1;
        self.states.lose_from(lost);
        self.blocks.split_off(&lost);
        self.executed.split_off(&lost);
        let (seat, header) = (self.seat, self.app.last_header.clone());
        let (engine, effects) = Engine::restore(setting, seat, records, header, self.date(now))?;
        self.engine = Some(engine);
        Ok(effects)
    }
}

/// The entries of a frame.
fn entries(mut frame: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (head, rest) = frame.split_at_checked(5)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let (body, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        frame = rest;
        Some((head[0], body))
    })
}

fn big_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}
