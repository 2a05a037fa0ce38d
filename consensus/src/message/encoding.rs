//! The bytes of messages.

use bytes::Bytes;

use super::{
    BlockRequest, BlockSignature, Blocks, BlocksGone, Known, MESSAGE_VERSION, Message, Request,
};
use crate::codec::{DecodeError, Reader, Writer};
use crate::event::{Event, ForkProof};
use crate::id::NodeIndex;
use crate::limits::{ENTRUSTED_BYTES_MAX, Limits};
use crate::roster::ROSTER_MEMBERS_MAX;
use crate::snapshot;

/// Flags of a summary: a number follows.
const ASKS: u8 = 1;
const ANSWERS: u8 = 2;

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
        9 => Message::BlocksGone(BlocksGone {
            index: input.u64()?,
            first: input.u64()?,
        }),
        10 => Message::StateRequest(snapshot::read_question(&mut input)?),
        11 => Message::State(snapshot::read_answer(&mut input)?),
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
            Self::BlockRequest(_)
            | Self::Blocks(_)
            | Self::Entrusted(_)
            | Self::BlocksGone(_)
            | Self::StateRequest(_)
            | Self::State(_) => self.write_catch_up(&mut out),
        }
        Bytes::from(out.finish())
    }

    /// What nodes that were away and those that help them say.
    fn write_catch_up(&self, out: &mut Writer) {
        match self {
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
            Self::BlocksGone(gone) => {
                out.u8(9);
                out.u64(gone.index);
                out.u64(gone.first);
            }
            Self::StateRequest(question) => {
                out.u8(10);
                snapshot::write_question(out, question);
            }
            Self::State(answer) => {
                out.u8(11);
                snapshot::write_answer(out, answer);
            }
            Self::Events(_)
            | Self::Known(_)
            | Self::Request(_)
            | Self::Signatures(_)
            | Self::Evidence(_) => {}
        }
    }
}
