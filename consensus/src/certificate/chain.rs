//! The chain of rosters: from the genesis to the members of today.
//!
//! A block that seals an epoch names the roster of the next one, so a quorum
//! of each roster vouches for the one after it. Whoever starts from the
//! genesis and takes every step needs no other trust (consensus.md,
//! Membership; reliability.md, H23).
//!
//! A roster answers for the blocks from the one after its own step up to the
//! one that ends it. A certificate of it over any other block proves nothing,
//! however many signed: keys that were removed may fall into any hands.
//!
//! Deliberately absent: fetching and keeping. A chain in bytes is what its
//! holder trusts, so it must come from the holder's own disk.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Certificate, CertificateError};
use crate::codec::{DecodeError, Reader, Writer};
use crate::crypto::{Scheme, sha256};
use crate::id::{ClusterId, Digest};
use crate::roster::Roster;

/// Rosters that a chain remembers; older ones prove no more history. A
/// federation that changes its members every week reaches this in 19 years.
pub const ROSTERS_KEPT_MAX: usize = 1024;
/// The format of chains written here.
const CHAIN_VERSION: u16 = 1;
const CHECK_DOMAIN: &[u8] = b"dctrl/roster-chain/1\0";
const DIGEST_BYTES: usize = 32;

/// One change of membership, as a node keeps and serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterStep {
    /// The certificate of the block that sealed, by the roster before.
    pub certificate: Certificate,
    /// The roster that the block's header names.
    pub next: Roster,
}

impl RosterStep {
    /// The one encoding: the certificate, then the roster.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        self.certificate.write(&mut out);
        self.next.write(&mut out);
        out.finish()
    }

    /// Reads an encoded step, without checking what it claims.
    ///
    /// # Errors
    /// Where the bytes are not one encoded step.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(Bytes::copy_from_slice(bytes));
        let step = Self {
            certificate: Certificate::read(&mut input)?,
            next: Roster::read(&mut input)?,
        };
        input.end()?;
        Ok(step)
    }

    /// Checks that this is the step behind roster `newest`, which answers for
    /// the blocks above `after`.
    pub(crate) fn check(
        &self,
        scheme: Scheme,
        cluster: &ClusterId,
        newest: &Roster,
        after: u64,
    ) -> Result<(), RosterChainError> {
        names_next(&self.certificate, &self.next, newest.number)?;
        let index = self.certificate.header.index;
        if index <= after {
            return Err(RosterChainError::Outside {
                index,
                first: after.saturating_add(1),
                last: u64::MAX,
            });
        }
        self.certificate.verify_by(scheme, newest, cluster)?;
        Ok(())
    }
}

/// Whether the certified block names this roster as the one behind number
/// `newest`. Returns the roster's hash.
fn names_next(
    certificate: &Certificate,
    next: &Roster,
    newest: u64,
) -> Result<Digest, RosterChainError> {
    let header = &certificate.header;
    if header.next_roster == Digest::ZERO || header.next_roster == header.roster {
        return Err(RosterChainError::Unchanged);
    }
    let hash = next.hash();
    if header.next_roster != hash {
        return Err(RosterChainError::Other);
    }
    if newest.checked_add(1) != Some(next.number) {
        return Err(RosterChainError::Number {
            found: next.number,
            newest,
        });
    }
    Ok(hash)
}

/// A roster and where its time began.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    roster: Roster,
    hash: Digest,
    /// The block that sealed the roster before; 0 for the genesis.
    after: u64,
}

/// The rosters of one federation that are known to be true, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterChain {
    cluster: ClusterId,
    /// At least one, numbered without gaps.
    links: VecDeque<Link>,
}

/// Why a certificate or a step is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RosterChainError {
    /// The certificate does not hold under the roster that it names.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// No known roster has this hash: it may be a later one, whose steps are
    /// to be fetched, or none at all.
    #[error("no known roster has the hash {0}")]
    Unknown(Digest),
    /// The roster did not answer for this block.
    #[error("the roster answers for blocks {first} to {last}, not for block {index}")]
    Outside {
        /// The certified block.
        index: u64,
        /// The first block that the roster answers for.
        first: u64,
        /// The last one, `u64::MAX` while it has no successor.
        last: u64,
    },
    /// The certificate is of a roster that has a successor.
    #[error("the certificate is of roster {of}, and roster {newest} has followed it")]
    Superseded {
        /// The roster that signed.
        of: u64,
        /// The newest known one.
        newest: u64,
    },
    /// The block does not seal, or it seals and leaves the roster as it is.
    #[error("the block is no change of membership")]
    Unchanged,
    /// The roster handed over is not the one that the block names.
    #[error("this is not the roster that the block names")]
    Other,
    /// The roster's number does not follow the one before.
    #[error("roster {found} cannot follow roster {newest}")]
    Number {
        /// The number of the roster handed over.
        found: u64,
        /// The newest known one.
        newest: u64,
    },
}

impl RosterChain {
    /// A chain that knows the roster of the genesis and nothing else.
    #[must_use]
    pub fn new(cluster: ClusterId, genesis: Roster) -> Self {
        let link = Link {
            hash: genesis.hash(),
            roster: genesis,
            after: 0,
        };
        Self {
            cluster,
            links: VecDeque::from([link]),
        }
    }

    /// The federation.
    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// The newest roster that is known.
    #[must_use]
    pub fn newest(&self) -> &Roster {
        &self.last().roster
    }

    /// The block that sealed the newest roster in; 0 for that of the genesis.
    #[must_use]
    pub fn newest_after(&self) -> u64 {
        self.last().after
    }

    /// A known roster by its number.
    #[must_use]
    pub fn roster(&self, number: u64) -> Option<&Roster> {
        let first = self.links.front()?.roster.number;
        let position = usize::try_from(number.checked_sub(first)?).ok()?;
        self.links.get(position).map(|link| &link.roster)
    }

    /// Whether a roster with this hash is known.
    #[must_use]
    pub fn knows(&self, roster: &Digest) -> bool {
        self.position(roster).is_some()
    }

    /// Takes the step to the next roster: `certificate`, by the newest known
    /// roster, is over a later block that seals and names `next`.
    ///
    /// # Errors
    /// Why this is not the next step; the chain is then as it was.
    pub fn advance(
        &mut self,
        certificate: &Certificate,
        next: Roster,
    ) -> Result<(), RosterChainError> {
        let hash = names_next(certificate, &next, self.newest().number)?;
        self.verify_newest(certificate)?;
        let after = certificate.header.index;
        if self.links.len() >= ROSTERS_KEPT_MAX {
            self.links.pop_front();
        }
        self.links.push_back(Link {
            roster: next,
            hash,
            after,
        });
        Ok(())
    }

    /// Checks a certificate under the roster that it names, which must have
    /// answered for its block. For history: a roster that has a successor
    /// proves what happened in its time.
    ///
    /// # Errors
    /// Why it proves nothing. [`RosterChainError::Unknown`] asks for steps.
    pub fn verify(&self, certificate: &Certificate) -> Result<&Roster, RosterChainError> {
        let header = &certificate.header;
        if header.cluster != self.cluster {
            return Err(CertificateError::Cluster.into());
        }
        let position = self
            .position(&header.roster)
            .ok_or(RosterChainError::Unknown(header.roster))?;
        let link = &self.links[position];
        let last = self
            .links
            .get(position + 1)
            .map_or(u64::MAX, |next| next.after);
        if header.index <= link.after || header.index > last {
            return Err(RosterChainError::Outside {
                index: header.index,
                first: link.after.saturating_add(1),
                last,
            });
        }
        certificate.verify(&link.roster, &self.cluster)?;
        Ok(&link.roster)
    }

    /// Checks a certificate that something is to be done for: only the newest
    /// known roster can order it.
    ///
    /// # Errors
    /// As [`RosterChain::verify`], and where the roster has a successor.
    pub fn verify_newest(&self, certificate: &Certificate) -> Result<&Roster, RosterChainError> {
        let newest = self.last();
        if let Some(position) = self.position(&certificate.header.roster)
            && position + 1 < self.links.len()
        {
            return Err(RosterChainError::Superseded {
                of: self.links[position].roster.number,
                newest: newest.roster.number,
            });
        }
        self.verify(certificate)
    }

    /// The one encoding, closed by a check digest against damage on disk.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u16(CHAIN_VERSION);
        out.digest(&self.cluster.0);
        out.count(self.links.len());
        for link in &self.links {
            out.u64(link.after);
            link.roster.write(&mut out);
        }
        let mut bytes = out.finish();
        let check = sha256(CHECK_DOMAIN, &[&bytes]);
        bytes.extend_from_slice(&check.0);
        bytes
    }

    /// Reads a chain that this holder has written.
    ///
    /// # Errors
    /// Where the bytes are damaged or no chain.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let cut = bytes
            .len()
            .checked_sub(DIGEST_BYTES)
            .ok_or(DecodeError::Short)?;
        let (content, check) = bytes.split_at(cut);
        if sha256(CHECK_DOMAIN, &[content]).0 != *check {
            return Err(DecodeError::NotCanonical("the check digest"));
        }
        let mut input = Reader::new(Bytes::copy_from_slice(content));
        let version = input.u16()?;
        if version != CHAIN_VERSION {
            return Err(DecodeError::Version(version));
        }
        let cluster = ClusterId(input.digest()?);
        let count = input.count("rosters of a chain", ROSTERS_KEPT_MAX)?;
        let mut links: VecDeque<Link> = VecDeque::with_capacity(count);
        for _ in 0..count {
            let after = input.u64()?;
            let roster = Roster::read(&mut input)?;
            let follows = links.back().is_none_or(|last| {
                last.after < after && last.roster.number.checked_add(1) == Some(roster.number)
            });
            if !follows {
                return Err(DecodeError::NotCanonical("the order of the rosters"));
            }
            links.push_back(Link {
                hash: roster.hash(),
                roster,
                after,
            });
        }
        input.end()?;
        if links.is_empty() {
            return Err(DecodeError::NotCanonical("a chain without a roster"));
        }
        Ok(Self { cluster, links })
    }

    fn last(&self) -> &Link {
        let Some(last) = self.links.back() else {
            unreachable!("a chain begins with a roster and never loses its last one")
        };
        last
    }

    /// The newest roster with this hash: hashes cover the number, so there is one.
    fn position(&self, roster: &Digest) -> Option<usize> {
        self.links.iter().rposition(|link| link.hash == *roster)
    }
}
