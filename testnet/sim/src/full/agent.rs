//! One machine: the agent's real state machine, its journal in the real bytes
//! on a simulated disk, its clock, and what it hears of the bus.
//!
//! Mirrored is the loop of `machine-agent/src/agent.rs`: effects are performed
//! in order, a record is on the disk before what follows it, a pulse blocks
//! everything else, and a self-test comes every two seconds. Journals begin a
//! new file as the real one does, which here is one step.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use dctrl_access::Identity;
use dctrl_agent::clock::Now;
use dctrl_agent::journal::image::Image;
use dctrl_agent::machine::{Durable, Effect, Facts, Input, Machine, PulseEnd, Record, SlotLine};

use super::ears::Ears;
use super::founding::{Founding, SLOTS, machine_id, machine_seed};
use super::parties::identity;
use crate::clock;
use crate::prng::Prng;

/// After so many bytes a journal begins its next file.
const JOURNAL_BYTES_MAX: usize = 16 << 10;
/// Length of a pulse, milliseconds.
pub(super) const PULSE_MS: u32 = 400;
/// How wrong a machine's oscillator is at most, parts per million.
const DRIFT_PPM: u64 = 500;

/// A machine, its agent up or down.
pub(super) struct Agent {
    pub(super) id: String,
    facts: Facts,
    identity: Arc<Identity>,
    pub(super) machine: Option<Machine>,
    pub(super) ears: Ears,
    image: Option<Image>,
    /// What the journal's disk holds of a line that was cut off.
    torn: Vec<u8>,
    /// How often the process was started.
    pub(super) life: u64,
    booted_at: u64,
    /// Parts per million by which the clock is fast.
    drift: i64,
    /// Milliseconds by which the wall clock is wrong.
    wall_off_ms: i64,
    pub(super) tested_at: Option<u64>,
    /// A pulse is given, and blocks the loop.
    pub(super) pulsing: bool,
    /// The node at whose door it hands in.
    pub(super) door: usize,
    /// Whether it has a drop sensor that remembers.
    pub(super) latches: bool,
    /// What the latch says of the last pulse.
    pub(super) latched: Option<bool>,
    /// A byte of the journal that will be another one.
    pub(super) flip: Option<usize>,
    /// The last start found damage.
    pub(super) damaged: bool,
    /// The order that was FIRING when the process last died.
    pub(super) died_firing: bool,
}

impl Agent {
    pub(super) fn new(founding: &Founding, number: usize, chance: &mut Prng) -> Self {
        let slots: BTreeMap<String, SlotLine> = SLOTS
            .iter()
            .map(|(slot, _, line)| {
                let (line, pulse_ms) = (*line, PULSE_MS);
                ((*slot).to_owned(), SlotLine { line, pulse_ms })
            })
            .collect();
        let drift = chance.between(0, 2 * DRIFT_PPM).cast_signed() - DRIFT_PPM.cast_signed();
        let nodes = founding.nodes.len();
        Self {
            id: machine_id(number),
            facts: Facts {
                cluster: founding.cluster,
                machine_id: machine_id(number),
                slots,
                spacing_ms: 200,
                heartbeat_ms: 20_000,
                nonce_seed: [0; 32],
            },
            identity: identity(machine_seed(number)),
            machine: None,
            ears: Ears::new(nodes, dctrl_follow::Position::default()),
            image: None,
            torn: Vec::new(),
            life: 0,
            booted_at: 0,
            drift,
            wall_off_ms: chance.between(0, 4_000).cast_signed() - 2_000,
            tested_at: None,
            pulsing: false,
            door: number % nodes,
            latches: number.is_multiple_of(3),
            latched: Some(false),
            died_firing: false,
            flip: None,
            damaged: false,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.machine.is_some()
    }

    /// The machine's clocks.
    pub(super) fn clock(&self, now: u64) -> Now {
        let elapsed = i128::from(now - self.booted_at);
        let boot = elapsed * (1_000_000 + i128::from(self.drift)) / 1_000_000 / 1_000_000;
        Now {
            boot_ms: u64::try_from(boot).unwrap_or(0),
            wall_ms: clock::right(now)
                .as_millis()
                .saturating_add_signed(self.wall_off_ms),
        }
    }

    /// The process starts; with the machine, where that was off.
    pub(super) fn start(&mut self, now: u64, nodes: usize, reboot: bool, chance: &mut Prng) {
        if reboot {
            self.booted_at = now;
        }
        self.life += 1;
        let durable = self.open_journal();
        let followed = durable.followed;
        self.ears = Ears::new(
            nodes,
            dctrl_follow::Position {
                height: followed.height,
                sub_index: followed.sub_index,
            },
        );
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&chance.bits().to_be_bytes());
        self.facts.nonce_seed = seed;
        self.tested_at = None;
        self.pulsing = false;
        let (facts, identity) = (self.facts.clone(), Arc::clone(&self.identity));
        self.machine = Some(Machine::new(facts, identity, durable));
    }

    fn open_journal(&mut self) -> Durable {
        let Some(image) = self.image.take() else {
            let begun = Image::begin(1, Durable::default());
            self.image = begun.ok();
            return Durable::default();
        };
        let mut bytes = image.bytes().to_vec();
        bytes.append(&mut self.torn);
        if let Some(at) = self.flip.take() {
            let length = bytes.len();
            bytes[at % length] ^= 0x10;
        }
        let read = Image::read(bytes);
        let Ok((image, torn)) = read else {
            // Damage before the end: the operator removes the journal.
            self.damaged = true;
            return self.open_journal();
        };
        let durable = image.durable().clone();
        self.image = if torn {
            Image::begin(image.generation() + 1, durable.clone()).ok()
        } else {
            Some(image)
        };
        durable
    }

    /// The process ends, and its journal stays as it is.
    pub(super) fn die(&mut self) {
        self.died_firing = self.pulsing;
        self.machine = None;
        self.pulsing = false;
        self.life += 1;
    }

    /// The journal's disk is another one, and empty.
    pub(super) fn lose_journal(&mut self) {
        self.image = None;
        self.torn.clear();
    }

    /// Whether the next record begins another file.
    pub(super) fn begins_a_file(&self) -> bool {
        let image = self.image.as_ref();
        image.is_some_and(|image| image.bytes().len() > JOURNAL_BYTES_MAX)
    }

    /// Writes a record and syncs it.
    pub(super) fn append(&mut self, record: &Record) {
        let begins = self.begins_a_file();
        let Some(image) = &mut self.image else { return };
        if begins {
            let mut durable = image.durable().clone();
            durable.apply(record);
            self.image = Image::begin(image.generation() + 1, durable).ok();
        } else if image.append(record).is_err() {
            self.image = None;
        }
    }

    /// Half of the record's line is on the disk.
    pub(super) fn append_half(&mut self, record: &Record) {
        let Some(image) = &self.image else { return };
        let mut whole = image.clone();
        if let Ok(length) = whole.append(record) {
            let begin = whole.bytes().len() - length;
            self.torn = whole.bytes()[begin..begin + length / 2].to_vec();
        }
    }

    pub(super) fn step(&mut self, now: u64, input: Input) -> VecDeque<Effect> {
        let clock = self.clock(now);
        let machine = self.machine.as_mut();
        machine
            .map(|machine| machine.step(clock, input).into())
            .unwrap_or_default()
    }

    pub(super) fn durable(&self) -> Option<&Durable> {
        self.machine.as_ref().map(Machine::durable)
    }

    /// How a pulse ended, by the drop sensor.
    pub(super) fn end(dropped: bool) -> PulseEnd {
        use dctrl_proto::v1::Outcome;
        let (outcome, reason) = if dropped {
            (Outcome::Dispensed, "")
        } else {
            (Outcome::Failed, "the drop sensor saw nothing fall")
        };
        PulseEnd {
            outcome,
            reason: reason.to_owned(),
            pulses: 1,
        }
    }
}
