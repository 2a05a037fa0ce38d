//! The one place where the simulator touches the core's door.
//!
//! Everything else speaks of seats (who a process is), of stimuli and of
//! effects. Whoever changes the core's inputs and outputs changes this file,
//! and the simulator follows.

use bytes::Bytes;
use dctrl_consensus::event::Event;
use dctrl_consensus::explain::Window;
use dctrl_consensus::message::VerifiedMessage;
use dctrl_consensus::snapshot::StateQuestion;
use dctrl_consensus::{
    Block, BlockHeader, Certificate, Core, Digest, EpochStart, Executed, Input, Install,
    InstallProgress, Limits, Outcome, Output, Recipient, Record, RefusalReason, RestoreError,
    Summary, Timestamp,
};

pub(crate) use crate::people::{Seat, index};
pub(crate) use crate::setting::{Crafted, Setting};

use crate::people::People;

/// What a core is told.
#[derive(Debug)]
pub(crate) enum Stimulus {
    Submit(Bytes),
    Hear {
        from: Seat,
        message: VerifiedMessage,
    },
    Wake,
    Persisted(u64),
    Executed {
        index: u64,
        outcome: Outcome,
    },
    Installed {
        manifest: Digest,
        progress: InstallProgress,
    },
}

/// What a core wants done.
#[allow(
    clippy::large_enum_variant,
    reason = "effects are few and performed at once"
)]
#[derive(Debug)]
pub(crate) enum Effect {
    Record {
        number: u64,
        bytes: Vec<u8>,
    },
    Send {
        to: Vec<Seat>,
        bytes: Bytes,
    },
    Execute(Block),
    Final(Certificate),
    ForkProven(Seat),
    Diverged(u64),
    Amnesia(u64),
    Epoch(EpochStart),
    /// Records up to this number are not needed any more.
    Prune(u64),
    ServeBlocks {
        to: Seat,
        index: u64,
        offset: u64,
    },
    ServeState {
        to: Seat,
        question: StateQuestion,
    },
    Install(Install),
    Refused(RefusalReason),
    WakeAt(Timestamp),
}

/// A real core in a seat.
pub(crate) struct Engine {
    core: Core,
    seat: Seat,
    people: People,
    /// The members of the core's epoch, as far as its effects have told.
    members: Vec<Seat>,
}

impl Engine {
    pub(crate) fn new(setting: &Setting, seat: Seat) -> Self {
        let core = Core::new(setting.config(seat), setting.signer(seat));
        Self::of(core, setting, seat)
    }

    fn of(core: Core, setting: &Setting, seat: Seat) -> Self {
        let people = setting.people.clone();
        let members = people.seats_of(&core.epoch().roster);
        Self {
            core,
            seat,
            people,
            members,
        }
    }

    pub(crate) fn restore(
        setting: &Setting,
        seat: Seat,
        records: Vec<(u64, Vec<u8>)>,
        executed: Option<BlockHeader>,
        now: Timestamp,
    ) -> Result<(Self, Vec<Effect>), RestoreError> {
        let executed = Executed {
            index: executed.as_ref().map_or(0, |header| header.index),
            last_header: executed,
        };
        let config = setting.config(seat);
        let records = records.into_iter();
        let records = records.map(|(number, bytes)| Record { number, bytes });
        let (core, outputs) = Core::restore(config, setting.signer(seat), records, executed, now)?;
        let mut engine = Self::of(core, setting, seat);
        let effects = engine.effects(outputs);
        Ok((engine, effects))
    }

    pub(crate) fn step(&mut self, now: Timestamp, stimulus: Stimulus) -> Vec<Effect> {
        let input = match stimulus {
            Stimulus::Submit(bytes) => Input::Submit(bytes),
            Stimulus::Hear { from, message } => Input::Receive {
                from: self.people.key(from),
                message,
            },
            Stimulus::Wake => Input::Wake,
            Stimulus::Persisted(through) => Input::Persisted { through },
            Stimulus::Executed { index, outcome } => Input::Executed { index, outcome },
            Stimulus::Installed { manifest, progress } => Input::Install { manifest, progress },
        };
        let outputs = self.core.step(now, input);
        self.effects(outputs)
    }

    fn effects(&mut self, outputs: Vec<Output>) -> Vec<Effect> {
        let mut effects = Vec::with_capacity(outputs.len());
        for output in outputs {
            if let Output::Epoch(start) = &output {
                self.members = self.people.seats_of(&start.roster);
            }
            effects.extend(self.effect(output));
        }
        effects
    }

    fn effect(&self, output: Output) -> Option<Effect> {
        Some(match output {
            Output::Persist(record) => Effect::Record {
                number: record.number,
                bytes: record.bytes,
            },
            Output::Send { to, message } => Effect::Send {
                to: self.recipients(to),
                bytes: message,
            },
            Output::Execute(block) => Effect::Execute(block),
            Output::Final(certificate) => Effect::Final(certificate),
            Output::Evidence(proof) => {
                Effect::ForkProven(*self.members.get(proof.creator().position())?)
            }
            Output::Diverged { index, .. } => Effect::Diverged(index),
            Output::Amnesia { seq } => Effect::Amnesia(seq),
            // No node of the simulation entrusts anything to another.
            Output::Entrusted { .. } => return None,
            Output::Refused { reason, .. } => Effect::Refused(reason),
            Output::WakeAt(time) => Effect::WakeAt(time),
            Output::Epoch(start) => Effect::Epoch(start),
            Output::Prune { through } => Effect::Prune(through),
            Output::ServeBlocks { to, index, offset } => Effect::ServeBlocks {
                to: self.people.seat(&to)?,
                index,
                offset,
            },
            // No node here forgets blocks, or keeps states.
            Output::ServeState { to, question } => Effect::ServeState {
                to: self.people.seat(&to)?,
                question,
            },
            Output::Install(step) => Effect::Install(step),
        })
    }

    fn recipients(&self, to: Recipient) -> Vec<Seat> {
        match to {
            Recipient::One(one) => self.people.seat(&one).into_iter().collect(),
            Recipient::All => {
                let members = self.members.iter().copied();
                members.filter(|member| *member != self.seat).collect()
            }
        }
    }

    /// The latest events and what is decided about them, for people.
    pub(crate) fn window(&self, events_max: usize) -> Window {
        self.core.window(events_max)
    }

    pub(crate) fn summary(&self) -> Summary {
        self.core.summary()
    }

    pub(crate) fn epoch(&self) -> &EpochStart {
        self.core.epoch()
    }
}

/// The event in a record, if that is what the record holds: its kind is the
/// first byte, and the event is the rest.
pub(crate) fn recorded_event(record: &[u8], limits: &Limits) -> Option<Event> {
    let (kind, rest) = record.split_first()?;
    let event = Bytes::copy_from_slice(rest);
    (*kind == 1).then(|| Event::decode(&event, limits).ok())?
}
