//! Answers those who want to take over a state with what is none: other
//! manifests, other chunks, seals that are old or that nobody signed.

use bytes::Bytes;
use dctrl_consensus::Message;
use dctrl_consensus::snapshot::StateAnswer;

use super::Stage;
use super::crafter::Crafter;
use super::mask::Mask;
use crate::engine::Seat;
use crate::marks::Mark;
use crate::scenario::pick;

/// Who poisons snapshots.
pub(crate) struct SnapshotPoisoner;

impl SnapshotPoisoner {
    fn poisoned(mut answer: StateAnswer, stage: &mut Stage<'_>) -> StateAnswer {
        match &mut answer {
            StateAnswer::Offers(offers) => {
                for offer in offers.iter_mut() {
                    match stage.chance.below(4) {
                        0 => offer.manifest = Crafter::nowhere(stage),
                        1 => offer.certificate.header.index += 100,
                        2 => offer.certificate.signatures.truncate(1),
                        _ => {}
                    }
                }
                if stage.chance(300) {
                    offers.truncate(1);
                }
            }
            StateAnswer::Steps { steps, .. } => {
                let mine = stage.setting.people.roster(1, &[stage.me]);
                for step in steps.iter_mut() {
                    let number = step.next.number;
                    step.next = mine.clone();
                    step.next.number = number;
                }
                if stage.chance(300) {
                    steps.clear();
                }
            }
            StateAnswer::Manifest { bytes, .. } | StateAnswer::Chunk { bytes, .. } => {
                let mut other = bytes.to_vec();
                if !other.is_empty() {
                    let at = pick(stage.chance, other.len());
                    other[at] ^= 1;
                    if stage.chance(300) {
                        other.truncate(at);
                    }
                }
                *bytes = Bytes::from(other);
            }
            StateAnswer::Gone { .. } => {}
        }
        answer
    }
}

impl Mask for SnapshotPoisoner {
    fn outgoing(&mut self, to: Seat, message: Message, stage: &mut Stage<'_>) {
        match message {
            Message::State(answer) if stage.chance(800) => {
                stage.lied(Mark::PoisonedSnapshot);
                let answer = Self::poisoned(answer, stage);
                stage.tell(to, &Message::State(answer));
            }
            // Whoever wants blocks is told that there are none, so that it
            // asks for the state.
            Message::Blocks(blocks) if stage.chance(500) => {
                let gone = dctrl_consensus::message::BlocksGone {
                    index: blocks.index,
                    first: blocks.index + 1,
                };
                stage.tell(to, &Message::BlocksGone(gone));
            }
            other => stage.tell(to, &other),
        }
    }
}
