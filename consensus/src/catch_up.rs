//! Final blocks from a peer, for a node whose epoch is over elsewhere, or that
//! stays behind what is final elsewhere.
//!
//! A peer that has dropped an epoch's graph still has its blocks with their
//! certificates, and these prove themselves: no graph and no trust is needed,
//! only the roster that signed. Blocks travel as one stream of encoded blocks
//! from a given index on, cut into messages; a peer is asked from where its
//! last answer ended. Another peer may hold other signatures, so its stream
//! differs and is read from the start of a block.
//!
//! Deliberately absent: graphs of old epochs, and states (see `take_over`).

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, Bytes, BytesMut};

use crate::block::{Block, Transaction};
use crate::certificate::Certificate;
use crate::codec::{DecodeError, Reader, Writer};
use crate::id::{Digest, PublicKey, Timestamp};
use crate::limits::{Limits, MESSAGE_OVERHEAD_BYTES, Pace};
use crate::merkle;
use crate::message::{Blocks, Message};
use crate::roster::Roster;

/// The longest wait for a peer, and for oneself: the shortest one doubled so
/// often.
const PATIENCE_DOUBLINGS: u32 = 4;

/// A block with the proof that it is final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalBlock {
    /// The header and a quorum's signatures.
    pub certificate: Certificate,
    /// The transactions, whose root the header names.
    pub transactions: Vec<Bytes>,
}

/// Why a block of a peer is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum BlockProblem {
    /// Its bytes are no block.
    #[error("its bytes are no block")]
    Malformed,
    /// It is longer than any block of a federation with these limits.
    #[error("it is longer than a block may be")]
    TooLarge,
    /// It is not the one that was asked for.
    #[error("it is not the one that was asked for")]
    OtherBlock,
    /// Its certificate proves nothing under the roster of the epoch.
    #[error("its certificate does not hold")]
    Certificate,
    /// The transactions are not those that were certified.
    #[error("its transactions are not the certified ones")]
    Payload,
}

impl FinalBlock {
    /// The one encoding: length, certificate, transactions.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let payload: usize = self.transactions.iter().map(|each| each.len() + 4).sum();
        let mut out = Writer::with_capacity(payload + 1024);
        out.blob(&self.certificate.encode());
        out.count(self.transactions.len());
        for transaction in &self.transactions {
            out.blob(transaction);
        }
        let body = out.finish();
        let mut framed = Writer::with_capacity(body.len() + 4);
        framed.blob(&body);
        framed.finish()
    }

    /// Reads a body, without its length.
    fn decode(body: Bytes, limits: &Limits) -> Result<Self, DecodeError> {
        let mut input = Reader::new(body);
        let certificate = Certificate::decode(&input.blob("a certificate", 1 << 16)?)?;
        let count = input.count("block transactions", limits.fetch_block_bytes_max / 5)?;
        let mut transactions = Vec::new();
        for _ in 0..count {
            transactions.push(input.blob("transaction_bytes_max", limits.transaction_bytes_max)?);
        }
        input.end()?;
        Ok(Self {
            certificate,
            transactions,
        })
    }

    /// The block as execution takes it, if its payload is the certified one.
    pub(crate) fn into_block(self) -> Result<Block, BlockProblem> {
        let header = self.certificate.header;
        if merkle::root(&self.transactions) != header.payload_root {
            return Err(BlockProblem::Payload);
        }
        let transaction = |bytes| Transaction {
            bytes,
            origin: None,
        };
        Ok(Block {
            epoch: header.epoch,
            index: header.index,
            round: header.round,
            time: header.time,
            transactions: self.transactions.into_iter().map(transaction).collect(),
            pieces: Vec::new(),
            payload_root: header.payload_root,
            seals: header.next_roster != Digest::ZERO,
        })
    }
}

/// The answer to [`Output::ServeBlocks`](crate::Output::ServeBlocks), as one
/// encoded message: of the blocks' stream the part from `offset` on. `blocks`
/// are the final ones from `index` on, ascending without gaps; as many are
/// taken from the iterator as one message holds.
#[must_use]
pub fn blocks_answer(
    index: u64,
    offset: u64,
    blocks: impl IntoIterator<Item = FinalBlock>,
    limits: &Limits,
) -> Bytes {
    let room = limits.message_bytes_max - MESSAGE_OVERHEAD_BYTES;
    let mut skip = usize::try_from(offset).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    for block in blocks {
        let encoded = block.encode();
        let part = encoded.get(skip..).unwrap_or_default();
        skip = skip.saturating_sub(encoded.len());
        bytes.extend_from_slice(&part[..part.len().min(room - bytes.len())]);
        if bytes.len() == room {
            break;
        }
    }
    let bytes = Bytes::from(bytes);
    Message::Blocks(Blocks {
        index,
        offset,
        bytes,
    })
    .encode()
}

/// What is being fetched, and from whom.
#[derive(Debug, Default)]
pub(crate) struct CatchUp {
    /// The epochs of peers that are ahead, as they say: an entry per member.
    ahead: BTreeMap<PublicKey, u64>,
    /// The last final blocks of peers of the same epoch that have more than
    /// this node, as they say: an entry per member.
    reached: BTreeMap<PublicKey, u64>,
    /// Until when this node may find out by itself what they have.
    behind_until: Option<Timestamp>,
    peer: Option<PublicKey>,
    /// The block that the peer's stream is read from, and the part of that
    /// stream that is here.
    index: u64,
    buffer: BytesMut,
    ask_at: Option<Timestamp>,
    /// Whose turn it is among those who can be asked.
    turn: usize,
    /// Questions since the last answer.
    asked: u32,
    /// Who does not keep the block that is wanted, since the last answer.
    gone: BTreeSet<PublicKey>,
}

/// A question to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) peer: PublicKey,
    pub(crate) index: u64,
    pub(crate) offset: u64,
}

/// Who asks: the roster, the epoch, and whether this node is no member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing<'a> {
    pub(crate) roster: &'a Roster,
    pub(crate) epoch: u64,
    /// The first block that is not final here.
    pub(crate) next: u64,
    pub(crate) follows: bool,
}

impl CatchUp {
    /// A member of the roster is in this epoch, which is later than ours.
    pub(crate) fn is_ahead(&mut self, peer: PublicKey, epoch: u64, now: Timestamp, pace: &Pace) {
        self.ahead.insert(peer, epoch);
        self.ask_at.get_or_insert(now.after(pace.request_retry));
    }

    /// A member in the same epoch says that it has final blocks which this node
    /// lacks. Mostly they are final here at once: only where nothing becomes
    /// final for a while are they fetched.
    pub(crate) fn is_behind(&mut self, peer: PublicKey, index: u64, now: Timestamp, pace: &Pace) {
        self.reached.insert(peer, index);
        let patience = now.after(pace.request_retry << PATIENCE_DOUBLINGS);
        self.behind_until.get_or_insert(patience);
    }

    /// A block became final here by what this node has itself.
    pub(crate) fn moved(&mut self) {
        self.behind_until = None;
    }

    /// Forgets who is no member any more.
    pub(crate) fn begin(&mut self, roster: &Roster) {
        self.reached.clear();
        self.gone.clear();
        self.ahead.retain(|peer, _| roster.index_of(peer).is_some());
    }

    fn candidates(&self, standing: Standing<'_>, now: Timestamp) -> Vec<PublicKey> {
        let keys = standing.roster.members.iter().map(|member| member.key);
        let stuck = self.behind_until.is_some_and(|until| until <= now);
        let ahead = |key: &PublicKey| {
            let epoch = self.ahead.get(key);
            let reached = self.reached.get(key).filter(|_| stuck);
            standing.follows
                || epoch.is_some_and(|epoch| *epoch > standing.epoch)
                || reached.is_some_and(|reached| *reached >= standing.next)
        };
        keys.filter(ahead).collect()
    }

    /// When there is something to ask; never while a whole block waits here.
    pub(crate) fn due(&mut self, follows: bool, now: Timestamp) -> Option<Timestamp> {
        if follows {
            self.ask_at.get_or_insert(now);
        }
        let at = self.ask_at.or(self.behind_until);
        at.filter(|_| !self.holds_block())
    }

    /// Whom to ask now for the block `next` and those behind it.
    pub(crate) fn ask(
        &mut self,
        standing: Standing<'_>,
        next: u64,
        now: Timestamp,
        pace: &Pace,
    ) -> Option<Ask> {
        if self.due(standing.follows, now).is_none_or(|at| now < at) {
            return None;
        }
        let peers = self.candidates(standing, now);
        if peers.is_empty() {
            self.ask_at = None;
            self.behind_until = self.behind_until.filter(|until| now < *until);
            self.restart(next);
            return None;
        }
        if self.asked > 0 {
            self.turn += 1;
        }
        // Whoever answers stays the one that is asked.
        let stays = self
            .peer
            .filter(|peer| self.asked == 0 && peers.contains(peer));
        let peer = stays.unwrap_or(peers[self.turn % peers.len()]);
        if self.peer != Some(peer) || self.index != next {
            self.peer = Some(peer);
            self.restart(next);
        }
        let slowest = if standing.follows {
            pace.idle_summary_interval
        } else {
            pace.request_retry << PATIENCE_DOUBLINGS
        };
        let patience = (pace.request_retry << self.asked.min(8)).min(slowest);
        self.ask_at = Some(now.after(patience));
        self.asked = self.asked.saturating_add(1);
        Some(Ask {
            peer,
            index: next,
            offset: self.buffer.len() as u64,
        })
    }

    fn restart(&mut self, index: u64) {
        self.index = index;
        self.buffer = BytesMut::new();
    }

    /// Takes a part of the stream, if it is the one asked for; true where
    /// something is new.
    pub(crate) fn take(&mut self, from: &PublicKey, part: &Blocks, now: Timestamp) -> bool {
        // One answer for each question: nobody fills the buffer unasked.
        let fits = self.asked > 0
            && self.peer.as_ref() == Some(from)
            && part.index == self.index
            && part.offset == self.buffer.len() as u64
            && !part.bytes.is_empty();
        if fits {
            self.buffer.extend_from_slice(&part.bytes);
            self.asked = 0;
            self.ask_at = Some(now);
            self.gone.clear();
        }
        fits
    }

    /// Whoever was asked does not keep the block; another one is asked soon.
    /// Returns how many have said so in a row.
    pub(crate) fn gone(
        &mut self,
        from: &PublicKey,
        index: u64,
        now: Timestamp,
        pace: &Pace,
    ) -> usize {
        if self.asked == 0 || self.peer.as_ref() != Some(from) || self.index != index {
            return 0;
        }
        self.gone.insert(*from);
        self.ask_at = Some(now.after(pace.request_retry));
        self.gone.len()
    }

    /// What was on its way is of no use any more.
    pub(crate) fn forget(&mut self) {
        *self = Self {
            ahead: std::mem::take(&mut self.ahead),
            turn: self.turn,
            ..Self::default()
        };
    }

    fn holds_block(&self) -> bool {
        self.length()
            .is_some_and(|length| self.buffer.len() >= 4 + length)
    }

    fn length(&self) -> Option<usize> {
        let length = self.buffer.get(..4)?;
        let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]);
        usize::try_from(length).ok()
    }

    /// Takes the next whole block out of the buffer; the stream is the one
    /// from the block behind it then.
    pub(crate) fn next_block(
        &mut self,
        limits: &Limits,
    ) -> Option<Result<FinalBlock, BlockProblem>> {
        let length = self.length()?;
        if length > limits.fetch_block_bytes_max {
            return Some(Err(BlockProblem::TooLarge));
        }
        if !self.holds_block() {
            return None;
        }
        self.buffer.advance(4);
        let body = self.buffer.split_to(length).freeze();
        self.index += 1;
        Some(FinalBlock::decode(body, limits).map_err(|_| BlockProblem::Malformed))
    }

    /// The block that the stream is at.
    pub(crate) fn index(&self) -> u64 {
        self.index
    }

    /// The peer sent what does not hold: another one is asked.
    pub(crate) fn distrust(&mut self, next: u64, now: Timestamp, pace: &Pace) {
        self.restart(next);
        self.peer = None;
        self.turn += 1;
        self.ask_at = Some(now.after(pace.request_retry));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Ed25519Signer, Signer};
    use crate::roster::RosterMember;

    #[test]
    fn each_question_takes_one_answer_and_only_of_the_peer_that_was_asked() {
        let member = |seed: u8| {
            RosterMember::new(
                format!("node-{seed}"),
                Ed25519Signer::from_seed(&[seed; 32]).public_key(),
            )
        };
        let roster = Roster::new(0, (1..=4).map(member).collect()).unwrap();
        let standing = Standing {
            roster: &roster,
            epoch: 0,
            next: 7,
            follows: false,
        };
        let (now, pace) = (Timestamp(0), Pace::default());
        let (peer, other) = (roster.members[1].key, roster.members[2].key);
        let mut catch_up = CatchUp::default();
        catch_up.is_ahead(peer, 3, now, &pace);
        let later = now.after(pace.request_retry);
        let ask = catch_up.ask(standing, 7, later, &pace).unwrap();
        assert_eq!((ask.peer, ask.index, ask.offset), (peer, 7, 0));
        // The beginning of a block that is not here wholly.
        let part = |offset| Blocks {
            index: 7,
            offset,
            bytes: Bytes::from_static(&[0, 0, 1, 0]),
        };
        assert!(!catch_up.take(&other, &part(0), later), "was not asked");
        assert!(catch_up.take(&peer, &part(0), later));
        assert!(
            !catch_up.take(&peer, &part(4), later),
            "nobody asked for more"
        );
        let ask = catch_up.ask(standing, 7, later, &pace).unwrap();
        assert_eq!((ask.peer, ask.offset), (peer, 4));
        assert!(catch_up.take(&peer, &part(4), later));
    }
}
