//! Apply ordered actions to state.
//!
//! Consensus hands in blocks of opaque, signed actions; this crate says what
//! they mean. [`genesis`] makes the state before the first block, [`admit`]
//! is the cheap guard a node asks before it spends consensus on an action,
//! and [`apply`] carries out one block: the same state and the same block
//! give the same changes, outputs, receipts and digest on every node. Both ask
//! for the signatures' verdicts through [`Signatures`], a block's all at once.
//!
//! Money is in whole satoshi or minor units, time in milliseconds of
//! consensus time since the Unix epoch.
//!
//! Deliberately absent: clocks, disks, sockets, floats, randomness, hash-map
//! order, and any effect. What the world is to be told is an output; what
//! the world answers is the next signed action.

mod actions;
mod address;
pub mod audit;
mod books;
mod caller;
mod claims;
mod digest;
mod envelope;
mod execute;
pub mod facts;
mod founded;
mod genesis;
mod ids;
mod keys;
mod money;
mod payments;
mod payouts;
mod public_key;
mod purse;
pub mod query;
mod quotes;
mod rates;
pub mod receipts;
mod refunds;
mod refuse;
pub mod registry;
mod roster;
mod scope;
mod sellable;
mod shares;
mod signatures;
mod spent;
mod state;
mod stock;
mod tables;
mod tabs;
mod vends;
mod votes;

pub use digest::StateDigest;
pub use envelope::EXPIRY_AHEAD_MS_MAX;
pub use execute::{admit, admit_all, apply, apply_with};
pub use genesis::genesis;
pub use signatures::{Claim, OneByOne, Signatures};
pub use state::{ChangeSet, Changed, MemoryState, Overlay, StateRead};

use dctrl_proto::v1::{NodeRoster, Receipt, Refusal};

/// What a block, or the genesis, made of the state.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// To be carried out in one batch.
    pub changes: ChangeSet,
    /// Encoded `BusBody` messages; the position is the sub-index.
    pub outputs: Vec<Vec<u8>>,
    /// Receipts of actions that came to their end in this block, in order.
    pub receipts: Vec<Receipt>,
    /// The nodes from the next block on, exactly where this block changes
    /// them: the block is the last of its epoch. All changes of the block are
    /// in it, remaining nodes keep their order, and its number is one more
    /// than that of the roster before.
    pub next_roster: Option<NodeRoster>,
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
