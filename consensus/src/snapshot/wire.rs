//! Questions and answers about states, and their bytes.

use bytes::Bytes;

use super::manifest::{MANIFEST_BYTES_MAX, STATE_CHUNK_BYTES_MAX, StateManifest};
use crate::certificate::{Certificate, RosterStep};
use crate::codec::{DecodeError, Reader, Writer};
use crate::id::Digest;
use crate::limits::{Limits, MESSAGE_OVERHEAD_BYTES};
use crate::roster::Roster;

/// Seals that one node offers at most: the newest ones that it keeps.
pub const SEALS_OFFERED_MAX: usize = 4;
/// Roster steps in one answer at most.
pub const STEPS_ANSWERED_MAX: usize = 256;

/// What a node that takes over a state asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateQuestion {
    /// Which seals do you keep?
    Offers,
    /// The changes of membership behind this roster number.
    Steps {
        /// The number of the newest roster that the asker knows.
        after: u64,
    },
    /// A part of a manifest.
    Manifest {
        /// Its digest.
        manifest: Digest,
        /// How many of its bytes are there already.
        offset: u32,
    },
    /// A chunk.
    Chunk {
        /// The digest of the manifest that names it.
        manifest: Digest,
        /// Its index.
        index: u32,
    },
}

/// A seal whose state a node keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealOffer {
    /// Of the block that sealed.
    pub certificate: Certificate,
    /// The digest of the state's manifest.
    pub manifest: Digest,
}

/// What a node that keeps states answers. A question takes one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateAnswer {
    /// To [`StateQuestion::Offers`]: at most [`SEALS_OFFERED_MAX`].
    Offers(Vec<SealOffer>),
    /// To [`StateQuestion::Steps`]: at most [`STEPS_ANSWERED_MAX`], oldest
    /// first; see [`steps_answer`].
    Steps {
        /// As asked.
        after: u64,
        /// The steps.
        steps: Vec<RosterStep>,
    },
    /// To [`StateQuestion::Manifest`]; see [`manifest_answer`].
    Manifest {
        /// As asked.
        manifest: Digest,
        /// As asked.
        offset: u32,
        /// Bytes of the whole manifest.
        total: u32,
        /// As many as one message holds.
        bytes: Bytes,
    },
    /// To [`StateQuestion::Chunk`].
    Chunk {
        /// As asked.
        manifest: Digest,
        /// As asked.
        index: u32,
        /// All of it.
        bytes: Bytes,
    },
    /// The state with this manifest is not kept any more.
    Gone {
        /// As asked.
        manifest: Digest,
    },
}

/// How many bytes of a manifest the answer from `offset` on holds.
pub(crate) fn part_bytes(total: u32, offset: u32, limits: &Limits) -> u32 {
    let room = limits.message_bytes_max - MESSAGE_OVERHEAD_BYTES - 64;
    let room = u32::try_from(room).unwrap_or(u32::MAX);
    total.saturating_sub(offset).min(room)
}

/// The part of a manifest that begins at `offset`.
#[must_use]
pub fn manifest_answer(manifest: &StateManifest, offset: u32, limits: &Limits) -> StateAnswer {
    let encoded = manifest.encode();
    let total = u32::try_from(encoded.len()).unwrap_or(u32::MAX);
    let start = usize::try_from(offset.min(total)).unwrap_or(encoded.len());
    let length = usize::try_from(part_bytes(total, offset, limits)).unwrap_or(0);
    StateAnswer::Manifest {
        manifest: super::manifest::encoded_digest(&encoded),
        offset,
        total,
        bytes: Bytes::copy_from_slice(&encoded[start..start + length]),
    }
}

/// As many of the steps behind roster `after` as one message holds. They are
/// oldest first.
#[must_use]
pub fn steps_answer(
    after: u64,
    steps: impl IntoIterator<Item = RosterStep>,
    limits: &Limits,
) -> StateAnswer {
    let mut room = limits.message_bytes_max - MESSAGE_OVERHEAD_BYTES;
    let mut answered = Vec::new();
    for step in steps.into_iter().take(STEPS_ANSWERED_MAX) {
        let bytes = step.encode().len() + 4;
        if bytes > room {
            break;
        }
        room -= bytes;
        answered.push(step);
    }
    StateAnswer::Steps {
        after,
        steps: answered,
    }
}

pub(crate) fn write_question(out: &mut Writer, question: &StateQuestion) {
    match question {
        StateQuestion::Offers => out.u8(1),
        StateQuestion::Steps { after } => {
            out.u8(2);
            out.u64(*after);
        }
        StateQuestion::Manifest { manifest, offset } => {
            out.u8(3);
            out.digest(manifest);
            out.u32(*offset);
        }
        StateQuestion::Chunk { manifest, index } => {
            out.u8(4);
            out.digest(manifest);
            out.u32(*index);
        }
    }
}

pub(crate) fn read_question(input: &mut Reader) -> Result<StateQuestion, DecodeError> {
    Ok(match input.u8()? {
        1 => StateQuestion::Offers,
        2 => StateQuestion::Steps {
            after: input.u64()?,
        },
        3 => StateQuestion::Manifest {
            manifest: input.digest()?,
            offset: input.u32()?,
        },
        4 => StateQuestion::Chunk {
            manifest: input.digest()?,
            index: input.u32()?,
        },
        kind => return Err(DecodeError::Kind(kind)),
    })
}

pub(crate) fn write_answer(out: &mut Writer, answer: &StateAnswer) {
    match answer {
        StateAnswer::Offers(offers) => {
            out.u8(1);
            out.count(offers.len());
            for offer in offers {
                offer.certificate.write(out);
                out.digest(&offer.manifest);
            }
        }
        StateAnswer::Steps { after, steps } => {
            out.u8(2);
            out.u64(*after);
            out.count(steps.len());
            for step in steps {
                step.certificate.write(out);
                step.next.write(out);
            }
        }
        StateAnswer::Manifest {
            manifest,
            offset,
            total,
            bytes,
        } => {
            out.u8(3);
            out.digest(manifest);
            out.u32(*offset);
            out.u32(*total);
            out.blob(bytes);
        }
        StateAnswer::Chunk {
            manifest,
            index,
            bytes,
        } => {
            out.u8(4);
            out.digest(manifest);
            out.u32(*index);
            out.blob(bytes);
        }
        StateAnswer::Gone { manifest } => {
            out.u8(5);
            out.digest(manifest);
        }
    }
}

pub(crate) fn read_answer(input: &mut Reader) -> Result<StateAnswer, DecodeError> {
    Ok(match input.u8()? {
        1 => {
            let mut offers = Vec::new();
            for _ in 0..input.count("offered seals", SEALS_OFFERED_MAX)? {
                offers.push(SealOffer {
                    certificate: Certificate::read(input)?,
                    manifest: input.digest()?,
                });
            }
            StateAnswer::Offers(offers)
        }
        2 => {
            let after = input.u64()?;
            let mut steps = Vec::new();
            for _ in 0..input.count("roster steps", STEPS_ANSWERED_MAX)? {
                steps.push(RosterStep {
                    certificate: Certificate::read(input)?,
                    next: Roster::read(input)?,
                });
            }
            StateAnswer::Steps { after, steps }
        }
        3 => StateAnswer::Manifest {
            manifest: input.digest()?,
            offset: input.u32()?,
            total: input.u32()?,
            bytes: input.blob("manifest bytes", MANIFEST_BYTES_MAX)?,
        },
        4 => StateAnswer::Chunk {
            manifest: input.digest()?,
            index: input.u32()?,
            bytes: input.blob("chunk bytes", STATE_CHUNK_BYTES_MAX)?,
        },
        5 => StateAnswer::Gone {
            manifest: input.digest()?,
        },
        kind => return Err(DecodeError::Kind(kind)),
    })
}
