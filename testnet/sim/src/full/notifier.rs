//! The notifiers of one node: the real sight of the chain and of payouts, the
//! price, and the deadlines of the ledger.
//!
//! The outbox at the door is the real one, too; its desk is the own node's
//! guard. The node's own notifier reads the frames of its node's store in order, so that it has no
//! gaps; those of the bus are the machines' (`bus`).

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use dctrl_effects::chain::sight::{Sight, Subject};
use dctrl_effects::outbox::{Desk, Outbox};
use dctrl_effects::payout::view::Payouts;
use dctrl_follow::DoorError;
use dctrl_ledger::query;
use dctrl_proto::v1::{Receipt, SignedAction};
use prost::Message;

use super::node::Node;
use super::parties::Judge;
use crate::engine::Seat;

/// How much later each next executor of a payout acts.
const TAKE_OVER_MS: u64 = 10_000;

/// What an observation is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About {
    Chain(Subject),
    Price,
    Deadline,
    Fee,
    Payout(String),
}

/// The own node's door.
pub(super) struct OwnDoor<'a> {
    pub(super) node: &'a Node,
    pub(super) judge: &'a Judge,
    pub(super) now: u64,
    /// What was let in, and is to be ordered.
    pub(super) taken: RefCell<Vec<Bytes>>,
}

impl Desk for OwnDoor<'_> {
    fn submit(&self, action: &SignedAction) -> Result<Option<Receipt>, DoorError> {
        let admitted = self.node.admit(self.now, action, self.judge);
        let admitted = admitted.map_err(DoorError::Refused)?;
        if admitted.already.is_none() {
            let bytes = Bytes::from(action.encode_to_vec());
            self.taken.borrow_mut().push(bytes);
        }
        Ok(admitted.already)
    }

    fn receipt(&self, id: &[u8; 32]) -> Result<Option<Receipt>, DoorError> {
        Ok(query::receipt(&self.node.store.state, id))
    }
}

/// The notifiers of a running node.
pub(super) struct Notifier {
    pub(super) sight: Sight,
    /// Frames up to this height have been read.
    pub(super) read: u64,
    pub(super) outbox: Outbox<About>,
    /// When the backend is asked again.
    pub(super) ask_at: u64,
    pub(super) price_at: u64,
    pub(super) scan_at: u64,
    /// When the next beat is due.
    pub(super) beat_at: u64,
    pub(super) payouts: Payouts,
    /// Of payouts the frames above this height are news; none before the state
    /// was read.
    pub(super) payouts_from: Option<u64>,
    /// When the backend is asked about payouts again, and told of the fee rate.
    pub(super) pay_at: u64,
    pub(super) fee_at: u64,
}

pub(super) fn sight() -> Sight {
    Sight::regtest(None, 1_008)
}

pub(super) fn payouts(seat: Seat) -> Payouts {
    let seat = u32::try_from(seat).ok();
    Payouts::new(Arc::new(move || seat), TAKE_OVER_MS)
}

impl Notifier {
    pub(super) fn new(seat: Seat) -> Self {
        Self {
            sight: sight(),
            read: 0,
            outbox: Outbox::default(),
            ask_at: 0,
            price_at: 0,
            scan_at: 0,
            beat_at: 0,
            payouts: payouts(seat),
            payouts_from: None,
            pay_at: 0,
            fee_at: 0,
        }
    }
}
