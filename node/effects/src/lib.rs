//! Tell the world and do what the ledger ordered.
//!
//! Every effect is an ordinary subscriber of the bus: it knows the federation
//! only through certified frames and speaks to it only through signed actions
//! at a node's door. Each has `start(Common, config) -> Running` and runs on
//! threads of its own:
//!
//! - [`chain`]: watches bitcoin for payments and new blocks,
//! - [`payout`]: broadcasts what copayers have signed, and says what becomes of it,
//! - [`price`]: watches exchanges for rates,
//! - [`machine`]: turns what machines say into alerts,
//! - [`event_logger`]: keeps a hash-chained copy of everything,
//! - [`deadlines`]: asks for a block when a deadline of the ledger has passed.
//!
//! Times are milliseconds since the Unix epoch, amounts are satoshi, prices
//! are minor units per bitcoin; there are no floats.
//!
//! What they keep on the disk is looked at by [`files`].
//!
//! Deliberately absent: any decision about money or machines. An effect
//! reports what it sees; the ledger counts the votes.

pub mod chain;
pub mod deadlines;
pub mod event_logger;
pub mod files;
pub mod machine;
pub mod outbox;
pub mod payout;
pub mod price;

mod common;
mod crash;
mod frames;
mod health;
mod sealed;

pub use common::{Clock, Common, Running, Seat, StartError};
pub use crash::CRASH_POINTS;
pub use health::Health;
