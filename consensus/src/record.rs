//! The entries of the log from which a core is restored.
//!
//! Events come in order of insertion, so each finds its parents in the records
//! before. An own block signature is recorded with its header before it is
//! sent: the header is never signed in another form again.

use bytes::Bytes;

use crate::certificate::BlockHeader;
use crate::codec::{DecodeError, Reader, Writer};
use crate::event::{Event, ForkProof};
use crate::id::Signature;
use crate::limits::Limits;

/// What one record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// An event entered the graph.
    Event(Event),
    /// This node signed a header.
    Signed(BlockHeader, Signature),
    /// All blocks up to this one have certificates, and those were put out.
    Final(u64),
    /// A creator forked.
    Evidence(ForkProof),
}

impl Entry {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::Event(event) => {
                out = Writer::with_capacity(1 + event.encoded().len());
                out.u8(1);
                out.raw(event.encoded());
            }
            Self::Signed(header, signature) => {
                out.u8(2);
                header.write(&mut out);
                out.signature(signature);
            }
            Self::Final(index) => {
                out.u8(3);
                out.u64(*index);
            }
            Self::Evidence(proof) => {
                out.u8(4);
                proof.write(&mut out);
            }
        }
        out.finish()
    }

    pub(crate) fn decode(bytes: Vec<u8>, limits: &Limits) -> Result<Self, DecodeError> {
        let mut input = Reader::new(Bytes::from(bytes));
        let entry = match input.u8()? {
            1 => {
                let rest = input.remaining();
                Self::Event(Event::decode(&input.take(rest)?, limits)?)
            }
            2 => Self::Signed(BlockHeader::read(&mut input)?, input.signature()?),
            3 => Self::Final(input.u64()?),
            4 => Self::Evidence(ForkProof::read(&mut input, limits)?),
            kind => return Err(DecodeError::Kind(kind)),
        };
        input.end()?;
        Ok(entry)
    }
}
