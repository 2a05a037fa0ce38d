//! What a driver does to take over a state, and what it says about it.

use bytes::Bytes;

use crate::certificate::{Certificate, RosterStep};
use crate::id::Digest;
use crate::interface::Record;
use crate::snapshot::StateManifest;

/// What a driver does to take over the state of a seal. All but
/// [`Install::Finish`] may be done on another thread, in order; each is
/// answered with an [`InstallProgress`]. A driver whose disk fails stops.
#[derive(Debug)]
pub enum Install {
    /// Keep the chunks of this state that are there from a former attempt, and
    /// forget those of any other. Answer: [`InstallProgress::Begun`].
    Begin(StateManifest),
    /// Keep this chunk, which is the one that the manifest names. Answer:
    /// [`InstallProgress::Kept`].
    Chunk {
        /// The manifest's digest.
        manifest: Digest,
        /// The chunk's index.
        index: u32,
        /// The chunk.
        bytes: Bytes,
    },
    /// All chunks are kept: make a state of them beside the present one, and
    /// see whether it has the digest that the manifest says. Where it has not,
    /// forget all of it. Answer: [`InstallProgress::Checked`].
    Check {
        /// The manifest's digest.
        manifest: Digest,
    },
    /// In one synced write, behind all that was put out before: the checked
    /// state becomes the present one, with this certificate, these steps and
    /// this record. No answer; where it fails, the driver stops, and the next
    /// start finds all of it or nothing.
    Finish(Box<Finish>),
}

/// What becomes durable together with a state that was taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finish {
    /// The manifest's digest.
    pub manifest: Digest,
    /// Of the block that led to the state.
    pub certificate: Certificate,
    /// Changes of membership behind the roster that this node knew, oldest
    /// first, up to the block.
    pub steps: Vec<RosterStep>,
    /// From which the core is restored: no record before it is needed.
    pub record: Record,
}

/// What a driver says of an [`Install`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstallProgress {
    /// It has begun, and these chunks are missing, ascending.
    Begun {
        /// Indexes of chunks.
        missing: Vec<u32>,
    },
    /// A chunk is kept.
    Kept {
        /// Its index.
        index: u32,
    },
    /// All chunks were looked at.
    Checked {
        /// Whether they make the state.
        holds: bool,
    },
}
