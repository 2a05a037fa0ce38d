//! What nodes that were away are given: final blocks, and the states of seals.

use dctrl_consensus::message::{self, BlocksGone};
use dctrl_consensus::snapshot::StateQuestion;
use dctrl_consensus::{Install, Message};

use super::World;
use crate::engine::{Seat, Stimulus};
use crate::marks::Mark;

impl World {
    /// A node that was away gets final blocks.
    pub(super) fn serve(&mut self, seat: Seat, to: Seat, index: u64, offset: u64) {
        self.marks.hit(Mark::BlocksServed);
        let node = &self.nodes[seat];
        let kept = &node.blocks;
        // Who has taken over a state has no block before it, and perhaps none.
        let behind = node.final_index + 1;
        let first = kept.first_key_value().map_or(behind, |(first, _)| *first);
        let bytes = if index < first {
            Message::BlocksGone(BlocksGone { index, first }).encode()
        } else {
            let blocks = kept.range(index..).map(|(_, block)| block.clone());
            message::blocks_answer(index, offset, blocks, &self.setting.limits)
        };
        let parcel = self.pack(seat, &bytes);
        self.transmit(seat, to, &parcel);
    }

    /// A node is asked about the states that it keeps.
    pub(super) fn serve_state(&mut self, seat: Seat, to: Seat, question: &StateQuestion) {
        let states = &self.nodes[seat].states;
        let answer = states.answer(question, &self.setting.limits);
        let parcel = self.pack(seat, &Message::State(answer).encode());
        self.transmit(seat, to, &parcel);
    }

    /// Does a step of a take-over.
    pub(super) fn install(&mut self, seat: Seat, step: Install) -> Option<Stimulus> {
        let (progress, taken) = self.nodes[seat].install(step);
        if let Some(certificate) = taken {
            self.marks.hit(Mark::StateTaken);
            self.note_digest(8, seat, certificate.header.hash());
            let result = self.order.took_over(seat, &certificate.header);
            self.check(result);
        }
        progress
    }
}
