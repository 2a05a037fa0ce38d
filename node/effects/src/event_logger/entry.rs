//! One line of the log.

use dctrl_proto::v1::BusBody;
use prost::Message;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Hash before the first line.
pub(super) const FIRST: [u8; 32] = [0; 32];

/// Topic of a line that tells what is missing. No frame's topic begins so.
const GAP_TOPIC: &str = "_gap";

/// Blocks whose frames are not in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// First block that is missing, or whose last frames are.
    pub missing_from: u64,
    /// Last block that is missing.
    pub missing_to: u64,
    /// Why.
    pub why: String,
}

/// What a line says. Its hash is not part of it: that follows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// From 1, without gaps, through all segments.
    pub index: u64,
    /// Consensus time, milliseconds since the Unix epoch; 0 for a gap.
    pub time_ms: u64,
    /// Topic of the frame; of a gap, `_gap`.
    pub topic: String,
    /// Height of its block.
    pub height: u64,
    /// Its position in the block.
    pub sub_index: u32,
    /// What happened, for people.
    pub event: Box<RawValue>,
    /// The encoded `BusBody`, as the nodes have signed it, in hex; empty for a gap.
    pub body: String,
    /// Hash of the line before it, in hex; zeros for the first.
    pub prev_hash: String,
}

/// Joins an entry and its hash. The entry is an object whose last brace makes
/// room for one more field.
const HASH_FIELD: &[u8] = b",\"hash\":\"";
const LINE_END: &[u8] = b"\"}";

impl Entry {
    /// The entry of a frame.
    pub(super) fn new(
        index: u64,
        body: &BusBody,
        bytes: &[u8],
        prev_hash: [u8; 32],
    ) -> Result<Self, serde_json::Error> {
        let event = serde_json::value::to_raw_value(&body.event)?;
        Ok(Self {
            index,
            time_ms: body.time_ms,
            topic: body.topic.clone(),
            height: body.height,
            sub_index: body.sub_index,
            event,
            body: hex::encode(bytes),
            prev_hash: hex::encode(prev_hash),
        })
    }

    /// The entry of what is missing.
    pub(super) fn of_gap(
        index: u64,
        gap: &Gap,
        prev_hash: [u8; 32],
    ) -> Result<Self, serde_json::Error> {
        Ok(Self {
            index,
            time_ms: 0,
            topic: GAP_TOPIC.to_owned(),
            height: gap.missing_to,
            sub_index: u32::MAX,
            event: serde_json::value::to_raw_value(gap)?,
            body: String::new(),
            prev_hash: hex::encode(prev_hash),
        })
    }

    /// What is missing, where the line tells of that.
    #[must_use]
    pub fn gap(&self) -> Option<Gap> {
        let gap: Gap = serde_json::from_str(self.event.get()).ok()?;
        let ends = (gap.missing_to, u32::MAX) == (self.height, self.sub_index);
        let fits = self.topic == GAP_TOPIC && self.body.is_empty() && ends;
        (fits && gap.missing_from <= gap.missing_to).then_some(gap)
    }

    /// The line, without its end, and its hash.
    pub(super) fn line(&self) -> Result<(Vec<u8>, [u8; 32]), serde_json::Error> {
        let mut line = serde_json::to_vec(self)?;
        let hash = hash(&line);
        line.pop();
        line.extend_from_slice(HASH_FIELD);
        line.extend_from_slice(hex::encode(hash).as_bytes());
        line.extend_from_slice(LINE_END);
        Ok((line, hash))
    }

    /// Reads a line back: it must hash to what it says, and its readable
    /// fields must be those of its body.
    pub(super) fn read(line: &[u8]) -> Result<(Self, [u8; 32]), EntryError> {
        let rest = line.strip_suffix(LINE_END).ok_or(EntryError::Shape)?;
        let at = rest.len().checked_sub(64).ok_or(EntryError::Shape)?;
        let (rest, said) = rest.split_at(at);
        let mut written = rest
            .strip_suffix(HASH_FIELD)
            .ok_or(EntryError::Shape)?
            .to_vec();
        written.push(b'}');
        let hash = hash(&written);
        if hex::encode(hash).as_bytes() != said {
            return Err(EntryError::Hash);
        }
        let entry: Self = serde_json::from_slice(&written).map_err(|_| EntryError::Shape)?;
        if entry.gap().is_some() {
            return Ok((entry, hash));
        }
        let bytes = hex::decode(&entry.body).map_err(|_| EntryError::Body)?;
        let body = BusBody::decode(bytes.as_slice()).map_err(|_| EntryError::Body)?;
        let same = body.topic == entry.topic
            && (body.height, body.sub_index) == (entry.height, entry.sub_index)
            && body.time_ms == entry.time_ms;
        if same {
            Ok((entry, hash))
        } else {
            Err(EntryError::Body)
        }
    }
}

/// What is wrong with a line by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Not a line of this log.
    #[error("it is not a line of an event log")]
    Shape,
    /// It was changed after it was written.
    #[error("it does not have the hash that it says")]
    Hash,
    /// The body is not what the other fields say.
    #[error("its body is not what its fields say")]
    Body,
}

fn hash(written: &[u8]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(b"dctrl/event-log/1\0");
    context.update(written);
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}
