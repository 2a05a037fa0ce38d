//! Apply ordered actions to state.
//!
//! Consensus hands in blocks of opaque, signed actions; this crate says what
//! they mean. [`genesis`] makes the state before the first block, [`admit`]
//! is the cheap guard a node asks before it spends consensus on an action,
//! and [`apply`] carries out one block: the same state and the same block
//! give the same changes, outputs, receipts and digest on every node.
//!
//! Money is in whole satoshi or minor units, time in milliseconds of
//! consensus time since the Unix epoch.
//!
//! Deliberately absent: clocks, disks, sockets, floats, randomness, hash-map
//! order, and any effect. What the world is to be told is an output; what
//! the world answers is the next signed action.

mod state;

pub use state::{ChangeSet, MemoryState, Overlay, StateRead};

use dctrl_proto::v1::{Genesis, Receipt, Refusal, RefusalCode, SignedAction};

/// What a block, or the genesis, made of the state.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// To be carried out in one batch.
    pub changes: ChangeSet,
    /// Encoded `BusBody` messages; the position is the sub-index.
    pub outputs: Vec<Vec<u8>>,
    /// Receipts of actions that came to their end in this block, in order.
    pub receipts: Vec<Receipt>,
    /// Digest of the state with the changes carried out.
    pub state_digest: [u8; 32],
    /// When consensus time alone changes something next.
    pub next_deadline_ms: Option<u64>,
}

/// One ordered block.
#[derive(Clone, Copy, Debug)]
pub struct BlockInput<'a> {
    /// 1 for the first.
    pub height: u64,
    /// Consensus time.
    pub time_ms: u64,
    /// Encoded `SignedAction` messages, in order.
    pub transactions: &'a [&'a [u8]],
}

/// An action that may be handed to consensus.
#[derive(Clone, Debug, PartialEq)]
pub struct Admitted {
    /// The action's id.
    pub id: [u8; 32],
    /// Its receipt, where it was applied before: there is nothing to submit.
    pub already: Option<Receipt>,
}

/// Checks `genesis` and makes the state at height 0.
///
/// # Errors
/// Every problem of the genesis, not only the first.
pub fn genesis(genesis: &Genesis) -> Result<Applied, Vec<Refusal>> {
    let _ = genesis;
    Err(vec![not_yet()])
}

/// Whether `action` would be applied on `state`. `now_ms` is the node's own
/// clock, for the expiry only.
///
/// # Errors
/// The refusal the action would end with.
pub fn admit(
    state: &dyn StateRead,
    now_ms: u64,
    action: &SignedAction,
) -> Result<Admitted, Refusal> {
    let _ = (state, now_ms, action);
    Err(not_yet())
}

/// Applies one block.
#[must_use]
pub fn apply(state: &dyn StateRead, block: &BlockInput<'_>) -> Applied {
    let _ = (state, block);
    Applied {
        changes: ChangeSet::new(),
        outputs: Vec::new(),
        receipts: Vec::new(),
        state_digest: [0; 32],
        next_deadline_ms: None,
    }
}

fn not_yet() -> Refusal {
    Refusal::rule(
        RefusalCode::Unavailable,
        "ledger",
        "The ledger is being built.",
    )
}
