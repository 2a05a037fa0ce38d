//! Proofs that a creator signed two events that exclude each other.
//!
//! A proof needs the signed headers only, not the payload, and anyone with the
//! roster can check it.

use bytes::Bytes;

use crate::codec::{DecodeError, Reader, Writer};
use crate::crypto::Scheme;
use crate::event::{Event, EventHeader, EventProblem, verify_header};
use crate::id::NodeIndex;
use crate::limits::Limits;
use crate::roster::Roster;

/// An encoded event header and its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHeader {
    pub(crate) bytes: Bytes,
}

impl SignedHeader {
    fn header(&self) -> Result<EventHeader, DecodeError> {
        let mut input = Reader::new(self.bytes.clone());
        let header = EventHeader::read(&mut input, &Limits::STANDARD)?;
        input.signature()?;
        input.end()?;
        Ok(header)
    }
}

/// Two signed headers of one creator with one sequence number: a fork. Anyone
/// with the roster can check it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkProof {
    creator: NodeIndex,
    epoch: u64,
    seq: u64,
    /// Ascending by bytes, so that a pair has one encoding.
    halves: [SignedHeader; 2],
}

impl ForkProof {
    /// The proof that these two events make; `None` where they exclude nothing.
    #[must_use]
    pub fn new(a: &Event, b: &Event) -> Option<Self> {
        Self::of(a.signed_header(), b.signed_header()).ok()
    }

    fn of(a: SignedHeader, b: SignedHeader) -> Result<Self, DecodeError> {
        let (first, second) = (a.header()?, b.header()?);
        let place = |header: &EventHeader| (header.epoch, header.creator, header.seq);
        let same_place = place(&first) == place(&second);
        // Two signatures over one header are no fork: the id is the same.
        if !same_place || first == second {
            return Err(DecodeError::NotCanonical("the two halves of a fork"));
        }
        let halves = if a.bytes < b.bytes { [a, b] } else { [b, a] };
        Ok(Self {
            creator: first.creator,
            epoch: first.epoch,
            seq: first.seq,
            halves,
        })
    }

    /// Who forked.
    #[must_use]
    pub fn creator(&self) -> NodeIndex {
        self.creator
    }

    /// In which epoch, whose roster names the creator.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The sequence number that two events share.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Checks both signatures.
    ///
    /// # Errors
    /// Where one does not hold or is of another federation.
    pub fn verify(&self, roster: &Roster) -> Result<(), EventProblem> {
        self.verify_by(Scheme::Ed25519, roster)
    }

    pub(crate) fn verify_by(&self, scheme: Scheme, roster: &Roster) -> Result<(), EventProblem> {
        for (header, signed) in self.headers()? {
            verify_header(&header, &signed, scheme, roster)?;
        }
        Ok(())
    }

    /// Both headers, each with the bytes that hold its signature.
    pub(crate) fn headers(&self) -> Result<[(EventHeader, Bytes); 2], EventProblem> {
        let read = |half: &SignedHeader| {
            let header = half.header().map_err(|_| EventProblem::OtherEpoch)?;
            Ok((header, half.bytes.clone()))
        };
        Ok([read(&self.halves[0])?, read(&self.halves[1])?])
    }

    /// The one encoding of the proof.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        self.write(&mut out);
        out.finish()
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        for half in &self.halves {
            out.blob(&half.bytes);
        }
    }

    pub(crate) fn read(input: &mut Reader, limits: &Limits) -> Result<Self, DecodeError> {
        let first = SignedHeader {
            bytes: input.blob("event_bytes_max", limits.event_bytes_max)?,
        };
        let second = SignedHeader {
            bytes: input.blob("event_bytes_max", limits.event_bytes_max)?,
        };
        if first.bytes >= second.bytes {
            return Err(DecodeError::NotCanonical("the two halves of a fork"));
        }
        Self::of(first, second)
    }
}
