//! Watch bitcoin for the federation.
//!
//! [`ChainAdaptor`] asks the first healthy one of a node's [`Backends`] (a real
//! bitcoind, an Electrum or Esplora server, or the simulated chain of [`model`] that [`server`] serves), and a
//! [`Board`] keeps what is known of each; [`notifier`] follows the bus to learn
//! which addresses matter and reports what it sees of them as signed actions. What
//! of that needs no socket is [`sight`], which the simulator drives, too.
//!
//! Notifications of the backend are hints; the truth is always asked for.

mod adaptor;
mod agreed;
mod backends;
mod bitcoind;
mod board;
mod checker;
mod client;
mod cross;
mod electrum;
mod esplora;
#[cfg(test)]
pub(crate) mod fakes;
mod hints;
pub mod model;
pub mod notifier;
mod seen;
mod sent;
pub mod server;
pub mod sight;
mod simulated;
mod spv;
mod sync;
mod types;
mod watch;
mod wire;

pub use adaptor::ChainAdaptor;
pub use backends::{BACKENDS_MAX, Backend, Backends};
pub use bitcoind::{Bitcoind, BitcoindConfig, BitcoindHints, Credentials};
pub use board::{Board, Standing};
pub use client::ChainSource;
pub use electrum::{Electrum, ElectrumConfig, ElectrumHints};
pub use esplora::{Esplora, EsploraConfig, EsploraHints};
pub use hints::Hints;
pub use simulated::{Simulated, SimulatedHints};
pub use types::{Block, ChainError, Hash, Hint, Output, Sent, Tip, Transaction};
