//! The one place where the simulator touches the core's door.
//!
//! Everything else speaks of seats (whose place in the federation a process
//! takes), of stimuli and of effects. Whoever changes the core's inputs and
//! outputs changes this file, and the simulator follows.

use bytes::Bytes;
use dctrl_consensus::crypto::{Ed25519Signer, Signer};
use dctrl_consensus::event::{Event, EventHeader};
use dctrl_consensus::explain::Window;
use dctrl_consensus::message::{self, Message};
use dctrl_consensus::{
    Block, BlockHeader, Certificate, ClusterId, Config, Core, Digest, EpochStart, Executed, Input,
    Limits, NodeIndex, NullSigner, Ordering, Outcome, Output, Pace, PublicKey, Recipient, Record,
    RefusalReason, RestoreError, Roster, RosterMember, Scheme, Summary, Timestamp,
};

/// The place in the federation that a process takes.
pub(crate) type Seat = usize;

/// What all processes of one run are told alike.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) cluster: ClusterId,
    pub(crate) roster: Roster,
    pub(crate) ordering: Ordering,
    pub(crate) limits: Limits,
    pub(crate) pace: Pace,
    /// Whether signatures are made and verified as in production.
    pub(crate) real_signatures: bool,
}

/// What a core is told.
#[derive(Debug)]
pub(crate) enum Stimulus {
    Submit(Bytes),
    Hear { from: Seat, message: Message },
    Wake,
    Persisted(u64),
    Executed { index: u64, state: Digest },
}

/// What a core wants done.
#[allow(
    clippy::large_enum_variant,
    reason = "effects are few and performed at once"
)]
#[derive(Debug)]
pub(crate) enum Effect {
    Record {
        number: u64,
        bytes: Vec<u8>,
    },
    /// To one seat, or to all others.
    Send {
        to: Option<Seat>,
        bytes: Bytes,
    },
    Execute(Block),
    Final(Certificate),
    ForkProven(Seat),
    Diverged(u64),
    Amnesia(u64),
    /// The number of the epoch that begins.
    Epoch(u64),
    /// Records up to this number are not needed any more.
    Prune(u64),
    ServeBlocks {
        to: Seat,
        index: u64,
        offset: u64,
    },
    Refused(RefusalReason),
    WakeAt(Timestamp),
}

impl Setting {
    pub(crate) fn new(nodes: usize, ordering: Ordering, real_signatures: bool) -> Self {
        Self {
            cluster: ClusterId(dctrl_consensus::crypto::sha256(b"dctrl-sim\0", &[])),
            roster: roster(nodes),
            ordering,
            // One epoch lasts as long as the run, unless it is told to seal.
            limits: Limits {
                seal_layers: u64::MAX,
                seal_bytes: usize::MAX,
                ..Limits::STANDARD
            },
            pace: Pace::default(),
            real_signatures,
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
            branches_brought_max: 2 * self.roster.len(),
            request_events_max: 16,
            request_hashes_max: 4,
            message_signatures_max: 8,
            signature_window: 16,
            unexecuted_blocks_max: 4,
            ..self.limits
        };
        self
    }

    fn config(&self, seat: Seat) -> Config {
        let me = index(seat);
        Config {
            cluster: self.cluster,
            roster: self.roster.clone(),
            coin_seed: [me.0.to_be_bytes()[1]; 32],
            limits: self.limits,
            pace: self.pace,
            ordering: self.ordering,
            scheme: if self.real_signatures {
                Scheme::Ed25519
            } else {
                Scheme::Null
            },
        }
    }

    pub(crate) fn signer(&self, seat: Seat) -> Box<dyn Signer> {
        if self.real_signatures {
            Box::new(Ed25519Signer::from_seed(&key_seed(seat)))
        } else {
            Box::new(NullSigner(self.roster.members[seat].key))
        }
    }

    /// What the door of a node makes of bytes from the network.
    pub(crate) fn decode(&self, bytes: &[u8]) -> Option<Message> {
        let message = message::decode(bytes, &self.limits).ok()?;
        if self.real_signatures {
            let verified = message.clone().verify(&self.first_epoch());
            return verified.is_ok().then_some(message);
        }
        Some(message)
    }

    /// An event of a liar, by its own rules. The header's place, parents and
    /// time are the liar's; cluster and epoch are right.
    pub(crate) fn craft(&self, seat: Seat, part: Crafted, payload: &[Bytes]) -> Event {
        let header = EventHeader {
            anchor: part.anchor.unwrap_or(self.cluster.0),
            epoch: part.epoch,
            creator: index(seat),
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

    /// The header to which a block led at a node.
    pub(crate) fn header(&self, block: &Block, previous: Digest, state: Digest) -> BlockHeader {
        block.header(&self.cluster, &self.roster, previous, &outcome(state))
    }

    fn first_epoch(&self) -> EpochStart {
        EpochStart {
            epoch: 0,
            anchor: self.cluster.0,
            roster: self.roster.clone(),
            me: None,
        }
    }

    /// Whether the certificate holds for whoever knows the roster alone.
    pub(crate) fn proves(&self, certificate: &Certificate) -> bool {
        if self.real_signatures {
            return certificate.verify(&self.roster, &self.cluster).is_ok();
        }
        let bytes = dctrl_consensus::certificate::signing_bytes(&certificate.header.hash());
        let ascending = certificate.signatures.is_sorted_by(|a, b| a.0 < b.0);
        let holds = |(signer, signature): &(NodeIndex, _)| {
            let key = self.roster.key(*signer);
            key.is_some_and(|key| NullSigner(*key).sign(&bytes) == *signature)
        };
        ascending
            && certificate.header.roster == self.roster.hash()
            && certificate.header.cluster == self.cluster
            && certificate.signatures.len() >= self.roster.quorum()
            && certificate.signatures.iter().all(holds)
    }
}

/// What a liar chooses about an event.
#[derive(Debug, Clone)]
pub(crate) struct Crafted {
    pub(crate) epoch: u64,
    /// What binds it to the epoch; `None` in the first one.
    pub(crate) anchor: Option<Digest>,
    pub(crate) seq: u64,
    pub(crate) timestamp: Timestamp,
    pub(crate) self_parent: Option<Digest>,
    pub(crate) other_parents: Vec<dctrl_consensus::event::ParentRef>,
}

/// A real core in a seat.
pub(crate) struct Engine(Core);

impl Engine {
    pub(crate) fn new(setting: &Setting, seat: Seat) -> Self {
        Self(Core::new(setting.config(seat), setting.signer(seat)))
    }

    pub(crate) fn restore(
        setting: &Setting,
        seat: Seat,
        records: Vec<(u64, Vec<u8>)>,
        executed: Option<BlockHeader>,
        now: Timestamp,
    ) -> Result<(Self, Vec<Effect>), RestoreError> {
        let executed = Executed {
            index: executed.as_ref().map_or(0, |header| header.index),
            last_header: executed,
        };
        let config = setting.config(seat);
        let records = records.into_iter();
        let records = records.map(|(number, bytes)| Record { number, bytes });
        let (core, outputs) = Core::restore(config, setting.signer(seat), records, executed, now)?;
        let engine = Self(core);
        let effects = engine.effects(outputs);
        Ok((engine, effects))
    }

    pub(crate) fn step(&mut self, now: Timestamp, stimulus: Stimulus) -> Vec<Effect> {
        let input = match stimulus {
            Stimulus::Submit(bytes) => Input::Submit(bytes),
            Stimulus::Hear { from, message } => Input::Receive {
                from: self.0.epoch().roster.members[from].key,
                message: message.assume_verified(),
            },
            Stimulus::Wake => Input::Wake,
            Stimulus::Persisted(through) => Input::Persisted { through },
            Stimulus::Executed { index, state } => Input::Executed {
                index,
                outcome: outcome(state),
            },
        };
        let outputs = self.0.step(now, input);
        self.effects(outputs)
    }

    fn effects(&self, outputs: Vec<Output>) -> Vec<Effect> {
        let roster = &self.0.epoch().roster;
        let effect = |output| effect(output, roster);
        outputs.into_iter().filter_map(effect).collect()
    }

    /// The latest events and what is decided about them, for people.
    pub(crate) fn window(&self, events_max: usize) -> Window {
        self.0.window(events_max)
    }

    pub(crate) fn summary(&self) -> Summary {
        self.0.summary()
    }
}

/// What execution led to; the members stay the same.
fn outcome(state_digest: Digest) -> Outcome {
    Outcome {
        state_digest,
        outputs_root: Digest::ZERO,
        next_roster: None,
    }
}

fn effect(output: Output, roster: &Roster) -> Option<Effect> {
    Some(match output {
        Output::Persist(record) => Effect::Record {
            number: record.number,
            bytes: record.bytes,
        },
        Output::Send { to, message } => Effect::Send {
            to: match to {
                Recipient::All => None,
                Recipient::One(one) => Some(roster.index_of(&one)?.position()),
            },
            bytes: message,
        },
        Output::Execute(block) => Effect::Execute(block),
        Output::Final(certificate) => Effect::Final(certificate),
        Output::Evidence(proof) => Effect::ForkProven(proof.creator().position()),
        Output::Diverged { index, .. } => Effect::Diverged(index),
        Output::Amnesia { seq } => Effect::Amnesia(seq),
        Output::Refused { reason, .. } => Effect::Refused(reason),
        Output::WakeAt(time) => Effect::WakeAt(time),
        Output::Epoch(start) => Effect::Epoch(start.epoch),
        Output::Prune { through } => Effect::Prune(through),
        Output::ServeBlocks { to, index, offset } => Effect::ServeBlocks {
            to: roster.index_of(&to)?.position(),
            index,
            offset,
        },
    })
}

/// The roster's index of a seat.
pub(crate) fn index(seat: Seat) -> NodeIndex {
    NodeIndex(u16::try_from(seat).unwrap_or(u16::MAX))
}

/// The event in a record, if that is what the record holds: its kind is the
/// first byte, and the event is the rest.
pub(crate) fn recorded_event(record: &[u8], limits: &Limits) -> Option<Event> {
    let (kind, rest) = record.split_first()?;
    let event = Bytes::copy_from_slice(rest);
    (*kind == 1).then(|| Event::decode(&event, limits).ok())?
}

fn public_key(seat: Seat) -> PublicKey {
    Ed25519Signer::from_seed(&key_seed(seat)).public_key()
}

fn key_seed(seat: Seat) -> [u8; 32] {
    [u8::try_from(seat + 1).unwrap_or(0); 32]
}

fn roster(nodes: usize) -> Roster {
    let member = |seat: Seat| RosterMember {
        name: index(seat).to_string(),
        key: public_key(seat),
    };
    let Ok(roster) = Roster::new(0, (0..nodes).map(member).collect()) else {
        unreachable!("keys made from distinct seeds are acceptable and distinct")
    };
    roster
}
