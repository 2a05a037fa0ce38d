//! The pipeline's ears and mouth: it polls the network itself.
//!
//! What has come since the last turn is checked together and stepped in order;
//! what one step says to the same peers leaves in one frame.

use std::time::{Duration, Instant};

use bytes::Bytes;
use dctrl_consensus::{
    Input, Message, Output, PublicKey, Recipient, Summary, message::VerifiedMessage,
};
use dctrl_net::gossip::To;

use super::{Application, Pipeline, PipelineError};
use crate::{checker::Left, frame};

/// An event that took longer was not sent when it was made.
const ARRIVAL_MAX: Duration = Duration::from_secs(1);

impl<A: Application> Pipeline<A> {
    /// Sleeps until there is something to do, and puts what peers sent into
    /// the inbox.
    pub(super) fn listen(&mut self) -> Result<(), PipelineError> {
        let patience = self.patience();
        let inbox = self.checker.inbox();
        let mut deliver = |from, bytes| inbox.put(from, bytes);
        Ok(self.gossip.turn(patience, &mut deliver)?)
    }

    /// Steps the core for what peers sent and is short; the rest comes as
    /// commands when it is checked.
    pub(super) fn take_letters(&mut self, outputs: &mut Vec<Output>) {
        let mut checked = Vec::new();
        let mut sink = |from, message, _bytes| checked.push((from, message));
        // Nothing is made before the last of them is there.
        let gathers = self.core.expects_event();
        match self.checker.take(gathers, &mut sink) {
            Left::More => self.more = true,
            Left::NothingFor(patience) => self.peers_wait = patience,
        }
        for (from, message) in checked {
            outputs.extend(self.receive(from, message));
        }
    }

    pub(super) fn receive(&mut self, from: PublicKey, message: VerifiedMessage) -> Vec<Output> {
        if let Message::Events(events) = message.message()
            && let [event] = events.as_slice()
            && self.rules.roster.index_of(&from) == Some(event.header().creator)
        {
            let took = self.clock.now().since(event.header().timestamp);
            let took = Duration::from_nanos(took);
            if took < ARRIVAL_MAX {
                self.views.meters.arrival.note(took);
            }
        }
        self.step(Input::Receive { from, message })
    }

    /// Notes how long the last layer took, where there was work in all of it.
    pub(super) fn note_layer(&mut self, summary: &Summary) {
        let Some(layer) = summary.layer else { return };
        let layer = (summary.epoch, layer);
        if self.rests {
            self.layer = None;
        }
        match self.layer {
            Some((last, _)) if last == layer => {}
            before => {
                let now = Instant::now();
                if let Some((_, since)) = before {
                    self.views.meters.layer.note(now.duration_since(since));
                }
                self.layer = Some((layer, now));
            }
        }
    }

    /// Leaves a message for the next [`Pipeline::release`].
    pub(super) fn send(&mut self, to: Recipient, message: Bytes) {
        self.outgoing.push((to, message));
    }

    /// Sends what was left, in as few frames as hold it.
    pub(super) fn release(&mut self) {
        if self.outgoing.is_empty() {
            return;
        }
        let mut waiting: Vec<Bytes> = Vec::new();
        let mut last = None;
        for (to, message) in std::mem::take(&mut self.outgoing) {
            waiting.push(message);
            let fits = last.is_none_or(|last| last == to)
                && waiting.len() <= frame::MESSAGES_MAX
                && frame::length(&waiting) <= self.rules.frame_bytes_max;
            if !fits {
                let next = waiting.pop();
                self.send_frame(last, &waiting);
                waiting.clear();
                waiting.extend(next);
            }
            last = Some(to);
        }
        self.send_frame(last, &waiting);
        self.gossip.flush();
    }

    fn send_frame(&self, to: Option<Recipient>, messages: &[Bytes]) {
        let to = match to {
            Some(Recipient::All) => To::All,
            Some(Recipient::One(key)) => To::One(key),
            None => return,
        };
        if !messages.is_empty() {
            self.gossip.send(to, &frame::join(messages));
        }
    }
}
