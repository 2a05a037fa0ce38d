//! Liars that run one real core and mangle what goes in and out.

use bytes::Bytes;
use dctrl_consensus::Message;

use super::{Actor, Stage};
use crate::clock::{self, Clock};
use crate::engine::{Seat, Stimulus};
use crate::puppet::Puppet;

/// What a liar changes about a node that follows the rules.
pub(crate) trait Mask {
    /// What the core hears of a message; `None` for nothing.
    fn incoming(
        &mut self,
        _from: Seat,
        message: Message,
        _stage: &mut Stage<'_>,
    ) -> Option<Message> {
        Some(message)
    }

    /// What is done in place of sending this message to this seat.
    fn outgoing(&mut self, to: Seat, message: Message, stage: &mut Stage<'_>) {
        stage.tell(to, &message);
    }

    /// The clock that the core is shown.
    fn clock(&mut self, _stage: &mut Stage<'_>) -> Clock {
        Clock::Off(0)
    }
}

/// A core behind a mask.
pub(crate) struct Masked<M> {
    mask: M,
    puppet: Puppet,
}

impl<M: Mask> Masked<M> {
    pub(crate) fn new(mask: M, stage: &Stage<'_>) -> Self {
        let puppet = Puppet::new(stage.setting, stage.me);
        Self { mask, puppet }
    }

    fn step(&mut self, stimulus: Stimulus, stage: &mut Stage<'_>) {
        let now = self.mask.clock(stage).read(stage.now);
        self.puppet.executed.clear();
        for (to, bytes) in self.puppet.step(stage.setting, now, stimulus) {
            let Some(message) = stage.setting.decode(&bytes) else {
                continue;
            };
            for to in to {
                self.mask.outgoing(to, message.clone(), stage);
            }
        }
        if let Some(wake_at) = self.puppet.wake_at {
            let wait = wake_at.since(now);
            stage.wake_at(stage.now.saturating_add(wait));
        }
    }
}

impl<M: Mask> Actor for Masked<M> {
    fn start(&mut self, stage: &mut Stage<'_>) {
        self.step(Stimulus::Wake, stage);
    }

    fn hear(&mut self, from: Seat, message: Message, stage: &mut Stage<'_>) {
        if let Some(message) = self.mask.incoming(from, message, stage) {
            let message = message.assume_verified();
            self.step(Stimulus::Hear { from, message }, stage);
        }
    }

    fn wake(&mut self, stage: &mut Stage<'_>) {
        let due = self.puppet.wake_at.is_some_and(|at| {
            at <= self.mask.clock(stage).read(stage.now) || at <= clock::right(stage.now)
        });
        if due {
            self.step(Stimulus::Wake, stage);
        }
    }

    fn submit(&mut self, transaction: Bytes, stage: &mut Stage<'_>) {
        self.step(Stimulus::Submit(transaction), stage);
    }
}
