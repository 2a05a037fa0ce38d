//! Whether a frame is what the federation decided.
//!
//! A frame is true where its body is a leaf of the outputs of a block whose
//! header 2f+1 nodes of its roster have signed. A certificate's signatures are
//! checked once and its digest remembered; nodes may hold different ones for
//! the same block, and a damaged copy of a good one is not good.

use std::collections::{BTreeMap, VecDeque};

use dctrl_consensus::certificate::{BlockHeader, Certificate, CertificateError};
use dctrl_consensus::crypto::sha256;
use dctrl_consensus::{Digest, RosterChainError, merkle};
use dctrl_proto::topic::TOPIC_BYTES_MAX;
use dctrl_proto::v1::{BusBody, BusFrame};
use prost::Message;

use crate::position::{Position, Verified};
use crate::rosters::Rosters;

/// Certificates that are remembered as checked.
const CERTIFICATES_MAX: usize = 1024;

/// Longest Merkle path: a block has fewer than 2^32 outputs.
const PATH_MAX: usize = 32;

/// Why a frame is not believed. Always the sender's fault.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Not a frame, or its body is no body.
    #[error("the frame is malformed: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// The certificate cannot be read.
    #[error("the certificate is malformed")]
    CertificateBytes,
    /// Too few or wrong signatures, or those of another federation.
    #[error("the certificate does not hold: {0}")]
    Certificate(CertificateError),
    /// The certificate names a roster that is not known yet, or none at all.
    #[error("no known roster has the hash {0}")]
    UnknownRoster(Digest),
    /// The roster did not answer for this block.
    #[error("the certificate does not hold: {0}")]
    Roster(RosterChainError),
    /// The body is no leaf of the certified outputs.
    #[error("the body is not among the certified outputs")]
    Proof,
    /// The body contradicts the certified header, or the topic it came under.
    #[error("the body says another {0} than its envelope")]
    Contradiction(&'static str),
}

/// Checks frames of one federation.
#[derive(Debug)]
pub struct Verifier {
    cluster: [u8; 32],
    rosters: Rosters,
    /// Digests of certificates that hold, with the number of their roster.
    checked: BTreeMap<Digest, u64>,
    /// The same digests, oldest first.
    order: VecDeque<Digest>,
    /// The newest roster when they were checked.
    newest: u64,
}

impl Verifier {
    /// A verifier that trusts these rosters and nothing else.
    #[must_use]
    pub fn new(rosters: Rosters) -> Self {
        Self {
            cluster: rosters.cluster(),
            newest: rosters.newest(),
            rosters,
            checked: BTreeMap::new(),
            order: VecDeque::new(),
        }
    }

    /// The rosters that are trusted.
    #[must_use]
    pub fn rosters(&self) -> &Rosters {
        &self.rosters
    }

    /// Decodes and checks an encoded frame.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Verified, FrameError> {
        self.verify(BusFrame::decode(bytes)?)
    }

    /// Checks a frame.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub fn verify(&mut self, frame: BusFrame) -> Result<Verified, FrameError> {
        let body = BusBody::decode(frame.body.as_slice())?;
        let certificate =
            Certificate::decode(&frame.certificate).map_err(|_| FrameError::CertificateBytes)?;
        agrees(&body, &certificate.header, &self.cluster)?;
        if !is_leaf(&frame, &body, &certificate.header) {
            return Err(FrameError::Proof);
        }
        // Signatures last: they cost a thousand times the rest.
        let roster = self.certified(&certificate, &frame.certificate)?;
        Ok(Verified {
            position: Position::of(&body),
            body,
            frame,
            roster,
            superseded: roster < self.newest,
        })
    }

    fn certified(&mut self, certificate: &Certificate, bytes: &[u8]) -> Result<u64, FrameError> {
        let newest = self.rosters.newest();
        if newest != self.newest {
            // Where a roster ends, some of its certificates may be void.
            self.checked.clear();
            self.order.clear();
            self.newest = newest;
        }
        let digest = sha256(b"dctrl/follow/checked/1\0", &[bytes]);
        if let Some(roster) = self.checked.get(&digest) {
            return Ok(*roster);
        }
        let roster = self.rosters.verify(certificate).map_err(sort)?;
        if self.order.len() >= CERTIFICATES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.checked.remove(&oldest);
        }
        self.checked.insert(digest, roster);
        self.order.push_back(digest);
        Ok(roster)
    }
}

fn sort(error: RosterChainError) -> FrameError {
    match error {
        RosterChainError::Certificate(error) => FrameError::Certificate(error),
        RosterChainError::Unknown(roster) => FrameError::UnknownRoster(roster),
        other => FrameError::Roster(other),
    }
}

/// Whether the body's own words are those of the header above it.
fn agrees(body: &BusBody, header: &BlockHeader, cluster: &[u8; 32]) -> Result<(), FrameError> {
    let what = if body.cluster != cluster || header.cluster.0.0 != *cluster {
        "cluster"
    } else if body.height != header.index {
        "height"
    } else if body.time_ms < header.time.as_millis() {
        // The ledger's time never runs backwards, also where a block's does.
        "time"
    } else if body.topic.is_empty()
        || body.topic.len() > TOPIC_BYTES_MAX
        || body.topic.starts_with('_')
    {
        "topic"
    } else if Position::before(body) >= Position::of(body) {
        "predecessor"
    } else {
        return Ok(());
    };
    Err(FrameError::Contradiction(what))
}

fn is_leaf(frame: &BusFrame, body: &BusBody, header: &BlockHeader) -> bool {
    let Some(proof) = &frame.proof else {
        return false;
    };
    if proof.path.len() > PATH_MAX {
        return false;
    }
    let path: Option<Vec<Digest>> = proof
        .path
        .iter()
        .map(|step| <[u8; 32]>::try_from(step.as_slice()).ok().map(Digest))
        .collect();
    path.is_some_and(|path| {
        merkle::verify(
            &header.outputs_root,
            &frame.body,
            body.sub_index as usize,
            proof.leaf_count as usize,
            &path,
        )
    })
}
