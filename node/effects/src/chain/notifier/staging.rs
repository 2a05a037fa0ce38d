//! Between what the node knows and what it says: frames of the bus come in,
//! signed observations go out, each view once.

use std::time::Duration;

use dctrl_proto::v1::BusBody;

use super::super::{
    Board, Tip,
    cross::Cross,
    sight::{Saying, Sight, Subject},
};
use crate::{
    Common,
    outbox::{Desk, Ended, Outbox},
};

/// Blocks that a restart looks through again, because a quote may reach this
/// node only after the block that pays it.
const SETTLED_DEPTH: usize = 6;
/// Turns without a door after which it is said.
const DOOR_FAILURES: u32 = 3;

pub(super) struct Staging {
    common: Common,
    pub(super) sight: Sight,
    /// The last tip up to which everything has been said and applied.
    settled: Option<Tip>,
    outbox: Outbox<Subject>,
    /// What a second backend shows, and what is known of all.
    cross: Cross,
    board: Board,
    /// Something is not said because backends do not show it alike.
    withheld: bool,
}

impl Staging {
    pub(super) fn new(common: Common, sight: Sight) -> Self {
        Self {
            common,
            sight,
            settled: None,
            outbox: Outbox::default(),
            cross: Cross::default(),
            board: Board::default(),
            withheld: false,
        }
    }

    /// Says only what a second backend shows as well, where there is one.
    pub(super) fn checked_by(mut self, cross: Cross, board: Board) -> Self {
        self.cross = cross;
        self.board = board;
        self
    }

    /// Whether the backends show alike what is to be said.
    fn is_confirmed(&self, saying: &Saying) -> bool {
        match saying {
            Saying::Tip(_) => !self.board.is_disputed(),
            Saying::Payment(view) => self.cross.confirms(view),
        }
    }

    /// Takes a frame; whether the backend should be asked for news.
    pub(super) fn frame(&mut self, body: &BusBody) -> bool {
        self.sight.frame(body, (self.common.seat)())
    }

    /// Takes a fact; whether the backend should be asked for news.
    pub(super) fn fact(&mut self, body: &BusBody) -> bool {
        self.sight.fact(body, (self.common.seat)())
    }

    /// Puts what is unsaid on its way.
    pub(super) fn stage(&mut self) {
        let now_ms = (self.common.clock)();
        self.withheld = false;
        for (subject, saying) in self.sight.unsaid() {
            if !self.is_confirmed(&saying) {
                self.withheld = true;
                continue;
            }
            if saying.takes_back() && self.outbox.hurries(&subject, now_ms) {
                continue;
            }
            let put = match &saying {
                Saying::Tip(view) => self.outbox.put(&self.common, subject.clone(), view),
                Saying::Payment(view) => self.outbox.put(&self.common, subject.clone(), view),
            };
            if !put {
                return;
            }
            self.sight.said(&subject);
        }
    }

    pub(super) fn work(&mut self, desk: &dyn Desk) {
        let now_ms = (self.common.clock)();
        for (subject, ended) in self.outbox.work(now_ms, desk) {
            match ended {
                Ended::Applied => {}
                Ended::Refused(refusal) => {
                    tracing::warn!(?subject, %refusal, "an observation was refused");
                    self.sight.refused(&subject);
                }
                Ended::Expired => self.sight.unsay(&subject),
            }
        }
    }

    /// When the outbox has work again.
    pub(super) fn due_in(&self) -> Option<Duration> {
        let due_ms = self.outbox.due_ms()?;
        Some(Duration::from_millis(
            due_ms.saturating_sub((self.common.clock)()),
        ))
    }

    pub(super) fn unreachable(&self) -> bool {
        self.outbox.failures() >= DOOR_FAILURES
    }

    /// A block up to which everything has been said and applied, once for each.
    pub(super) fn settled_tip(&mut self) -> Option<Tip> {
        if self.sight.abstain || self.withheld || !self.outbox.is_empty() {
            return None;
        }
        let tip = self.sight.settled_block(SETTLED_DEPTH);
        let tip = tip.filter(|tip| Some(*tip) != self.settled)?;
        self.settled = Some(tip);
        Some(tip)
    }
}

#[cfg(test)]
mod tests;
