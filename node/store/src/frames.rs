//! Certified frames for subscribers, from what is on disk.

use dctrl_consensus::merkle;
use dctrl_proto::topic::matches_any;
use dctrl_proto::v1::{BusFrame, MerkleProof};
use prost::Message;

use crate::columns::{self, key_number, number_key};
use crate::error::StoreError;
use crate::leaves;
use crate::limits::{FRAMES_BYTES_MAX, FRAMES_HEIGHTS_MAX, FRAMES_MAX, FRAMES_SCAN_BYTES_MAX};
use crate::snapshot::Snapshot;
use crate::store::damaged;

/// An answer of [`Snapshot::frames`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frames {
    /// Ascending by height and sub-index.
    pub frames: Vec<BusFrame>,
    /// All matching frames up to and including this height are in this answer
    /// or lie before the position that was asked for.
    pub covered_height: u64,
    /// There may be more. Ask again from the last frame, or where there is
    /// none from the end of `covered_height`.
    pub more: bool,
    /// The first height whose frames are kept.
    pub first_height: u64,
}

/// The one field of a `BusBody` that decides who gets it.
#[derive(Clone, PartialEq, Message)]
struct Topic {
    #[prost(string, tag = "1")]
    topic: String,
}

/// One answer while it grows.
struct Answer<'q> {
    after: (u64, u32),
    topics: &'q [String],
    frames_max: usize,
    frames: Vec<BusFrame>,
    bytes: usize,
}

impl Snapshot<'_> {
    /// Frames after the position `after` (height, sub-index) whose topic
    /// matches one of `topics` (see [`dctrl_proto::topic`]; none means all),
    /// at most `frames_max` and [`FRAMES_MAX`]. Only final heights have
    /// frames. The position (0, 0) is before all of them.
    ///
    /// Each answer reads a bounded part of the disk; see [`Frames::more`].
    ///
    /// # Errors
    /// Where frames after the position are not kept any more, and where the
    /// disk cannot be read or holds something else.
    pub fn frames(
        &self,
        after: (u64, u32),
        topics: &[String],
        frames_max: usize,
    ) -> Result<Frames, StoreError> {
        let final_height = self.final_height()?;
        let kept = self.first_block()?;
        if after.0.saturating_add(1) < kept {
            return Err(StoreError::Pruned { first: kept });
        }
        let first = after.0.max(kept);
        if first > final_height {
            return Ok(Frames {
                covered_height: final_height,
                first_height: kept,
                ..Frames::default()
            });
        }
        let last = final_height.min(first.saturating_add(FRAMES_HEIGHTS_MAX - 1));
        let mut answer = Answer {
            after,
            topics,
            frames_max: frames_max.clamp(1, FRAMES_MAX),
            frames: Vec::new(),
            bytes: 0,
        };
        let (mut covered, mut scanned) = (first - 1, 0);
        let start = number_key(first);
        let mut outputs = self.entries(columns::OUTPUTS, &start, None);
        while covered < last && scanned <= FRAMES_SCAN_BYTES_MAX {
            let height = covered + 1;
            let (key, value) = outputs
                .next()
                .ok_or_else(|| damaged(columns::OUTPUTS, height))??;
            if key_number(&key) != Some(height) {
                return Err(damaged(columns::OUTPUTS, height));
            }
            scanned += value.len();
            if !self.add_height(&mut answer, height, &value)? {
                break;
            }
            covered = height;
        }
        Ok(Frames {
            frames: answer.frames,
            covered_height: covered,
            more: covered < final_height,
            first_height: kept,
        })
    }

    /// Adds the matching frames of a height; false where the answer was full
    /// before its end.
    fn add_height(
        &self,
        answer: &mut Answer<'_>,
        height: u64,
        value: &[u8],
    ) -> Result<bool, StoreError> {
        let leaves = leaves::decode(value).ok_or_else(|| damaged(columns::OUTPUTS, height))?;
        // Both are made once, and only where some frame is wanted.
        let mut proven = None;
        for (sub_index, leaf) in leaves.iter().enumerate() {
            if !answer.wants(height, sub_index, leaf)? {
                continue;
            }
            if answer.is_full() {
                return Ok(false);
            }
            let (certificate, tree) = match &proven {
                Some(proven) => proven,
                None => proven.insert((
                    self.certificate(height)?
                        .ok_or_else(|| damaged(columns::CERTIFICATES, height))?,
                    merkle::Tree::new(&leaves),
                )),
            };
            answer.add(frame(&leaves, sub_index, tree, certificate.clone()));
        }
        Ok(true)
    }
}

impl Answer<'_> {
    fn wants(&self, height: u64, sub_index: usize, leaf: &[u8]) -> Result<bool, StoreError> {
        let (after_height, after_sub_index) = self.after;
        if height == after_height && sub_index as u64 <= u64::from(after_sub_index) {
            return Ok(false);
        }
        let body = Topic::decode(leaf).map_err(|_| damaged(columns::OUTPUTS, height))?;
        Ok(matches_any(self.topics, &body.topic))
    }

    fn is_full(&self) -> bool {
        self.frames.len() >= self.frames_max || self.bytes >= FRAMES_BYTES_MAX
    }

    fn add(&mut self, frame: BusFrame) {
        self.bytes += frame.encoded_len();
        self.frames.push(frame);
    }
}

fn frame(
    leaves: &[&[u8]],
    sub_index: usize,
    tree: &merkle::Tree,
    certificate: Vec<u8>,
) -> BusFrame {
    let path = tree.proof(sub_index);
    BusFrame {
        body: leaves[sub_index].to_vec(),
        proof: Some(MerkleProof {
            // A batch of 256 MiB cannot hold more leaves than u32 counts.
            leaf_count: u32::try_from(leaves.len()).unwrap_or(u32::MAX),
            path: path.into_iter().map(|digest| digest.0.to_vec()).collect(),
        }),
        certificate,
    }
}
