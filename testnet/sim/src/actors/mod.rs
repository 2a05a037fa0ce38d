//! Byzantine nodes, each a small struct named by its lie.
//!
//! An [`Actor`] holds a key and may do with it what it likes: run real cores
//! and mangle what goes in and out ([`mask`]), or make events of its own
//! ([`crafter`]). It cannot sign for others: what it makes up it makes up
//! under its own key, and what it repeats others have said.

mod ancient;
mod bomber;
mod crafter;
mod forker;
mod liars;
mod mask;
mod poisoner;
mod roster;
mod stage;
mod sync_liar;
mod wrong_parent;

pub(crate) use forker::blinded;
pub(crate) use stage::{Act, Stage};

use bytes::Bytes;
use dctrl_consensus::Message;

use crate::engine::Seat;
use crate::prng::Prng;
use mask::Masked;

/// A node that need not follow the rules.
pub(crate) trait Actor {
    /// The run begins.
    fn start(&mut self, stage: &mut Stage<'_>);
    /// A message came in.
    fn hear(&mut self, from: Seat, message: Message, stage: &mut Stage<'_>);
    /// A wake that the actor asked for.
    fn wake(&mut self, stage: &mut Stage<'_>);
    /// A user submits an action here. Nobody expects that it is ever ordered.
    fn submit(&mut self, transaction: Bytes, stage: &mut Stage<'_>);
}

/// Which lie an actor tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    Silent,
    Withholder,
    Delayer,
    Replayer,
    TimestampSkewer,
    WrongParent,
    AncientEvent,
    Forker,
    ForkBomber,
    SyncLiar,
    Censor,
    CertificateWithholder,
    ChainLiar,
    Babbler,
    RosterAttacker,
    SnapshotPoisoner,
    /// One of too many: forks as the others do, with two stories for the two
    /// sides that the bits of the seats make.
    Colluder(u32),
}

impl Lie {
    /// What up to f nodes may do.
    pub(crate) const ALL: [Self; 16] = [
        Self::Silent,
        Self::Withholder,
        Self::Delayer,
        Self::Replayer,
        Self::TimestampSkewer,
        Self::WrongParent,
        Self::AncientEvent,
        Self::Forker,
        Self::ForkBomber,
        Self::SyncLiar,
        Self::Censor,
        Self::CertificateWithholder,
        Self::ChainLiar,
        Self::Babbler,
        Self::RosterAttacker,
        Self::SnapshotPoisoner,
    ];

    pub(crate) fn any(chance: &mut Prng) -> Self {
        let at = usize::try_from(chance.below(Self::ALL.len() as u64)).unwrap_or(0);
        Self::ALL[at]
    }

    /// The actor that tells this lie.
    pub(crate) fn actor(self, stage: &mut Stage<'_>) -> Box<dyn Actor> {
        match self {
            Self::Silent => Box::new(Masked::new(liars::Silent, stage)),
            Self::Withholder => {
                let lucky = liars::Withholder::new(stage);
                Box::new(Masked::new(lucky, stage))
            }
            Self::Delayer => Box::new(Masked::new(liars::Delayer, stage)),
            Self::Replayer => Box::new(Masked::new(liars::Replayer::default(), stage)),
            Self::TimestampSkewer => {
                let skewer = liars::TimestampSkewer::new(stage);
                Box::new(Masked::new(skewer, stage))
            }
            Self::SyncLiar => Box::new(Masked::new(sync_liar::SyncLiar, stage)),
            Self::Censor => {
                let censor = liars::Censor::new(stage);
                Box::new(Masked::new(censor, stage))
            }
            Self::CertificateWithholder => {
                Box::new(Masked::new(liars::CertificateWithholder, stage))
            }
            Self::ChainLiar => Box::new(Masked::new(liars::ChainLiar, stage)),
            Self::Babbler => Box::new(Masked::new(liars::Babbler, stage)),
            Self::RosterAttacker => Box::new(Masked::new(roster::RosterAttacker::default(), stage)),
            Self::SnapshotPoisoner => Box::new(Masked::new(poisoner::SnapshotPoisoner, stage)),
            Self::Forker => Box::new(forker::Forker::new(stage)),
            Self::Colluder(sides) => Box::new(forker::Forker::colluding(sides, stage)),
            Self::WrongParent => Box::new(wrong_parent::WrongParent::new(stage)),
            Self::AncientEvent => Box::new(ancient::AncientEvent::new(stage)),
            Self::ForkBomber => Box::new(bomber::ForkBomber::new(stage)),
        }
    }
}
