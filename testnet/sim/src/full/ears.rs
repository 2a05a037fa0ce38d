//! What a machine hears: frames of the bus, each once and in the order of its
//! topic, by the real sequencer; and how far it has heard everything.
//!
//! Mirrored is the bookkeeping of replays in `node/follow`: what f+1 nodes say
//! that they have told is all that there was.

use std::collections::VecDeque;

use dctrl_follow::sequence::{Placed, Sequencer};
use dctrl_follow::{Position, Verified};

/// The ears of one process.
pub(super) struct Ears {
    sequencer: Sequencer,
    pub(super) ready: VecDeque<Verified>,
    /// By node, up to where it has told everything in this life.
    covered: Vec<Option<u64>>,
    /// By node, whether it has ever told all that it had.
    answered: Vec<bool>,
    /// Everything up to here was heard.
    heard: Position,
    /// The last position of which the machine was told.
    pub(super) told: Option<Position>,
    pub(super) asked_at: Option<u64>,
}

impl Ears {
    /// Frames up to this position were heard in an earlier life.
    pub(super) fn new(nodes: usize, begin: Position) -> Self {
        Self {
            sequencer: Sequencer::new(begin),
            ready: VecDeque::new(),
            covered: vec![None; nodes],
            answered: vec![false; nodes],
            heard: begin,
            told: None,
            asked_at: None,
        }
    }

    pub(super) fn hear(&mut self, frame: Verified) -> Placed {
        self.sequencer.place(frame, &mut self.ready)
    }

    pub(super) fn has_gaps(&self) -> bool {
        self.sequencer.has_gaps()
    }

    /// A node has told everything up to this height; `all` where it has no
    /// more.
    pub(super) fn covers(&mut self, node: usize, height: u64, all: bool) {
        self.covered[node] = self.covered[node].max(Some(height));
        self.answered[node] |= all;
    }

    /// How far everything was heard, by the word of one honest node, once so
    /// many have told all that they had when the process began.
    pub(super) fn caught_up(&mut self) -> Option<Position> {
        if let Some(settled) = self.settled() {
            self.heard = self.heard.max(settled);
        }
        let faulty = (self.covered.len() - 1) / 3;
        let answered = self.answered.iter().filter(|answered| **answered);
        (answered.count() > faulty).then_some(self.heard)
    }

    fn settled(&self) -> Option<Position> {
        if self.has_gaps() || !self.ready.is_empty() {
            return None;
        }
        let faulty = (self.covered.len() - 1) / 3;
        let mut heights: Vec<u64> = self.covered.iter().copied().flatten().collect();
        heights.sort_unstable_by(|a, b| b.cmp(a));
        Some(Position::end_of(*heights.get(faulty)?))
    }

    /// From where a node is asked to tell again.
    pub(super) fn ask_from(&self) -> Position {
        self.heard
    }
}
