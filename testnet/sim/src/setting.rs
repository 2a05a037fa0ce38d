//! What all processes of one run are told alike.

use bytes::Bytes;
use dctrl_consensus::crypto::{Ed25519Signer, Signer, sha256};
use dctrl_consensus::event::{Event, EventHeader, ParentRef};
use dctrl_consensus::message::{self, Message, VerifiedMessage};
use dctrl_consensus::{
    Certificate, ClusterId, Config, Digest, EpochStart, Limits, NodeIndex, NullSigner, Ordering,
    Pace, Roster, Scheme, Timestamp,
};

use crate::people::{People, Seat, index, key_seed};

/// The federation of one run.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) cluster: ClusterId,
    pub(crate) people: People,
    /// The first roster.
    pub(crate) genesis: Roster,
    pub(crate) ordering: Ordering,
    pub(crate) limits: Limits,
    pub(crate) pace: Pace,
    /// Whether signatures are made and verified as in production.
    pub(crate) real_signatures: bool,
    /// Seats that are not sound, one bit each: no roster may hold more of them
    /// than it can bear, which the application sees to.
    pub(crate) faulty: u32,
}

impl Setting {
    pub(crate) fn new(nodes: usize, ordering: Ordering, real_signatures: bool) -> Self {
        Self::with_spares(nodes, 0, ordering, real_signatures)
    }

    /// With people who are no members at the start.
    pub(crate) fn with_spares(
        nodes: usize,
        spares: usize,
        ordering: Ordering,
        real_signatures: bool,
    ) -> Self {
        let people = People::new(nodes + spares);
        let members: Vec<Seat> = (0..nodes).collect();
        Self {
            cluster: ClusterId(sha256(b"dctrl-sim\0", &[])),
            genesis: people.roster(0, &members),
            people,
            ordering,
            // One epoch lasts as long as the run, unless it is told to seal.
            limits: Limits {
                seal_layers: u64::MAX,
                seal_bytes: usize::MAX,
                ..Limits::STANDARD
            },
            pace: Pace::default(),
            real_signatures,
            faulty: 0,
        }
    }

    /// With epochs that end in this layer.
    pub(crate) fn sealing(mut self, layers: u64) -> Self {
        self.limits.seal_layers = layers;
        self
    }

    /// With the smallest bounds under which a federation of this size can work.
    pub(crate) fn tight(mut self) -> Self {
        self.limits = Limits {
            orphan_events_max: 24,
            twins_max: 4,
            branches_brought_max: 2 * self.people.len(),
            request_events_max: 16,
            request_hashes_max: 4,
            message_signatures_max: 8,
            signature_window: 16,
            unexecuted_blocks_max: 4,
            ..self.limits
        };
        self
    }

    pub(crate) fn scheme(&self) -> Scheme {
        if self.real_signatures {
            Scheme::Ed25519
        } else {
            Scheme::Null
        }
    }

    pub(crate) fn config(&self, seat: Seat) -> Config {
        Config {
            cluster: self.cluster,
            roster: self.genesis.clone(),
            instance: 0,
            coin_seed: [index(seat).0.to_be_bytes()[1]; 32],
            limits: self.limits,
            pace: self.pace,
            ordering: self.ordering,
            scheme: self.scheme(),
        }
    }

    pub(crate) fn signer(&self, seat: Seat) -> Box<dyn Signer> {
        if self.real_signatures {
            Box::new(Ed25519Signer::from_seed(&key_seed(seat)))
        } else {
            Box::new(NullSigner(self.people.key(seat)))
        }
    }

    /// What the first door of a node makes of bytes from the network.
    pub(crate) fn decode(&self, bytes: &[u8]) -> Option<Message> {
        message::decode(bytes, &self.limits).ok()
    }

    /// What the second door, which knows the epoch, lets pass.
    pub(crate) fn verify(&self, message: Message, epoch: &EpochStart) -> Option<VerifiedMessage> {
        message.verify_by(self.scheme(), epoch).ok()
    }

    /// An event of a liar, by its own rules, signed with its own key.
    pub(crate) fn craft(&self, seat: Seat, part: Crafted, payload: &[Bytes]) -> Event {
        let header = EventHeader {
            anchor: part.anchor,
            epoch: part.epoch,
            creator: part.creator,
            seq: part.seq,
            timestamp: part.timestamp,
            coin: 0,
            self_parent: part.self_parent,
            other_parents: part.other_parents,
            transaction_count: 0,
            payload_digest: Digest::ZERO,
        };
        Event::create(header, payload, &*self.signer(seat))
    }

    pub(crate) fn first_epoch(&self) -> EpochStart {
        EpochStart {
            epoch: 0,
            anchor: self.cluster.0,
            roster: self.genesis.clone(),
            me: None,
        }
    }

    /// Whether the certificate holds for whoever knows its roster alone.
    pub(crate) fn proves(&self, certificate: &Certificate, roster: &Roster) -> bool {
        let verified = certificate.verify_by(self.scheme(), roster, &self.cluster);
        verified.is_ok()
    }

    /// Whether a roster of these seats can bear those of them that are faulty.
    pub(crate) fn bears(&self, seats: &[Seat]) -> bool {
        let faulty = seats.iter().filter(|seat| (self.faulty >> **seat) & 1 == 1);
        !seats.is_empty() && faulty.count() <= (seats.len() - 1) / 3
    }
}

/// What a liar chooses about an event.
#[derive(Debug, Clone)]
pub(crate) struct Crafted {
    pub(crate) creator: NodeIndex,
    pub(crate) epoch: u64,
    /// What binds it to the epoch.
    pub(crate) anchor: Digest,
    pub(crate) seq: u64,
    pub(crate) timestamp: Timestamp,
    pub(crate) self_parent: Option<Digest>,
    pub(crate) other_parents: Vec<ParentRef>,
}
