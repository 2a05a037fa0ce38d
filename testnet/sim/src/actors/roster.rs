//! Lies about who is a member: events, signatures and blocks of epochs and
//! rosters that are over, or that never were.
//!
//! It follows the rules beside that, so it knows what there is to lie about;
//! and it goes on when it was removed, under the index that it had.

use bytes::Bytes;
use dctrl_consensus::certificate::signing_bytes;
use dctrl_consensus::message::{BlockSignature, Known};
use dctrl_consensus::{
    BlockHeader, Certificate, Digest, FinalBlock, Message, NodeIndex, Roster, message,
};

use super::Stage;
use super::crafter::Crafter;
use super::mask::Mask;
use crate::clock;
use crate::engine::{Crafted, Seat};
use crate::marks::Mark;

/// Blocks in one forged answer.
const FORGED_BLOCKS: u64 = 3;
/// Lies in one run: it must come to rest.
const LIES_MAX: u32 = 300;

/// Who attacks the chain of rosters.
#[derive(Default)]
pub(crate) struct RosterAttacker {
    /// Signatures of others that it has seen, the latest of each epoch.
    seen: Option<BlockSignature>,
    lies: u32,
}

impl RosterAttacker {
    /// A roster in which it has a quorum alone.
    fn own_roster(stage: &Stage<'_>, number: u64) -> Roster {
        stage.setting.people.roster(number, &[stage.me])
    }

    /// A certificate with all the votes that one key can give. Under the
    /// members' roster it seals the epoch in favour of a roster of its own;
    /// under that it proves itself.
    fn certificate(index: u64, stage: &mut Stage<'_>) -> Certificate {
        let newest = stage.rosters.newest();
        let mine = Self::own_roster(stage, newest.roster.number + 1);
        let under_mine = stage.chance.chance(500);
        let header = BlockHeader {
            version: dctrl_consensus::certificate::HEADER_VERSION,
            cluster: stage.setting.cluster,
            epoch: newest.epoch - stage.chance.below(newest.epoch.min(1) + 1),
            index,
            round: stage.chance.below(9),
            time: clock::right(stage.now),
            previous: Crafter::nowhere(stage),
            payload_root: dctrl_consensus::merkle::root(&Vec::<Bytes>::new()),
            state_digest: Digest::ZERO,
            outputs_root: Digest::ZERO,
            roster: if under_mine {
                mine.hash()
            } else {
                newest.roster.hash()
            },
            next_roster: mine.hash(),
        };
        let bytes = signing_bytes(&header.hash());
        let signature = stage.setting.signer(stage.me).sign(&bytes);
        let signers = if under_mine { 1 } else { newest.roster.len() };
        let signers = (0..u16::try_from(signers).unwrap_or(1)).map(NodeIndex);
        Certificate {
            header,
            signatures: signers.map(|signer| (signer, signature)).collect(),
        }
    }

    /// Blocks that nobody decided, which hand the federation over.
    fn stream(index: u64, offset: u64, stage: &mut Stage<'_>) -> Bytes {
        let block = |at| FinalBlock {
            certificate: Self::certificate(index + at, stage),
            transactions: Vec::new(),
        };
        let blocks: Vec<FinalBlock> = (0..FORGED_BLOCKS).map(block).collect();
        message::blocks_answer(index, offset, blocks, &stage.setting.limits)
    }

    /// An event of another epoch than the present one: the anchor of one with
    /// the number of another, under the index that it has or had.
    fn event(stage: &mut Stage<'_>) -> Message {
        let newest = stage.rosters.newest();
        let (epoch, anchor) = (newest.epoch, newest.anchor);
        let (epoch, anchor) = match stage.chance.below(4) {
            0 => (epoch, stage.setting.cluster.0),
            1 => (epoch + 1, anchor),
            2 => (epoch.saturating_sub(1), anchor),
            _ => (epoch, anchor),
        };
        let member = stage.rosters.index(epoch, stage.me).is_some();
        let crafted = Crafted {
            // While it is a member it speaks for others; when it was removed,
            // for whoever has its place now.
            creator: if member {
                NodeIndex(u16::try_from(stage.chance.below(4)).unwrap_or(0))
            } else {
                stage.my_index(epoch)
            },
            epoch,
            anchor,
            seq: stage.chance.below(5),
            timestamp: clock::right(stage.now),
            self_parent: Some(Crafter::nowhere(stage)),
            other_parents: Vec::new(),
        };
        let mut crafted = crafted;
        if crafted.seq == 0 {
            crafted.self_parent = None;
        }
        let payload = Bytes::from(format!("lie of {}", stage.me));
        Message::Events(vec![stage.setting.craft(stage.me, crafted, &[payload])])
    }

    /// A signature for the block behind the last one it saw, or for that one
    /// in another epoch, under any index.
    fn signature(&self, stage: &mut Stage<'_>) -> Option<Message> {
        let seen = self.seen?;
        let header = if stage.chance.chance(500) {
            seen.header
        } else {
            Crafter::nowhere(stage)
        };
        let signer = stage.setting.signer(stage.me);
        Some(Message::Signatures(vec![BlockSignature {
            epoch: stage.rosters.newest().epoch + stage.chance.below(2),
            index: seen.index + stage.chance.below(3),
            header,
            signer: NodeIndex(u16::try_from(stage.chance.below(4)).unwrap_or(0)),
            signature: signer.sign(&signing_bytes(&header)),
        }]))
    }

    /// As if it were where nobody is yet, so that others ask it for blocks.
    fn known(stage: &mut Stage<'_>) -> Message {
        let newest = stage.rosters.newest();
        Message::Known(Known {
            epoch: newest.epoch + stage.chance.below(3),
            counts: vec![0; newest.roster.len()],
            signed: u64::MAX / 2,
            final_index: u64::MAX / 2,
            ..Known::default()
        })
    }
}

impl Mask for RosterAttacker {
    fn incoming(&mut self, from: Seat, message: Message, stage: &mut Stage<'_>) -> Option<Message> {
        match &message {
            Message::Signatures(signatures) => self.seen = signatures.last().copied(),
            Message::BlockRequest(request) => {
                stage.lied(Mark::FalseRoster);
                let bytes = Self::stream(request.index, request.offset, stage);
                stage.send(from, bytes, 0);
                return None;
            }
            _ => {}
        }
        Some(message)
    }

    fn outgoing(&mut self, to: Seat, message: Message, stage: &mut Stage<'_>) {
        stage.tell(to, &message);
        if self.lies >= LIES_MAX || stage.chance(600) {
            return;
        }
        self.lies += 1;
        stage.lied(Mark::FalseRoster);
        let lie = match stage.chance.below(3) {
            0 => Some(Self::event(stage)),
            1 => self.signature(stage),
            _ => Some(Self::known(stage)),
        };
        // Whoever was removed speaks to all that there are.
        let everyone: Vec<Seat> = stage.others().collect();
        for to in everyone {
            lie.iter().for_each(|lie| stage.tell(to, lie));
        }
    }
}
