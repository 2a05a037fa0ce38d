//! What nodes say to each other, and how it is checked.
//!
//! Decoding is a pure function of bytes and limits; verifying of the message and
//! the epoch with its roster. Both may run on any thread, before the core.
//! The sender is not in the message: the transport authenticates it.

use bytes::Bytes;

use crate::certificate::signing_bytes;
use crate::crypto::Scheme;
use crate::event::{Event, EventProblem, ForkProof};
use crate::id::{Digest, NodeIndex, Signature};
use crate::interface::EpochStart;
use crate::snapshot::{StateAnswer, StateQuestion};

mod encoding;

pub use self::encoding::decode;
pub use crate::catch_up::blocks_answer;

/// The format version of messages made here.
pub const MESSAGE_VERSION: u8 = 2;

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
    /// The blocks that the receiver wanted are not kept any more.
    BlocksGone(BlocksGone),
    /// Something about the state of a seal that the sender wants.
    StateRequest(StateQuestion),
    /// What was asked about the state of a seal.
    State(StateAnswer),
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

/// The answer to a [`BlockRequest`] where the block is not kept any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlocksGone {
    /// The block that was wanted.
    pub index: u64,
    /// The first block that is kept.
    pub first: u64,
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

impl Message {
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
            | Self::Entrusted(_)
            | Self::BlocksGone(_)
            | Self::StateRequest(_)
            | Self::State(_) => 0,
        }
    }

    /// Checks every signature and every node named, by the roster of this
    /// epoch. What is of the next epoch is taken where the roster is the same.
    /// Blocks and states prove themselves, and are checked where they are used. Many
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
            | Self::Entrusted(_)
            | Self::BlocksGone(_)
            | Self::StateRequest(_)
            | Self::State(_) => {}
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
            | Self::Entrusted(_)
            | Self::BlocksGone(_)
            | Self::StateRequest(_)
            | Self::State(_) => true,
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
