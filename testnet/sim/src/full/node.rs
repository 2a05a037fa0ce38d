//! One simulated node: the real core and the real ledger, around a store on a
//! simulated disk.
//!
//! It does what `node/src/pipeline` does, without its threads and sockets: an
//! output of the core goes into the batch or to the network; an ordered block
//! is executed over what is durable, on its way to the disk, and in the batch;
//! one batch is on its way while the next one fills; and only behind its sync
//! the core hears of it, and the world sees it. Mirrored are `perform`,
//! `execute`, `settle` and the publisher; driven for real are the core, the
//! ledger's guard and execution, and the chain notifier's sight.

use std::rc::Rc;

use dctrl_consensus::{Block, BlockHeader, Certificate, Digest, Outcome, Timestamp};
use dctrl_ledger::{Admitted, ChangeSet, Changed, admit_all};
use dctrl_proto::v1::{Refusal, SignedAction};

use super::founding::Founding;
use super::notifier::Notifier;
use super::outputs::{Done, Executor};
use super::parties::Judge;
use super::plan::Planted;
use super::store::{Batch, Kept, Store};
use crate::clock::Clock;
use crate::disk::Fate;
use crate::engine::{Effect, Engine, Seat, Stimulus};
use crate::marks::Marks;
use crate::prng::Prng;

/// A batch on its way to the disk.
pub(super) struct Flight {
    pub(super) batch: Batch,
    pub(super) through: usize,
}

/// A node, up or down.
pub(super) struct Node {
    pub(super) seat: Seat,
    founding: Rc<Founding>,
    clock: Clock,
    pub(super) engine: Option<Engine>,
    pub(super) store: Store,
    pub(super) filling: Batch,
    pub(super) flight: Option<Flight>,
    /// The header before the next block's, and those not durable yet.
    pub(super) last_header: Option<BlockHeader>,
    pub(super) records: u64,
    pub(super) wake_at: Option<u64>,
    pub(super) started: bool,
    /// How often the process was started: its wakes and syncs die with it.
    pub(super) life: u64,
    pub(super) gone: bool,
    /// Frames up to this height were published by this process.
    pub(super) published: u64,
    pub(super) notifier: Notifier,
}

impl Node {
    pub(super) fn new(
        founding: &Rc<Founding>,
        founded: ChangeSet,
        seat: Seat,
        clock: Clock,
    ) -> Self {
        Self {
            seat,
            founding: Rc::clone(founding),
            clock,
            engine: None,
            store: Store::new(founded),
            filling: Batch::default(),
            flight: None,
            last_header: None,
            records: 0,
            wake_at: None,
            started: false,
            life: 0,
            gone: false,
            published: 0,
            notifier: Notifier::new(seat),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.engine.is_some()
    }

    pub(super) fn date(&self, now: u64) -> Timestamp {
        self.clock.read(now)
    }

    pub(super) fn now_ms(&self, now: u64) -> u64 {
        self.date(now).as_millis()
    }

    pub(super) fn shows_at(&self, date: Timestamp, now: u64) -> Option<u64> {
        self.clock.shows_at(date, now)
    }

    /// The first start.
    pub(super) fn start(&mut self) {
        self.started = true;
        self.engine = Some(Engine::new(&self.founding.setting, self.seat));
    }

    pub(super) fn step(&mut self, now: u64, stimulus: Stimulus) -> Vec<Effect> {
        let date = self.date(now);
        let engine = self.engine.as_mut();
        engine
            .map(|engine| engine.step(date, stimulus))
            .unwrap_or_default()
    }

    /// What the guard says to an action that is handed in here.
    pub(super) fn admit(
        &self,
        now: u64,
        action: &SignedAction,
        judge: &Judge,
    ) -> Result<Admitted, Refusal> {
        let mut all = admit_all(
            &self.store.state,
            self.now_ms(now),
            std::slice::from_ref(action),
            judge,
        );
        let Some(verdict) = all.pop() else {
            unreachable!("each action has a verdict")
        };
        verdict
    }

    /// Executes a block and puts what follows into the batch.
    pub(super) fn execute(
        &mut self,
        block: &Block,
        executor: &Executor,
        planted: Option<Planted>,
    ) -> Result<(Outcome, Rc<Done>), String> {
        let none = ChangeSet::new();
        let older = self.flight.as_ref().map_or(&none, |it| &it.batch.changes);
        let older = Changed::new(&self.store.state, older);
        let state = Changed::new(&older, &self.filling.changes);
        let done = executor.execute(block, &state)?;
        let mut state_digest = Digest(done.applied.state_digest);
        if planted == Some(Planted::OtherState) && self.seat == 0 && block.index > 3 {
            state_digest.0[0] ^= 1;
        }
        let outcome = Outcome {
            state_digest,
            outputs_root: done.outputs.root(),
            next_roster: None,
        };
        let previous = self.last_header.as_ref();
        let previous = previous.map_or(Digest::ZERO, BlockHeader::hash);
        let setting = &self.founding.setting;
        let header = block.header(&setting.cluster, &setting.genesis, previous, &outcome);
        self.last_header = Some(header.clone());
        let kept = Kept {
            header,
            transactions: block
                .transactions
                .iter()
                .map(|one| one.bytes.clone())
                .collect(),
            outputs: Rc::clone(&done.outputs),
        };
        self.filling.block(kept, &done.applied.changes);
        if planted == Some(Planted::LoseOnDisk) && self.seat == 0 {
            self.filling.lose_last_entry();
        }
        Ok((outcome, done))
    }

    pub(super) fn record(&mut self, number: u64, bytes: &[u8]) {
        self.records = number;
        self.filling.record(number, bytes);
    }

    pub(super) fn certified(&mut self, certificate: &Certificate) {
        self.filling.certificate(certificate);
    }

    /// Hands the batch to the disk where none is on its way; false where there
    /// is nothing to hand.
    pub(super) fn keep(&mut self) -> bool {
        if self.flight.is_some() || self.filling.is_empty() {
            return false;
        }
        let batch = std::mem::take(&mut self.filling);
        let through = self.store.write(&batch);
        self.flight = Some(Flight { batch, through });
        true
    }

    /// The batch on its way is durable.
    pub(super) fn kept(&mut self) -> Option<Batch> {
        let flight = self.flight.take()?;
        self.store.synced(flight.through, &flight.batch);
        Some(flight.batch)
    }

    pub(super) fn crash(&mut self, fate: Fate, chance: &mut Prng, marks: &mut Marks) {
        self.engine = None;
        self.wake_at = None;
        self.life += 1;
        self.filling = Batch::default();
        self.flight = None;
        self.notifier = Notifier::new(self.seat);
        self.store.crash(fate, chance, marks);
    }

    /// The process starts again on what its disk holds; `harmed` where that
    /// is not what was written.
    pub(super) fn restart(&mut self, now: u64, harmed: bool) -> Result<Vec<Effect>, String> {
        let found = match self.store.open() {
            Some(found) => found,
            None if harmed => {
                // The operator gives it an empty disk, and it fetches the rest.
                self.store.give_up();
                self.store.open().ok_or("an empty store cannot be read")?
            }
            None => return Err("its store cannot be read".to_owned()),
        };
        self.started = true;
        self.records = found.records.last().map_or(0, |(number, _)| *number);
        self.last_header = found.header.clone();
        self.published = self.store.final_height;
        let (setting, date) = (&self.founding.setting, self.date(now));
        let restored = Engine::restore(setting, self.seat, found.records, found.header, date);
        let (engine, effects) = restored.map_err(|error| error.to_string())?;
        self.engine = Some(engine);
        Ok(effects)
    }
}
