//! Liars of a few lines each, over a real core.

use std::collections::VecDeque;

use bytes::Bytes;
use dctrl_consensus::event::EventHeader;
use dctrl_consensus::{Digest, Message};

use super::Stage;
use super::mask::Mask;
use crate::clock::Clock;
use crate::engine::Seat;
use crate::marks::Mark;
use crate::scenario::{MILLISECOND, SECOND, pick};

/// Messages that a replayer keeps.
const KEPT_MAX: usize = 64;

/// Says nothing.
pub(crate) struct Silent;

impl Mask for Silent {
    fn outgoing(&mut self, _to: Seat, _message: Message, stage: &mut Stage<'_>) {
        stage.lied(Mark::Silence);
    }
}

/// Shows its events to a few only.
pub(crate) struct Withholder {
    lucky: Vec<bool>,
}

impl Withholder {
    pub(crate) fn new(stage: &mut Stage<'_>) -> Self {
        let seats = stage.setting.people.len();
        let share = stage.chance.between(100, 700);
        let lucky = (0..seats).map(|_| stage.chance.chance(share)).collect();
        Self { lucky }
    }
}

impl Mask for Withholder {
    fn outgoing(&mut self, to: Seat, message: Message, stage: &mut Stage<'_>) {
        if self.lucky[to] || !matches!(message, Message::Events(_)) {
            stage.tell(to, &message);
        } else {
            stage.lied(Mark::Withheld);
        }
    }
}

/// Sends everything late.
pub(crate) struct Delayer;

impl Mask for Delayer {
    fn outgoing(&mut self, to: Seat, message: Message, stage: &mut Stage<'_>) {
        let after = stage.chance.between(MILLISECOND, 300 * MILLISECOND);
        stage.lied(Mark::Delayed);
        stage.send(to, message.encode(), after);
    }
}

/// Sends again and again what it or others have said.
#[derive(Default)]
pub(crate) struct Replayer {
    kept: VecDeque<Bytes>,
}

impl Replayer {
    fn keep(&mut self, message: &Message) {
        if self.kept.len() == KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(message.encode());
    }
}

impl Mask for Replayer {
    fn incoming(&mut self, _from: Seat, message: Message, _: &mut Stage<'_>) -> Option<Message> {
        self.keep(&message);
        Some(message)
    }

    fn outgoing(&mut self, to: Seat, message: Message, stage: &mut Stage<'_>) {
        stage.tell(to, &message);
        self.keep(&message);
        for _ in 0..stage.chance.below(4) {
            let old = pick(stage.chance, self.kept.len());
            let after = stage.chance.below(100 * MILLISECOND);
            stage.lied(Mark::ReplayedOld);
            stage.send(to, self.kept[old].clone(), after);
        }
    }
}

/// Dates its events as far ahead or back as it can.
pub(crate) struct TimestampSkewer {
    off: i64,
    wavers: bool,
}

impl TimestampSkewer {
    pub(crate) fn new(stage: &mut Stage<'_>) -> Self {
        let far = [9 * SECOND, 60 * SECOND, 20 * 365 * 86_400 * SECOND];
        let off = far[pick(stage.chance, far.len())].cast_signed();
        let off = if stage.chance(500) { off } else { -off };
        Self {
            off,
            wavers: stage.chance(300),
        }
    }
}

impl Mask for TimestampSkewer {
    fn clock(&mut self, stage: &mut Stage<'_>) -> Clock {
        stage.lied(Mark::SkewedTime);
        if self.wavers && stage.chance(500) {
            Clock::Off(0)
        } else {
            Clock::Off(self.off)
        }
    }
}

/// Hears nothing that one node says, and tells it nothing.
pub(crate) struct Censor {
    victim: Seat,
}

impl Censor {
    pub(crate) fn new(stage: &mut Stage<'_>) -> Self {
        let others: Vec<Seat> = stage.others().collect();
        let victim = others
            .get(pick(stage.chance, others.len()))
            .copied()
            .unwrap_or(0);
        Self { victim }
    }
}

impl Mask for Censor {
    fn incoming(&mut self, from: Seat, message: Message, stage: &mut Stage<'_>) -> Option<Message> {
        let Message::Events(mut events) = message else {
            return (from != self.victim).then_some(message);
        };
        let before = events.len();
        let rosters = stage.rosters;
        let by = |header: &EventHeader| rosters.seat(header.epoch, header.creator);
        events.retain(|event| by(event.header()) != Some(self.victim));
        if events.len() < before {
            stage.lied(Mark::Censored);
        }
        (!events.is_empty()).then_some(Message::Events(events))
    }

    fn outgoing(&mut self, to: Seat, message: Message, stage: &mut Stage<'_>) {
        if to == self.victim {
            stage.lied(Mark::Censored);
        } else {
            stage.tell(to, &message);
        }
    }
}

/// Signs no block.
pub(crate) struct CertificateWithholder;

impl Mask for CertificateWithholder {
    fn outgoing(&mut self, to: Seat, message: Message, stage: &mut Stage<'_>) {
        if matches!(message, Message::Signatures(_)) {
            stage.lied(Mark::SignatureWithheld);
        } else {
            stage.tell(to, &message);
        }
    }
}

/// Signs headers that no honest node arrived at, another one for each node.
pub(crate) struct ChainLiar;

impl Mask for ChainLiar {
    fn outgoing(&mut self, to: Seat, message: Message, stage: &mut Stage<'_>) {
        let Message::Signatures(mut signatures) = message else {
            return stage.tell(to, &message);
        };
        let signer = stage.setting.signer(stage.me);
        for signed in &mut signatures {
            if signed.signer == stage.my_index(signed.epoch) && stage.chance.chance(700) {
                let bits = stage.chance.below(3).to_be_bytes();
                let mut header = signed.header.0;
                header[..8].copy_from_slice(&bits);
                signed.header = Digest(header);
                let bytes = dctrl_consensus::certificate::signing_bytes(&signed.header);
                signed.signature = signer.sign(&bytes);
                stage.lied(Mark::FalseSignature);
            }
        }
        stage.tell(to, &Message::Signatures(signatures));
    }
}

/// Sends bytes that are no message, among others that are.
pub(crate) struct Babbler;

impl Mask for Babbler {
    fn outgoing(&mut self, to: Seat, message: Message, stage: &mut Stage<'_>) {
        let mut bytes = message.encode().to_vec();
        stage.send(to, message.encode(), 0);
        let at = pick(stage.chance, bytes.len());
        match stage.chance.below(3) {
            0 => bytes.truncate(at),
            1 => bytes.push(0),
            _ => bytes = vec![0xff; at],
        }
        stage.lied(Mark::Garbage);
        stage.send(to, Bytes::from(bytes), 0);
    }
}
