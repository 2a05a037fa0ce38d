//! A real core whose disk never fails and answers at once: in a liar's hands,
//! or in an experiment.

use std::collections::VecDeque;

use bytes::Bytes;
use dctrl_consensus::{Block, Message, Summary, Timestamp};

use crate::app::App;
use crate::engine::{Effect, Engine, Seat, Setting, Stimulus};
use crate::states::{Installed, States};

/// A core with all that it needs to run.
pub(crate) struct Puppet {
    engine: Engine,
    pub(crate) app: App,
    states: States,
    pub(crate) wake_at: Option<Timestamp>,
    /// Blocks executed since someone took them from here.
    pub(crate) executed: Vec<Block>,
}

impl Puppet {
    pub(crate) fn new(setting: &Setting, seat: Seat) -> Self {
        Self {
            engine: Engine::new(setting, seat),
            app: App::genesis(setting),
            states: States::default(),
            wake_at: None,
            executed: Vec::new(),
        }
    }

    pub(crate) fn summary(&self) -> Summary {
        self.engine.summary()
    }

    /// Performs all that follows from the stimulus, and returns what the core
    /// would send, and to whom.
    pub(crate) fn step(
        &mut self,
        setting: &Setting,
        now: Timestamp,
        stimulus: Stimulus,
    ) -> Vec<(Vec<Seat>, Bytes)> {
        let mut sent = Vec::new();
        let mut next = VecDeque::from([stimulus]);
        while let Some(stimulus) = next.pop_front() {
            if matches!(stimulus, Stimulus::Wake) {
                self.wake_at = None;
            }
            let mut recorded = None;
            for effect in self.engine.step(now, stimulus) {
                match effect {
                    Effect::Record { number, .. } => recorded = Some(number),
                    Effect::Send { to, bytes } => sent.push((to, bytes)),
                    Effect::Execute(block) => {
                        let outcome = self.app.execute(setting, &block);
                        next.push_back(Stimulus::Executed {
                            index: block.index,
                            outcome,
                        });
                        self.executed.push(block);
                    }
                    Effect::WakeAt(time) => self.wake_at = Some(time),
                    Effect::Final(certificate) => self.states.certified(&certificate, &self.app),
                    Effect::Epoch(start) => self.states.begun(&start),
                    Effect::ServeState { to, question } => {
                        let answer = self.states.answer(&question, &setting.limits);
                        sent.push((vec![to], Message::State(answer).encode()));
                    }
                    Effect::Install(step) => match self.states.install(step) {
                        Installed::Progress(manifest, progress) => {
                            next.push_back(Stimulus::Installed { manifest, progress });
                        }
                        Installed::Present(present) => self.app = present.0,
                        Installed::Nothing => {}
                    },
                    Effect::ForkProven(_)
                    | Effect::Diverged(_)
                    | Effect::Amnesia(_)
                    | Effect::Prune(_)
                    | Effect::ServeBlocks { .. }
                    | Effect::Refused(_) => {}
                }
            }
            next.extend(recorded.map(Stimulus::Persisted));
        }
        sent
    }
}
