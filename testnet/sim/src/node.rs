//! One simulated process that follows the rules: a real engine, a disk that
//! forgets what was not synced, a clock, and an application.

use dctrl_consensus::{BlockHeader, RestoreError, Timestamp};

use crate::app::App;
use crate::clock::Clock;
use crate::disk::{Disk, Fate};
use crate::engine::{Effect, Engine, Seat, Setting, Stimulus};
use crate::marks::Marks;
use crate::prng::Prng;

/// The first byte of a frame that holds a record of the core.
const RECORD: u8 = b'r';
/// The first byte of a frame that holds what execution has reached.
const REACHED: u8 = b'x';

/// A process, up or down.
pub(crate) struct Node {
    pub(crate) seat: Seat,
    clock: Clock,
    engine: Option<Engine>,
    disk: Disk,
    pub(crate) app: App,
    /// The number of the last record in the log.
    pub(crate) records: u64,
    /// The one wake that counts, in the world's time.
    pub(crate) wake_at: Option<u64>,
    /// How often the process was started: its wakes and syncs die with it.
    pub(crate) incarnation: u64,
    /// Certified up to here, as far as this process has put out.
    pub(crate) final_index: u64,
    /// Whether it will never run again.
    pub(crate) gone: bool,
}

/// What is on a disk.
pub(crate) struct Recovered {
    pub(crate) records: Vec<Vec<u8>>,
    pub(crate) app: App,
}

impl Node {
    /// A process that was never started.
    pub(crate) fn new(seat: Seat, clock: Clock) -> Self {
        Self {
            seat,
            clock,
            engine: None,
            disk: Disk::default(),
            app: App::default(),
            records: 0,
            wake_at: None,
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
        self.disk.append(&[&[RECORD], bytes].concat());
    }

    /// What execution has reached goes into the log, behind all records so far.
    pub(crate) fn reached(&mut self) {
        let header = self.app.last_header.as_ref();
        let header = header.map(BlockHeader::encode).unwrap_or_default();
        self.disk
            .append(&[&[REACHED], &self.app.state.0[..], &header].concat());
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
    pub(crate) fn recover(&self) -> Recovered {
        let (mut records, mut app) = (Vec::new(), App::default());
        for frame in self.disk.frames() {
            match frame.split_first() {
                Some((&RECORD, record)) => records.push(record.to_vec()),
                Some((&REACHED, reached)) => {
                    let (state, header) = reached.split_at(32);
                    app.state.0.copy_from_slice(state);
                    app.last_header = BlockHeader::decode(header).ok();
                }
                _ => {}
            }
        }
        Recovered { records, app }
    }

    pub(crate) fn restart(
        &mut self,
        setting: &Setting,
        now: u64,
    ) -> Result<Vec<Effect>, RestoreError> {
        let Recovered { records, app } = self.recover();
        self.records = records.len() as u64;
        self.app = app;
        let (seat, header) = (self.seat, self.app.last_header.clone());
        let (engine, effects) = Engine::restore(setting, seat, records, header, self.date(now))?;
        self.engine = Some(engine);
        Ok(effects)
    }
}
