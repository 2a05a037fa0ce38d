//! Streams of hints, whichever backend gives them.

use std::time::Duration;

use super::{
    Hint, bitcoind::BitcoindHints, electrum::ElectrumHints, esplora::EsploraHints,
    simulated::SimulatedHints,
};

/// A stream of hints.
pub enum Hints {
    /// From bitcoind's ZeroMQ sockets.
    Bitcoind(Box<BitcoindHints>),
    /// From the simulated chain's `Watch`.
    Simulated(Box<SimulatedHints>),
    /// From an Electrum server's subscriptions.
    Electrum(Box<ElectrumHints>),
    /// From a clock, since an Esplora server pushes nothing.
    Esplora(Box<EsploraHints>),
}

impl Hints {
    /// What ends a wait in [`Self::next`] from another thread.
    pub(crate) fn waker(&self) -> Box<dyn Fn() + Send> {
        match self {
            Self::Bitcoind(hints) => hints.waker(),
            Self::Simulated(hints) => hints.waker(),
            Self::Electrum(hints) => hints.waker(),
            Self::Esplora(hints) => hints.waker(),
        }
    }

    /// The next hint, or `None` when there is none within `timeout` or when
    /// woken. What is malformed is counted and skipped; a lost connection is
    /// made anew and shows as a gap.
    pub fn next(&mut self, timeout: Duration) -> Option<Hint> {
        match self {
            Self::Bitcoind(hints) => hints.next(timeout),
            Self::Simulated(hints) => hints.next(timeout),
            Self::Electrum(hints) => hints.next(timeout),
            Self::Esplora(hints) => hints.next(timeout),
        }
    }
}
