//! Order opaque payloads among equal nodes.
//!
//! A pure engine: [`Core::step`] takes the time and one [`Input`] and returns
//! [`Output`]s for a driver to perform. There is no thread, socket, clock, disk
//! or random source in here, so a whole federation runs in one deterministic
//! simulation.
//!
//! The rules are those of the hashgraph (Baird 2016, Swirlds TR-2016-01): nodes
//! gossip signed events that name several parents; each node derives from its
//! copy of the graph, without any further message, which events came first.
//!
//! What flows where: bytes → [`message`] (decode), [`Verifier`] → `orphans` (parents
//! there? else `repair`) → `dag` (insert, ancestry, forks) → `election` (rounds or layers,
//! witnesses, fame) → `order` (received rounds, times, blocks) → driver executes →
//! `finality` (header signatures) → [`Certificate`]. `emit` decides when this
//! node makes an event of its own.
//!
//! Invariants
//! - An own event or block signature is sent only after its record is synced,
//!   so a restarted node never contradicts itself. After a start it makes no
//!   event before a quorum has confirmed that its log is not older than that.
//! - Validity, rounds, fame and order are functions of an event's ancestry
//!   only, never of arrival order or local time.
//! - No recursion over the graph, and a named bound on all that peers can grow.
//!
//! - A graph lives for one epoch: a block that changes the members seals it, and
//!   so does the first one behind a bound of layers or bytes. So memory is
//!   bounded by the epoch (payload included), and no quorum spans two rosters.
//!
//! - A node that was away comes back by one of three ways: events of the same
//!   epoch, final blocks with their certificates, or the state of a seal that a
//!   quorum has signed ([`snapshot`]).
//!
//! Deliberately absent: leaders, and membership changes within an epoch.

mod block;
mod catch_up;
pub mod certificate;
mod codec;
mod core;
pub mod crypto;
mod dag;
mod early;
mod election;
mod emit;
mod engine;
pub mod event;
pub mod explain;
mod finality;
mod fork;
mod id;
mod install;
mod interface;
mod limits;
pub mod merkle;
pub mod message;
mod node_set;
mod order;
mod ordering;
mod orphans;
mod pool;
mod record;
mod repair;
mod roster;
pub mod snapshot;
mod take_over;
mod tally;
mod verify;
mod weights;

pub use block::{Block, Origin, Piece, Transaction};
pub use catch_up::{BlockProblem, FinalBlock};
pub use certificate::{
    BlockHeader, Certificate, CertificateError, RosterChain, RosterChainError, RosterStep,
};
pub use codec::DecodeError;
pub use core::Core;
pub use crypto::{Ed25519Signer, NullSigner, Scheme, Signer};
pub use engine::{Engine, Progress};
pub use event::{Event, ForkProof};
pub use id::{ClusterId, Digest, NodeIndex, PublicKey, Signature, Timestamp};
pub use install::{Finish, Install, InstallProgress};
pub use interface::{
    Config, EpochStart, Executed, Input, Outcome, Output, Recipient, Record, RecordProblem,
    RefusalReason, RestoreError, Summary,
};
pub use limits::{ENTRUSTED_BYTES_MAX, Limits, Pace};
pub use message::{Message, VerifiedMessage};
pub use ordering::{OrderRule, Ordering, Profile};
pub use roster::{MEMBER_NAME_BYTES_MAX, ROSTER_MEMBERS_MAX, Roster, RosterError, RosterMember};
pub use verify::Verifier;

#[cfg(test)]
mod tests;
