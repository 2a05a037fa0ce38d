//! Block headers and the certificates that prove them: the light client.
//!
//! A node signs a header after it has executed the block, so a certificate
//! vouches for the order and for the result: state digest and outputs root.
//! This module needs nothing but a roster, so that a machine agent or a
//! command line can check a certificate alone; [`RosterChain`] leads from the
//! roster of the genesis to that of today.

mod chain;

use bytes::Bytes;

use crate::codec::{DecodeError, Reader, Writer};
use crate::crypto::{Scheme, sha256};
use crate::id::{ClusterId, Digest, NodeIndex, Signature, Timestamp};
use crate::roster::{ROSTER_MEMBERS_MAX, Roster};

pub use chain::{ROSTERS_KEPT_MAX, RosterChain, RosterChainError, RosterStep};

/// The format version of headers made here.
pub const HEADER_VERSION: u16 = 1;
/// Bytes of an encoded header.
pub const HEADER_BYTES: usize = 2 + 32 + 8 + 8 + 8 + 8 + 6 * 32;
const SIGNATURE_DOMAIN: &[u8] = b"dctrl/block/1\0";

/// What one block did, in a form that 2f+1 nodes sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockHeader {
    /// [`HEADER_VERSION`].
    pub version: u16,
    /// The federation.
    pub cluster: ClusterId,
    /// The epoch, counted from 0; each seal begins the next one.
    pub epoch: u64,
    /// The block's index (height), from 1.
    pub index: u64,
    /// The hashgraph round in which its events were received.
    pub round: u64,
    /// Consensus time, above that of every block before.
    pub time: Timestamp,
    /// The hash of the header before; [`Digest::ZERO`] for the first.
    pub previous: Digest,
    /// The Merkle root of the transactions.
    pub payload_root: Digest,
    /// The digest of the state after the block.
    pub state_digest: Digest,
    /// The Merkle root of what execution put out.
    pub outputs_root: Digest,
    /// The hash of the roster that signs.
    pub roster: Digest,
    /// Where this block seals its epoch: the hash of the roster of the next
    /// one, be it changed or not. [`Digest::ZERO`] elsewhere.
    pub next_roster: Digest,
}

impl BlockHeader {
    /// The one encoding: the fields in order, [`HEADER_BYTES`] bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(HEADER_BYTES);
        self.write(&mut out);
        out.finish()
    }

    /// Reads an encoded header.
    ///
    /// # Errors
    /// Where the bytes are not one encoded header of a known version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(Bytes::copy_from_slice(bytes));
        let header = Self::read(&mut input)?;
        input.end()?;
        Ok(header)
    }

    /// The hash that signatures cover and the next header names.
    #[must_use]
    pub fn hash(&self) -> Digest {
        sha256(b"dctrl/header/1\0", &[&self.encode()])
    }

    /// Whether this block is the last one of its epoch.
    #[must_use]
    pub fn seals(&self) -> bool {
        self.next_roster != Digest::ZERO
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.u16(self.version);
        out.digest(&self.cluster.0);
        out.u64(self.epoch);
        out.u64(self.index);
        out.u64(self.round);
        out.u64(self.time.0);
        out.digest(&self.previous);
        out.digest(&self.payload_root);
        out.digest(&self.state_digest);
        out.digest(&self.outputs_root);
        out.digest(&self.roster);
        out.digest(&self.next_roster);
    }

    pub(crate) fn read(input: &mut Reader) -> Result<Self, DecodeError> {
        let version = input.u16()?;
        if version != HEADER_VERSION {
            return Err(DecodeError::Version(version));
        }
        Ok(Self {
            version,
            cluster: ClusterId(input.digest()?),
            epoch: input.u64()?,
            index: input.u64()?,
            round: input.u64()?,
            time: input.timestamp()?,
            previous: input.digest()?,
            payload_root: input.digest()?,
            state_digest: input.digest()?,
            outputs_root: input.digest()?,
            roster: input.digest()?,
            next_roster: input.digest()?,
        })
    }
}

/// The bytes that a node signs for the header with this hash.
#[must_use]
pub fn signing_bytes(header_hash: &Digest) -> Vec<u8> {
    [SIGNATURE_DOMAIN, &header_hash.0].concat()
}

/// A header with the signatures of at least a quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// What is certified.
    pub header: BlockHeader,
    /// Signatures over the header's hash, ascending by signer.
    pub signatures: Vec<(NodeIndex, Signature)>,
}

/// Why a certificate proves nothing to the holder of a roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It belongs to another federation.
    #[error("the certificate is of another federation")]
    Cluster,
    /// It names another roster.
    #[error("the certificate is of another roster")]
    Roster,
    /// Fewer than a quorum signed.
    #[error("{signed} of the {needed} signatures needed")]
    Quorum {
        /// Signatures in the certificate.
        signed: usize,
        /// The roster's quorum.
        needed: usize,
    },
    /// Signers are not ascending, so one may count twice.
    #[error("signer {0} is out of order or there twice")]
    Order(NodeIndex),
    /// A signer is not in the roster.
    #[error("signer {0} is not in the roster")]
    Stranger(NodeIndex),
    /// A signature does not hold.
    #[error("the signature of {0} does not hold")]
    Signature(NodeIndex),
}

impl Certificate {
    /// The one encoding: header, count, then signer and signature each.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(HEADER_BYTES + 4 + self.signatures.len() * 66);
        self.write(&mut out);
        out.finish()
    }

    /// Reads an encoded certificate, without checking its signatures.
    ///
    /// # Errors
    /// Where the bytes are not one encoded certificate.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(Bytes::copy_from_slice(bytes));
        let certificate = Self::read(&mut input)?;
        input.end()?;
        Ok(certificate)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        self.header.write(out);
        out.count(self.signatures.len());
        for (signer, signature) in &self.signatures {
            out.node(*signer);
            out.signature(signature);
        }
    }

    pub(crate) fn read(input: &mut Reader) -> Result<Self, DecodeError> {
        let header = BlockHeader::read(input)?;
        let count = input.count("certificate signatures", ROSTER_MEMBERS_MAX)?;
        let mut signatures = Vec::with_capacity(count);
        for _ in 0..count {
            signatures.push((input.node()?, input.signature()?));
        }
        Ok(Self { header, signatures })
    }

    /// Checks that a quorum of distinct members of this roster signed.
    ///
    /// # Errors
    /// The first reason why it proves nothing; one bad signature voids it all.
    pub fn verify(&self, roster: &Roster, cluster: &ClusterId) -> Result<(), CertificateError> {
        self.verify_by(Scheme::Ed25519, roster, cluster)
    }

    /// The same in a federation that signs by this scheme.
    ///
    /// # Errors
    /// The first reason why it proves nothing; one bad signature voids it all.
    pub fn verify_by(
        &self,
        scheme: Scheme,
        roster: &Roster,
        cluster: &ClusterId,
    ) -> Result<(), CertificateError> {
        if self.header.cluster != *cluster {
            return Err(CertificateError::Cluster);
        }
        if self.header.roster != roster.hash() {
            return Err(CertificateError::Roster);
        }
        let (signed, needed) = (self.signatures.len(), roster.quorum());
        if signed < needed {
            return Err(CertificateError::Quorum { signed, needed });
        }
        for pair in self.signatures.windows(2) {
            if pair[1].0 <= pair[0].0 {
                return Err(CertificateError::Order(pair[1].0));
            }
        }
        let signed_bytes = signing_bytes(&self.header.hash());
        for (signer, signature) in &self.signatures {
            let key = roster
                .key(*signer)
                .ok_or(CertificateError::Stranger(*signer))?;
            if !scheme.verify(key, &signed_bytes, signature) {
                return Err(CertificateError::Signature(*signer));
            }
        }
        Ok(())
    }
}
