//! Carry bytes: gossip and the pub/sub bus over ZeroMQ with CURVE.
//!
//! Three services, each started from a plain config, and each frees its ports
//! when it stops:
//!
//! - [`zap`] decides which CURVE keys may connect at all, on a thread of its own;
//! - [`gossip`] carries consensus messages between the nodes, on the thread of
//!   whoever polls it;
//! - [`bus`] fans certified frames out and answers requests at the door, on
//!   threads of its own.
//!
//! Invariants. The sender of a message is the owner of the CURVE key that the
//! handshake proved, never a field of the message. Every socket, queue and
//! cache has a limit from [`limits`]. Bytes from a peer never end a thread:
//! what cannot be used is counted by reason and dropped. Units are bytes and
//! milliseconds.
//!
//! Deliberately absent: meaning. Nothing here decodes a consensus message or a
//! bus frame, knows a height, or retries: consensus and subscribers notice a
//! loss themselves and ask again. One limit is libzmq's own and not ours to
//! set: an authenticated peer may send a message of very many parts.

pub mod bus;
mod error;
pub mod gossip;
pub mod limits;
mod monitor;
mod received;
mod socket;
pub mod wake;
pub mod zap;

pub use error::NetError;
pub use socket::curve_public;
