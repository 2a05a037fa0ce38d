//! The notifiers of one node: the real sight of the chain, the price, and the
//! deadlines of the ledger.
//!
//! Mirrored is the outbox at the door: an observation is handed in again until
//! the ledger has it, and one that has expired is said anew. The node's own
//! notifier reads the frames of its node's store in order, so that it has no
//! gaps; those of the bus are the machines' (`bus`).

use std::collections::BTreeMap;

use dctrl_effects::chain::sight::{Sight, Subject};
use dctrl_proto::v1::SignedAction;

/// What an observation is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About {
    Chain(Subject),
    Price,
    Deadline,
}

/// An observation on its way.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) id: [u8; 32],
    pub(super) action: SignedAction,
    pub(super) expires_at_ms: u64,
    pub(super) due: u64,
}

/// The notifiers of a running node.
pub(super) struct Notifier {
    pub(super) sight: Sight,
    /// Frames up to this height have been read.
    pub(super) read: u64,
    pub(super) outbox: BTreeMap<About, Said>,
    /// When the backend is asked again.
    pub(super) ask_at: u64,
    pub(super) price_at: u64,
    pub(super) scan_at: u64,
    /// When the next beat is due.
    pub(super) beat_at: u64,
}

impl Notifier {
    pub(super) fn new() -> Self {
        Self {
            sight: Sight::regtest(None, 1_008),
            read: 0,
            outbox: BTreeMap::new(),
            ask_at: 0,
            price_at: 0,
            scan_at: 0,
            beat_at: 0,
        }
    }
}
