//! What nodes say to each other, and how it is checked.
//!
//! Decoding is a pure function of bytes and limits; verifying of the message and
//! the epoch with its roster. Both may run on any thread, before the core.
//! The sender is not in the message: the transport authenticates it.

use bytes::Bytes;

use crate::certificate::signing_bytes;
use crate::codec::{DecodeError, Reader, Writer};
use crate::crypto::Scheme;
use crate::event::{Event, EventProblem, ForkProof};
use crate::id::{Digest, NodeIndex, Signature};
use crate::interface::EpochStart;
use crate::limits::{ENTRUSTED_BYTES_MAX, Limits};
use crate::roster::ROSTER_MEMBERS_MAX;

pub use crate::catch_up::blocks_answer;

/// The format version of messages made here.
pub const MESSAGE_VERSION: u8 = 2;

/// Flags of a summary: a number follows.
const ASKS: u8 = 1;
const ANSWERS: u8 = 2;

/// What one node tells others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Events, each behind its parents where the sender can arrange it.
    Events(Vec<Event>),
    /// What the sender knows: tiny, sent now and then, answered by requests.
    Known(Known),
    /// Events that the sender wants.
    Request(Request),
    /// Signatures over block headers. They are no payload and wake nobody.
    Signatures(Vec<BlockSignature>),
    /// A creator forked.
    Evidence(ForkProof),
    /// Final blocks that the sender wants.
    BlockRequest(BlockRequest),
    /// A part of them.
    Blocks(Blocks),
    /// A transaction of the sender, who makes no events, for the receiver to
    /// submit in its place.
    Entrusted(Bytes),
}

/// How far a node has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// The epoch that the sender is in, and that the counts are about.
    pub epoch: u64,
    /// For each node, how many events of its chain are known without a gap.
    pub counts: Vec<u64>,
    /// The sender has just started and wants the same from the receiver, who
    /// repeats this number in `answers`: it was drawn for this start, so that
    /// nothing from before it is taken for an answer.
    pub asks: Option<u64>,
    /// The number in the question that this answers.
    pub answers: Option<u64>,
    /// The last block that the sender has signed.
    pub signed: u64,
    /// The last block up to which the sender holds all certificates.
    pub final_index: u64,
    /// Whom the sender knows to have forked, ascending. Who can prove more
    /// sends the proof.
    pub forked: Vec<NodeIndex>,
}

/// Events by place and by id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// The epoch whose events are meant.
    pub epoch: u64,
    /// Creator, first sequence number, and the one behind the last. Ascending
    /// by creator.
    pub ranges: Vec<(NodeIndex, u64, u64)>,
    /// Events of which the id is known: the way to the other branch of a fork.
    pub ids: Vec<Digest>,
}

/// One node's signature over one block header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockSignature {
    /// The epoch, whose roster names the signer.
    pub epoch: u64,
    /// The block's index.
    pub index: u64,
    /// The hash of its header.
    pub header: Digest,
    /// Who signed.
    pub signer: NodeIndex,
    /// Over the hash; see [`signing_bytes`].
    pub signature: Signature,
}

/// Final blocks, from one on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRequest {
    /// The index of the first block wanted.
    pub index: u64,
    /// How many bytes of the stream that begins with it are there already.
    pub offset: u64,
}

/// A part of the stream of encoded blocks from `index` on; see
/// [`blocks_answer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocks {
    /// The block that the stream begins with.
    pub index: u64,
    /// Where in the stream the bytes are from.
    pub offset: u64,
    /// The bytes.
    pub bytes: Bytes,
}

/// Why a decoded message must not reach the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// An event or one half of a fork's proof.
    #[error("{0}")]
    Event(#[from] EventProblem),
    /// It is about an epoch that is over here, or whose roster is not known
    /// yet: nobody is to blame.
    #[error("the message is about another epoch")]
    OtherEpoch,
    /// A block signature.
    #[error("the block signature of {0} does not hold")]
    BlockSignature(NodeIndex),
    /// A summary for another number of nodes, or a node outside the roster.
    #[error("the message is for another roster")]
    Roster,
}

/// A message whose signatures were checked, or are taken as checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedMessage(pub(crate) Message);

impl VerifiedMessage {
    /// What was checked.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.0
    }
}

/// Reads a message without checking its signatures.
///
/// # Errors
/// Where the bytes are not exactly one canonical message within the limits.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Message, DecodeError> {
    if bytes.len() > limits.message_bytes_max {
        return Err(DecodeError::TooLarge {
            what: "message_bytes_max",
            actual: bytes.len() as u64,
            bound: limits.message_bytes_max as u64,
        });
    }
    let mut input = Reader::new(Bytes::copy_from_slice(bytes));
    let version = input.u8()?;
    if version != MESSAGE_VERSION {
        return Err(DecodeError::Version(u16::from(version)));
    }
    let message = match input.u8()? {
        1 => Message::Events(read_events(&mut input, limits)?),
        2 => Message::Known(read_known(&mut input)?),
        3 => Message::Request(read_request(&mut input, limits)?),
        4 => Message::Signatures(read_signatures(&mut input, limits)?),
        5 => Message::Evidence(ForkProof::read(&mut input, limits)?),
        6 => Message::BlockRequest(BlockRequest {
            index: input.u64()?,
            offset: input.u64()?,
        }),
        7 => Message::Blocks(Blocks {
            index: input.u64()?,
            offset: input.u64()?,
            bytes: input.blob("message_bytes_max", limits.message_bytes_max)?,
        }),
        8 => Message::Entrusted(input.blob("ENTRUSTED_BYTES_MAX", ENTRUSTED_BYTES_MAX)?),
        kind => return Err(DecodeError::Kind(kind)),
    };
    input.end()?;
    Ok(message)
}

fn read_events(input: &mut Reader, limits: &Limits) -> Result<Vec<Event>, DecodeError> {
    let count = input.count("message_bytes_max", limits.message_bytes_max / 128)?;
    let mut events = Vec::new();
    for _ in 0..count {
        let encoded = input.blob("event_bytes_max", limits.event_bytes_max)?;
        events.push(Event::decode(&encoded, limits)?);
    }
    Ok(events)
}

fn read_known(input: &mut Reader) -> Result<Known, DecodeError> {
    let epoch = input.u64()?;
    let count = input.count("roster members", ROSTER_MEMBERS_MAX)?;
    let mut counts = Vec::with_capacity(count);
    for _ in 0..count {
        counts.push(input.u64()?);
    }
    let flags = input.u8()?;
    if flags > ASKS | ANSWERS {
        return Err(DecodeError::NotCanonical("a flag"));
    }
    let mut number = |flag| {
        let is_there = flags & flag != 0;
        is_there.then(|| input.u64()).transpose()
    };
    let (asks, answers) = (number(ASKS)?, number(ANSWERS)?);
    Ok(Known {
        epoch,
        counts,
        asks,
        answers,
        signed: input.u64()?,
        final_index: input.u64()?,
        forked: read_ascending(input)?,
    })
}

fn read_ascending(input: &mut Reader) -> Result<Vec<NodeIndex>, DecodeError> {
    let count = input.count("roster members", ROSTER_MEMBERS_MAX)?;
    let mut nodes = Vec::with_capacity(count);
    for _ in 0..count {
        let node = input.node()?;
        if nodes.last().is_some_and(|last| *last >= node) {
            return Err(DecodeError::NotCanonical("the list of forkers"));
        }
        nodes.push(node);
    }
    Ok(nodes)
}

fn read_request(input: &mut Reader, limits: &Limits) -> Result<Request, DecodeError> {
    let mut request = Request {
        epoch: input.u64()?,
        ..Request::default()
    };
    for _ in 0..input.count("roster members", ROSTER_MEMBERS_MAX)? {
        let range = (input.node()?, input.u64()?, input.u64()?);
        // One range of each creator: a short request is a bounded work.
        if request.ranges.last().is_some_and(|last| last.0 >= range.0) {
            return Err(DecodeError::NotCanonical("the list of ranges"));
        }
        request.ranges.push(range);
    }
    for _ in 0..input.count("request_hashes_max", limits.request_hashes_max)? {
        request.ids.push(input.digest()?);
    }
    Ok(request)
}

fn read_signatures(
    input: &mut Reader,
    limits: &Limits,
) -> Result<Vec<BlockSignature>, DecodeError> {
    let count = input.count("message_signatures_max", limits.message_signatures_max)?;
    let mut signatures = Vec::new();
    for _ in 0..count {
        signatures.push(BlockSignature {
            epoch: input.u64()?,
            index: input.u64()?,
            header: input.digest()?,
            signer: input.node()?,
            signature: input.signature()?,
        });
    }
    Ok(signatures)
}

impl Message {
    /// The one encoding of the message.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::default();
        out.u8(MESSAGE_VERSION);
        match self {
            Self::Events(events) => {
                out.u8(1);
                out.count(events.len());
                for event in events {
                    out.blob(event.encoded());
                }
            }
            Self::Known(known) => {
                out.u8(2);
                out.u64(known.epoch);
                out.count(known.counts.len());
                known.counts.iter().for_each(|count| out.u64(*count));
                let flag = |number: Option<u64>, flag| number.map_or(0, |_| flag);
                out.u8(flag(known.asks, ASKS) | flag(known.answers, ANSWERS));
                let numbers = [known.asks, known.answers];
                numbers.iter().flatten().for_each(|number| out.u64(*number));
                out.u64(known.signed);
                out.u64(known.final_index);
                out.count(known.forked.len());
                known.forked.iter().for_each(|node| out.node(*node));
            }
            Self::Request(request) => {
                out.u8(3);
                out.u64(request.epoch);
                out.count(request.ranges.len());
                for (creator, from, to) in &request.ranges {
                    out.node(*creator);
                    out.u64(*from);
                    out.u64(*to);
                }
                out.count(request.ids.len());
                request.ids.iter().for_each(|id| out.digest(id));
            }
            Self::Signatures(signatures) => {
                out.u8(4);
                out.count(signatures.len());
                for signature in signatures {
                    out.u64(signature.epoch);
                    out.u64(signature.index);
                    out.digest(&signature.header);
                    out.node(signature.signer);
                    out.signature(&signature.signature);
                }
            }
            Self::Evidence(proof) => {
                out.u8(5);
                proof.write(&mut out);
            }
            Self::BlockRequest(request) => {
                out.u8(6);
                out.u64(request.index);
                out.u64(request.offset);
            }
            Self::Blocks(blocks) => {
                out.u8(7);
                out.u64(blocks.index);
                out.u64(blocks.offset);
                out.blob(&blocks.bytes);
            }
            Self::Entrusted(transaction) => {
                out.u8(8);
                out.blob(transaction);
            }
        }
        Bytes::from(out.finish())
    }

    /// How many signatures checking the message takes at most.
    #[must_use]
    pub fn signature_count(&self) -> usize {
        match self {
            Self::Events(events) => events.len(),
            Self::Signatures(signatures) => signatures.len(),
            Self::Evidence(_) => 2,
            Self::Known(_)
            | Self::Request(_)
            | Self::BlockRequest(_)
            | Self::Blocks(_)
            | Self::Entrusted(_) => 0,
        }
    }

    /// Checks every signature and every node named, by the roster of this
    /// epoch. What is of the next epoch is taken where the roster is the same.
    /// Blocks prove themselves, and are checked where they are used. Many
    /// messages are checked for less by a [`Verifier`](crate::Verifier).
    ///
    /// # Errors
    /// The first thing that does not hold; then none of the message is used.
    pub fn verify(self, epoch: &EpochStart) -> Result<VerifiedMessage, VerifyError> {
        self.verify_by(Scheme::Ed25519, epoch)
    }

    /// The same in a federation that signs by this scheme.
    ///
    /// # Errors
    /// The first thing that does not hold; then none of the message is used.
    pub fn verify_by(
        self,
        scheme: Scheme,
        epoch: &EpochStart,
    ) -> Result<VerifiedMessage, VerifyError> {
        match &self {
            Self::Events(events) => {
                for event in events {
                    let blame = check_event(event, epoch)?;
                    let verified = event.verify_by(scheme, &epoch.roster);
                    verified.map_err(|_| blame)?;
                }
            }
            Self::Signatures(signatures) => {
                for signed in signatures {
                    verify_signature(signed, scheme, epoch)?;
                }
            }
            Self::Evidence(proof) if proof.epoch() == epoch.epoch => {
                proof.verify_by(scheme, &epoch.roster)?;
            }
            Self::Evidence(_) => return Err(VerifyError::OtherEpoch),
            Self::Known(_)
            | Self::Request(_)
            | Self::BlockRequest(_)
            | Self::Blocks(_)
            | Self::Entrusted(_) => {}
        }
        self.check_nodes(epoch)?;
        Ok(VerifiedMessage(self))
    }

    pub(crate) fn check_nodes(&self, epoch: &EpochStart) -> Result<(), VerifyError> {
        let roster = &epoch.roster;
        let fits = match self {
            Self::Known(known) => known.epoch != epoch.epoch || known.counts.len() == roster.len(),
            Self::Request(request) => {
                let mut creators = request.ranges.iter().map(|range| range.0);
                request.epoch != epoch.epoch || creators.all(|node| roster.key(node).is_some())
            }
            Self::Events(_)
            | Self::Signatures(_)
            | Self::Evidence(_)
            | Self::BlockRequest(_)
            | Self::Blocks(_)
            | Self::Entrusted(_) => true,
        };
        if fits {
            Ok(())
        } else {
            Err(VerifyError::Roster)
        }
    }

    /// Takes the signatures as checked. For simulations with a
    /// [`NullSigner`](crate::crypto::NullSigner), and for nothing else; the
    /// core still refuses what does not fit its roster.
    #[must_use]
    pub fn assume_verified(self) -> VerifiedMessage {
        VerifiedMessage(self)
    }
}

/// Checks what costs nothing, and says what a signature that does not hold
/// means: an event of the next epoch may be signed under another roster, so
/// that it accuses nobody.
pub(crate) fn check_event(event: &Event, epoch: &EpochStart) -> Result<VerifyError, VerifyError> {
    let header = event.header();
    if header.epoch == epoch.epoch && header.anchor == epoch.anchor {
        header.check(&epoch.roster)?;
        Ok(EventProblem::Signature(header.creator).into())
    } else if header.epoch == epoch.epoch + 1 && header.check(&epoch.roster).is_ok() {
        Ok(VerifyError::OtherEpoch)
    } else {
        Err(VerifyError::OtherEpoch)
    }
}

/// The same for a block signature.
pub(crate) fn check_signature(
    signed: &BlockSignature,
    epoch: &EpochStart,
) -> Result<VerifyError, VerifyError> {
    let member = epoch.roster.key(signed.signer).is_some();
    if signed.epoch == epoch.epoch {
        let blame = VerifyError::BlockSignature(signed.signer);
        if member {
            Ok(blame)
        } else {
            Err(VerifyError::Roster)
        }
    } else if signed.epoch == epoch.epoch + 1 && member {
        Ok(VerifyError::OtherEpoch)
    } else {
        Err(VerifyError::OtherEpoch)
    }
}

fn verify_signature(
    signed: &BlockSignature,
    scheme: Scheme,
    epoch: &EpochStart,
) -> Result<(), VerifyError> {
    let blame = check_signature(signed, epoch)?;
    let key = epoch.roster.key(signed.signer).ok_or(VerifyError::Roster)?;
    let bytes = signing_bytes(&signed.header);
    if scheme.verify(key, &bytes, &signed.signature) {
        Ok(())
    } else {
        Err(blame)
    }
}
