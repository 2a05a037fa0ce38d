//! Follow the federation's bus: subscribe, verify, replay, submit.
//!
//! The client side of a node's bus and door, for effects and machine agents.
//! [`Follower`] hands out each certified frame once, in order per topic;
//! [`Door`] hands in signed actions. Both speak CurveZMQ with pinned server
//! keys and move to the next node when one does not answer.
//!
//! Invariants
//! - Nothing is handed out that a certificate of the roster and a Merkle path
//!   do not cover ([`verify`]). A node that lies can only withhold.
//! - The roster of today is reached from that of the genesis step by step, each
//!   signed by a quorum of the one before ([`Rosters`]).
//! - What one node withholds another one replays: a frame names the frame of
//!   its topic before it, so a hole is seen and asked for by name.
//! - Nothing is waited for that nobody has: where a quorum of those that are
//!   followed has forgotten what comes next, [`Follower::forgotten`] says so and
//!   from where on there is something. Whoever follows decides what to do:
//!   [`Follower::skip_to`], after reading facts ([`Door::facts`]) or without.
//! - Every buffer is bounded. What finds no room is dropped and counted, and
//!   comes back by replay.
//!
//! Deliberately absent: threads (the caller's thread drives [`Follower::next`]),
//! storage of positions, and knowledge of any event's meaning.

mod bell;
mod counters;
mod crash;
mod door;
mod federation;
mod follower;
mod places;
mod position;
mod replay;
mod rosters;
pub mod sequence;
mod socket;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod verify;

pub use bell::{Bell, Waker};
pub use counters::Counters;
pub use crash::CRASH_POINTS;
pub use door::{Door, DoorError};
pub use federation::{Federation, FederationError, NodeEndpoint};
pub use follower::{FollowError, Follower, FollowerConfig};
pub use places::Places;
pub use position::{Position, Verified};
pub use replay::Forgotten;
pub use rosters::{Rosters, RostersError, StepError};
