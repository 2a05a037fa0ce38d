//! Decide who holds which right.
//!
//! Today this room holds the keys of one party ([`Identity`]): an Ed25519 seed
//! that signs actions, events and blocks, and a CurveZMQ secret that opens the
//! wire. Nodes, agents and tools all keep theirs in the same kind of file
//! ([`key_file`]). What a key may do is decided by the ledger, never here.
//!
//! Deliberately absent: verification of action signatures (the ledger does it
//! under ZIP-215 rules, so that every node has one verdict), and any secret in
//! a `Debug` text.

mod identity;
pub mod key_file;

pub use identity::{Identity, IdentityError, curve_public_of, fresh_request_id};
pub use key_file::KeyFileError;
