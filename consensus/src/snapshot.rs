//! The state of a seal, as nodes hand it to each other.
//!
//! A node that was away for longer than its peers keep blocks takes over the
//! state behind a block that sealed an epoch. What travels proves itself: the
//! certificate of that block holds the state's digest, roster steps lead from
//! a roster that the taker trusts to the one that signed, a manifest names the
//! digest of every chunk, and more peers than may lie must name the same
//! manifest. So each bad chunk names its sender.
//!
//! What flows: [`StateQuestion::Offers`] → the seals that a peer keeps →
//! [`StateQuestion::Steps`] until the certificate can be checked →
//! [`StateQuestion::Manifest`] → [`StateQuestion::Chunk`] of all who vouched, in
//! parallel. Each question takes one answer, [`StateQuestion`] and
//! [`StateAnswer`] are what a liar's answers are made of. Who decides is
//! `take_over`; who reads and writes is the driver: it answers
//! [`Output::ServeState`](crate::Output::ServeState) with a [`StateAnswer`] made
//! by one of the functions here, and performs
//! [`Output::Install`](crate::Output::Install).
//!
//! A driver, a simulated one too, has to do this: keep the state behind a
//! sealing block with its certificate when [`Output::Final`](crate::Output::Final)
//! names it; keep a [`RosterStep`](crate::RosterStep) for each change of
//! membership; answer questions about what it keeps, and
//! [`BlocksGone`](crate::message::BlocksGone) where a block is asked for that it
//! has dropped; perform [`Install`](crate::Install) and say how it went. A liar
//! is whoever answers otherwise: `consensus/tests/take_over.rs` has twelve.
//!
//! Units: bytes. Deliberately absent: what a state consists of. A driver cuts
//! it into chunks of one length, so that all nodes come to the same manifest.

mod manifest;
mod wire;

pub use manifest::chunk_digest;
pub use manifest::{MANIFEST_BYTES_MAX, STATE_CHUNK_BYTES_MAX, STATE_CHUNKS_MAX, StateManifest};
pub use wire::{
    SEALS_OFFERED_MAX, STEPS_ANSWERED_MAX, SealOffer, StateAnswer, StateQuestion, manifest_answer,
    steps_answer,
};
pub(crate) use wire::{part_bytes, read_answer, read_question, write_answer, write_question};

/// Why an answer of a peer is not taken, and the peer not asked again in this
/// take-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum StateProblem {
    /// The certificate of the seal that it offered does not hold.
    #[error("the certificate of the seal does not hold")]
    Certificate,
    /// Its roster steps do not lead to the roster that signed the seal.
    #[error("the roster steps do not lead to the seal")]
    Steps,
    /// The manifest is not the one that it had named.
    #[error("the manifest is not the one that was offered")]
    Manifest,
    /// A chunk is not the one that the manifest names.
    #[error("a chunk is not the one that the manifest names")]
    Chunk,
    /// The chunks that the manifest names are not the certified state.
    #[error("the chunks do not make the certified state")]
    State,
}
