//! Watch bitcoin for the federation.
//!
//! [`ChainAdaptor`] asks a backend (a real bitcoind, or the simulated chain of
//! [`model`] that [`server`] serves); [`notifier`] follows the bus to learn
//! which addresses matter and reports what it sees of them as signed actions. What
//! of that needs no socket is [`sight`], which the simulator drives, too.
//!
//! Notifications of the backend are hints; the truth is always asked for.

mod adaptor;
mod agreed;
mod bitcoind;
pub mod model;
pub mod notifier;
mod seen;
pub mod server;
pub mod sight;
mod simulated;
mod sync;
mod types;
mod watch;
mod wire;

pub use adaptor::{Backend, ChainAdaptor, ChainSource, Hints};
pub use bitcoind::{Bitcoind, BitcoindConfig, BitcoindHints, Credentials};
pub use simulated::{Simulated, SimulatedHints};
pub use types::{Block, ChainError, Hash, Hint, Output, Sent, Tip, Transaction};
