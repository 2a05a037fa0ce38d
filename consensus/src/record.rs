//! The entries of the log from which a core is restored.
//!
//! Events come in order of insertion, so each finds its parents in the records
//! before. The first record of an epoch makes all before it superfluous. An own
//! block signature is recorded with its header before it is
//! sent: the header is never signed in another form again.

use bytes::Bytes;

use crate::certificate::BlockHeader;
use crate::codec::{DecodeError, Reader, Writer};
use crate::event::{Event, ForkProof};
use crate::id::{Digest, PublicKey, Signature};
use crate::interface::RecordProblem;
use crate::limits::Limits;
use crate::roster::Roster;

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
    /// The block with this index was executed, and names the members from the
    /// next epoch on.
    Seal(u64, Roster),
    /// A block was fetched while there was a graph: its transactions, by digest,
    /// are ordered, whatever the graph says.
    Fetched(Vec<Digest>),
    /// An epoch begins; nothing before is needed. The header sealed the one
    /// before.
    Epoch {
        epoch: u64,
        header: BlockHeader,
        roster: Roster,
        /// Members that are proven to have forked.
        forkers: Vec<PublicKey>,
    },
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
            Self::Seal(index, roster) => {
                out.u8(5);
                out.u64(*index);
                roster.write(&mut out);
            }
            Self::Epoch {
                epoch,
                header,
                roster,
                forkers,
            } => {
                out.u8(6);
                out.u64(*epoch);
                header.write(&mut out);
                roster.write(&mut out);
                out.count(forkers.len());
                forkers.iter().for_each(|key| out.raw(&key.0));
            }
            Self::Fetched(digests) => {
                out.u8(7);
                out.count(digests.len());
                digests.iter().for_each(|digest| out.digest(digest));
            }
        }
        out.finish()
    }

    pub(crate) fn decode(bytes: Vec<u8>, limits: &Limits) -> Result<Self, RecordProblem> {
        let mut input = Reader::new(Bytes::from(bytes));
        let entry = match input.u8()? {
            1 => {
                let rest = input.remaining();
                Self::Event(Event::decode(&input.take(rest)?, limits)?)
            }
            2 => Self::Signed(BlockHeader::read(&mut input)?, input.signature()?),
            3 => Self::Final(input.u64()?),
            4 => Self::Evidence(ForkProof::read(&mut input, limits)?),
            5 => Self::Seal(input.u64()?, Roster::read(&mut input)?),
            6 => Self::read_epoch(&mut input)?,
            7 => Self::read_fetched(&mut input, limits)?,
            kind => return Err(DecodeError::Kind(kind).into()),
        };
        input.end()?;
        Ok(entry)
    }

    fn read_fetched(input: &mut Reader, limits: &Limits) -> Result<Self, RecordProblem> {
        let count = input.count("block transactions", limits.fetch_block_bytes_max / 5)?;
        let digests = (0..count).map(|_| input.digest());
        Ok(Self::Fetched(digests.collect::<Result<_, _>>()?))
    }

    fn read_epoch(input: &mut Reader) -> Result<Self, RecordProblem> {
        let epoch = input.u64()?;
        let header = BlockHeader::read(input)?;
        let roster = Roster::read(input)?;
        let mut forkers = Vec::new();
        for _ in 0..input.count("forkers", roster.len())? {
            forkers.push(PublicKey(input.digest()?.0));
        }
        Ok(Self::Epoch {
            epoch,
            header,
            roster,
            forkers,
        })
    }
}
