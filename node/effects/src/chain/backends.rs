//! Which backends a node asks, in order of preference.

use std::time::Duration;

use super::{
    bitcoind::{Bitcoind, BitcoindConfig},
    board::Board,
    client::Client,
    electrum::{Electrum, ElectrumConfig},
    esplora::{Esplora, EsploraConfig},
    simulated::Simulated,
    types::ChainError,
};

/// Backends of one node: each is asked for its tip again and again.
pub const BACKENDS_MAX: usize = 8;

/// Blocks and transactions need a while from one backend to another.
const GRACE: Duration = Duration::from_secs(60);

/// Where the chain is asked.
#[derive(Clone, Debug)]
pub enum Backend {
    /// A real bitcoind, pruned or not.
    Bitcoind(BitcoindConfig),
    /// A server of the Electrum protocol.
    Electrum(ElectrumConfig),
    /// A server of the Esplora HTTP API.
    Esplora(EsploraConfig),
    /// The simulated chain, such as `http://127.0.0.1:17900`.
    Simulated {
        /// Its gRPC address.
        url: String,
    },
}

impl Backend {
    /// Kind and place, for people; no secret.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Bitcoind(config) => format!("bitcoind {}", config.url),
            Self::Electrum(config) => format!("electrum {}", config.url),
            Self::Esplora(config) => format!("esplora {}", config.url),
            Self::Simulated { url } => format!("simulated {url}"),
        }
    }

    /// Prepares the backend; asks nothing yet.
    pub(super) fn client(&self) -> Result<Box<dyn Client>, ChainError> {
        Ok(match self {
            Self::Bitcoind(config) => Box::new(Bitcoind::new(config)?),
            Self::Electrum(config) => Box::new(Electrum::new(config)?),
            Self::Esplora(config) => Box::new(Esplora::new(config)?),
            Self::Simulated { url } => Box::new(Simulated::new(url)?),
        })
    }
}

/// The backends of one node, the preferred one first. Clones share what is
/// known of the backends' health.
#[derive(Clone, Debug)]
pub struct Backends {
    list: Vec<Backend>,
    board: Board,
    grace: Duration,
}

impl Backends {
    /// Of backends with the settings that name them, such as `chain.backend[1]`.
    ///
    /// # Errors
    /// None, or more than [`BACKENDS_MAX`].
    pub fn new(list: Vec<(String, Backend)>) -> Result<Self, ChainError> {
        if list.is_empty() || list.len() > BACKENDS_MAX {
            return Err(ChainError::Config {
                field: "chain.backend".to_owned(),
                problem: format!("names {} backends, not 1 to {BACKENDS_MAX}", list.len()),
            });
        }
        let names = list.iter().map(|(key, one)| (key.clone(), one.describe()));
        Ok(Self {
            board: Board::new(names),
            list: list.into_iter().map(|(_, backend)| backend).collect(),
            grace: GRACE,
        })
    }

    /// For so long two backends may differ before payouts are held.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    pub(super) fn grace(&self) -> Duration {
        self.grace
    }

    /// Whether there is more than one, so that they can be compared.
    pub(super) fn are_several(&self) -> bool {
        self.list.len() > 1
    }

    /// What is known of them.
    #[must_use]
    pub fn board(&self) -> Board {
        self.board.clone()
    }

    pub(super) fn clients(&self) -> Result<Vec<Box<dyn Client>>, ChainError> {
        self.list.iter().map(Backend::client).collect()
    }
}

impl From<Backend> for Backends {
    fn from(backend: Backend) -> Self {
        let names = [("chain.backend".to_owned(), backend.describe())];
        Self {
            board: Board::new(names),
            list: vec![backend],
            grace: GRACE,
        }
    }
}
