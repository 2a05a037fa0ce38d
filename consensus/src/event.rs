//! Signed events: the vertices of the graph.
//!
//! An event is encoded as header, signature, transactions. The signature and
//! the id cover the header only, which names the digest of the transactions:
//! so a fork can be proven without shipping the payload. The id does not cover
//! the signature. A first event has seq 0 and no self-parent.

use bytes::Bytes;

use crate::codec::{DecodeError, Reader, Writer};
pub use crate::fork::{ForkProof, SignedHeader};

use crate::crypto::{Check, PreparedKey, Scheme, Signer, sha256};
use crate::id::{Digest, NodeIndex, Signature, Timestamp};
use crate::limits::Limits;
use crate::roster::{ROSTER_MEMBERS_MAX, Roster};

/// The format version of events made here.
pub const EVENT_VERSION: u16 = 1;
const SIGNATURE_DOMAIN: &[u8] = b"dctrl/event/1\0";
const ID_DOMAIN: &[u8] = b"dctrl/event-id/1\0";
const PAYLOAD_DOMAIN: &[u8] = b"dctrl/event-payload/1\0";

/// An other-parent: at most one per creator, never one of the event's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParentRef {
    /// Who made the parent.
    pub creator: NodeIndex,
    /// Its sequence number, so that it can be asked for.
    pub seq: u64,
    /// Its id.
    pub id: Digest,
}

/// What an event's creator signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventHeader {
    /// What binds the event to its epoch and federation; see
    /// [`EpochStart::anchor`](crate::EpochStart::anchor).
    pub anchor: Digest,
    /// The number of the epoch.
    pub epoch: u64,
    /// Who made the event.
    pub creator: NodeIndex,
    /// Its place in the creator's chain, from 0.
    pub seq: u64,
    /// The creator's clock; above that of the self-parent.
    pub timestamp: Timestamp,
    /// Random bits; the lowest one is the coin of a coin round.
    pub coin: u32,
    /// The event before in the creator's chain; `None` exactly where seq is 0.
    pub self_parent: Option<Digest>,
    /// Ascending by creator.
    pub other_parents: Vec<ParentRef>,
    /// How many transactions the event carries.
    pub transaction_count: usize,
    /// The digest of the transactions.
    pub payload_digest: Digest,
}

/// Why an event cannot be one of this federation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EventProblem {
    /// It is of another federation or epoch.
    #[error("the event is of another federation or epoch")]
    OtherEpoch,
    /// Its creator or a parent's creator is not in the roster.
    #[error("node {0} is not in the roster")]
    Stranger(NodeIndex),
    /// Its signature does not hold.
    #[error("the signature of {0} does not hold")]
    Signature(NodeIndex),
}

impl EventHeader {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(160 + self.other_parents.len() * 42);
        out.u16(EVENT_VERSION);
        out.digest(&self.anchor);
        out.u64(self.epoch);
        out.node(self.creator);
        out.u64(self.seq);
        out.u64(self.timestamp.0);
        out.u32(self.coin);
        if let Some(self_parent) = &self.self_parent {
            out.digest(self_parent);
        }
        out.count(self.other_parents.len());
        for parent in &self.other_parents {
            out.node(parent.creator);
            out.u64(parent.seq);
            out.digest(&parent.id);
        }
        out.count(self.transaction_count);
        out.digest(&self.payload_digest);
        out.finish()
    }

    pub(crate) fn read(input: &mut Reader, limits: &Limits) -> Result<Self, DecodeError> {
        let version = input.u16()?;
        if version != EVENT_VERSION {
            return Err(DecodeError::Version(version));
        }
        let anchor = input.digest()?;
        let epoch = input.u64()?;
        let creator = input.node()?;
        let seq = input.u64()?;
        let timestamp = input.timestamp()?;
        let coin = input.u32()?;
        let self_parent = if seq == 0 {
            None
        } else {
            Some(input.digest()?)
        };
        let count = input.count("parents", ROSTER_MEMBERS_MAX)?;
        let mut other_parents: Vec<ParentRef> = Vec::with_capacity(count);
        for _ in 0..count {
            let parent = ParentRef {
                creator: input.node()?,
                seq: input.u64()?,
                id: input.digest()?,
            };
            let ascending = other_parents
                .last()
                .is_none_or(|last| last.creator < parent.creator);
            if !ascending || parent.creator == creator {
                return Err(DecodeError::NotCanonical("the list of parents"));
            }
            other_parents.push(parent);
        }
        let transaction_count =
            input.count("event_transactions_max", limits.event_transactions_max)?;
        let payload_digest = input.digest()?;
        Ok(Self {
            anchor,
            epoch,
            creator,
            seq,
            timestamp,
            coin,
            self_parent,
            other_parents,
            transaction_count,
            payload_digest,
        })
    }

    /// Whether the event names members of this roster only.
    pub(crate) fn check(&self, roster: &Roster) -> Result<(), EventProblem> {
        let parents = self.other_parents.iter().map(|parent| parent.creator);
        match parents
            .chain([self.creator])
            .find(|node| roster.key(*node).is_none())
        {
            Some(stranger) => Err(EventProblem::Stranger(stranger)),
            None => Ok(()),
        }
    }
}

/// A signed event as it travels and as it is logged; never re-encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    id: Digest,
    header: EventHeader,
    transactions: Vec<Bytes>,
    encoded: Bytes,
    header_bytes: usize,
}

impl Event {
    /// Makes and signs an event. The header's count and digest of transactions
    /// are filled in from `transactions`.
    #[must_use]
    pub fn create(mut header: EventHeader, transactions: &[Bytes], signer: &dyn Signer) -> Self {
        header.transaction_count = transactions.len();
        header.payload_digest = payload_digest(transactions);
        let head = header.encode();
        let signature = signer.sign(&[SIGNATURE_DOMAIN, &head].concat());
        let header_bytes = head.len();
        let payload: usize = transactions.iter().map(|each| 4 + each.len()).sum();
        let mut out = Writer::with_capacity(header_bytes + 64 + payload);
        out.raw(&head);
        out.signature(&signature);
        for transaction in transactions {
            out.blob(transaction);
        }
        let id = sha256(ID_DOMAIN, &[&head]);
        let encoded = Bytes::from(out.finish());
        // The transactions share the memory of the encoding from here on.
        let mut at = header_bytes + 64;
        let share = |transaction: &Bytes| {
            at += 4 + transaction.len();
            encoded.slice(at - transaction.len()..at)
        };
        let transactions = transactions.iter().map(share).collect();
        Self {
            id,
            header,
            transactions,
            encoded,
            header_bytes,
        }
    }

    /// Reads an encoded event; transactions share its memory. Checks form and
    /// payload digest, not the signature.
    ///
    /// # Errors
    /// Where the bytes are not exactly one canonical event within the limits.
    pub fn decode(encoded: &Bytes, limits: &Limits) -> Result<Self, DecodeError> {
        if encoded.len() > limits.event_bytes_max {
            return Err(DecodeError::TooLarge {
                what: "event_bytes_max",
                actual: encoded.len() as u64,
                bound: limits.event_bytes_max as u64,
            });
        }
        let mut input = Reader::new(encoded.clone());
        let header = EventHeader::read(&mut input, limits)?;
        let header_bytes = encoded.len() - input.remaining();
        input.signature()?;
        let mut transactions = Vec::with_capacity(header.transaction_count);
        for _ in 0..header.transaction_count {
            let transaction = input.blob("transaction_bytes_max", limits.transaction_bytes_max)?;
            if transaction.is_empty() {
                return Err(DecodeError::NotCanonical("an empty transaction"));
            }
            transactions.push(transaction);
        }
        input.end()?;
        let payload = &encoded[header_bytes + 64..];
        if sha256(PAYLOAD_DOMAIN, &[payload]) != header.payload_digest {
            return Err(DecodeError::NotCanonical("the digest of the transactions"));
        }
        let id = sha256(ID_DOMAIN, &[&encoded[..header_bytes]]);
        Ok(Self {
            id,
            header,
            transactions,
            encoded: encoded.clone(),
            header_bytes,
        })
    }

    /// The event's id: a digest of what its creator signed.
    #[must_use]
    pub fn id(&self) -> Digest {
        self.id
    }

    /// What the creator signed.
    #[must_use]
    pub fn header(&self) -> &EventHeader {
        &self.header
    }

    /// The payload, in the creator's order.
    #[must_use]
    pub fn transactions(&self) -> &[Bytes] {
        &self.transactions
    }

    /// The bytes that travel and that are logged.
    #[must_use]
    pub fn encoded(&self) -> &Bytes {
        &self.encoded
    }

    /// The header with its signature: half of a fork's proof.
    #[must_use]
    pub fn signed_header(&self) -> SignedHeader {
        SignedHeader {
            bytes: self.encoded.slice(..self.header_bytes + 64),
        }
    }

    /// Its creator's signature.
    #[must_use]
    pub fn signature(&self) -> Signature {
        signature_of(self.signed_bytes())
    }

    /// The header and the signature behind it.
    pub(crate) fn signed_bytes(&self) -> &[u8] {
        &self.encoded[..self.header_bytes + 64]
    }

    /// Checks that a member of this federation made and signed the event.
    ///
    /// # Errors
    /// The first reason why it did not.
    pub fn verify(&self, roster: &Roster) -> Result<(), EventProblem> {
        self.verify_by(Scheme::Ed25519, roster)
    }

    /// The same in a federation that signs by this scheme.
    ///
    /// # Errors
    /// The first reason why it did not.
    pub fn verify_by(&self, scheme: Scheme, roster: &Roster) -> Result<(), EventProblem> {
        verify_header(&self.header, self.signed_bytes(), scheme, roster)
    }
}

pub(crate) fn verify_header(
    header: &EventHeader,
    signed: &[u8],
    scheme: Scheme,
    roster: &Roster,
) -> Result<(), EventProblem> {
    header.check(roster)?;
    let head = &signed[..signed.len() - 64];
    let key = roster
        .key(header.creator)
        .ok_or(EventProblem::Stranger(header.creator))?;
    let signed_bytes = [SIGNATURE_DOMAIN, head].concat();
    if scheme.verify(key, &signed_bytes, &signature_of(signed)) {
        Ok(())
    } else {
        Err(EventProblem::Signature(header.creator))
    }
}

/// What a batch checks of a header with its signature.
pub(crate) fn header_check(key: &PreparedKey, signed: &[u8]) -> Check {
    let head = &signed[..signed.len() - 64];
    Check::new(key, &[SIGNATURE_DOMAIN, head], &signature_of(signed))
}

/// The last 64 bytes of a signed header.
fn signature_of(signed: &[u8]) -> Signature {
    let mut signature = [0; 64];
    signature.copy_from_slice(&signed[signed.len() - 64..]);
    Signature(signature)
}

fn payload_digest(transactions: &[Bytes]) -> Digest {
    // As they are encoded, without a copy of them.
    let length = |transaction: &Bytes| {
        let mut out = Writer::with_capacity(4);
        out.count(transaction.len());
        out.finish()
    };
    let lengths: Vec<Vec<u8>> = transactions.iter().map(length).collect();
    let both = lengths.iter().zip(transactions);
    let parts: Vec<&[u8]> = both
        .flat_map(|(length, transaction)| [&length[..], &transaction[..]])
        .collect();
    sha256(PAYLOAD_DOMAIN, &parts)
}
