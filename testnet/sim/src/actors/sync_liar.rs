//! Lies about what it has and wants, and gives wrong answers.

use dctrl_consensus::Message;
use dctrl_consensus::message::{Known, Request};

use super::Stage;
use super::mask::Mask;
use crate::engine::Seat;
use crate::marks::Mark;

/// Half of what it says about what it knows is made up.
pub(crate) struct SyncLiar;

impl SyncLiar {
    fn summary(mut known: Known, to: Seat, stage: &mut Stage<'_>) -> Known {
        for count in &mut known.counts {
            *count = match stage.chance.below(4) {
                0 => 0,
                1 => *count + stage.chance.below(1000),
                2 => u64::MAX - stage.chance.below(2),
                _ => *count,
            };
        }
        if stage.chance(300) {
            // As if the other had made events that it has forgotten.
            let at = stage.rosters.index(known.epoch, to);
            let count = at.and_then(|at| known.counts.get_mut(at.position()));
            let forgotten = stage.chance.below(5000);
            count.into_iter().for_each(|count| *count = forgotten);
        }
        known.asks = stage.chance(500).then_some(7);
        known.signed = stage.chance.below(u64::MAX);
        known.final_index = stage.chance.below(known.signed.max(1));
        known
    }

    /// A question about far more than there is.
    fn question(stage: &mut Stage<'_>) -> Request {
        let newest = stage.rosters.newest();
        let mut request = Request {
            epoch: newest.epoch - stage.chance.below(newest.epoch.min(1) + 1),
            ..Request::default()
        };
        for creator in newest.roster.indices() {
            let first = stage.chance.below(50);
            let end = if stage.chance(300) {
                u64::MAX
            } else {
                first + stage.chance.below(50)
            };
            request.ranges.push((creator, first, end));
        }
        request
    }
}

impl Mask for SyncLiar {
    fn outgoing(&mut self, to: Seat, message: Message, stage: &mut Stage<'_>) {
        if stage.chance(400) {
            return stage.tell(to, &message);
        }
        stage.lied(Mark::FalseSummary);
        match message {
            Message::Known(known) => {
                let known = Self::summary(known, to, stage);
                stage.tell(to, &Message::Known(known));
            }
            Message::Request(_) => {
                let request = Self::question(stage);
                stage.tell(to, &Message::Request(request));
            }
            // A part of what was asked for, and the children first.
            Message::Events(mut events) => {
                events.reverse();
                let kept = stage.chance.below(events.len() as u64 + 1);
                events.truncate(usize::try_from(kept).unwrap_or(0));
                stage.tell(to, &Message::Events(events));
            }
            Message::Signatures(_)
            | Message::Evidence(_)
            | Message::BlockRequest(_)
            | Message::Blocks(_)
            | Message::Entrusted(_)
            | Message::BlocksGone(_)
            | Message::StateRequest(_)
            | Message::State(_) => {}
        }
    }
}
