//! The bitcoin backends: one in the keys of `[chain]`, or several as rows of
//! `[[chain.backend]]` in order of preference.

use std::{path::PathBuf, time::Duration};

use dctrl_effects::chain::{
    BACKENDS_MAX, Backend, Backends, BitcoindConfig, ChainError, Credentials, ElectrumConfig,
    EsploraConfig,
};
use dctrl_settings::{Key, Kind};
use serde::Deserialize;

/// The kinds, as the file names them.
const KINDS: &[&str] = &["simulated", "bitcoind", "electrum", "esplora"];

/// Where a bitcoin backend is and how it is asked.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ChainBackend {
    /// What it is, of a row; of the single form `chain.backend` says it.
    #[serde(default)]
    pub kind: String,
    /// URL of its service.
    pub url: Option<String>,
    /// Cookie file of the RPC.
    pub cookie: Option<PathBuf>,
    /// User, with `password`.
    pub user: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// `-zmqpubrawtx` endpoint.
    pub zmq_rawtx: Option<String>,
    /// `-zmqpubhashblock` endpoint.
    pub zmq_hashblock: Option<String>,
    /// `-zmqpubsequence` endpoint.
    pub zmq_sequence: Option<String>,
}

/// What `chain.backend` says.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum BackendSetting {
    /// The kind of the only backend, whose place the other keys of `[chain]` say.
    Only(String),
    /// All backends, the preferred one first.
    Rows(Vec<ChainBackend>),
}

/// The bitcoin backends.
#[derive(Debug, Clone, Deserialize)]
pub struct Chain {
    /// Kind of the only one, or all of them.
    pub backend: BackendSetting,
    /// Seconds for which two backends may differ before payouts are held.
    pub disagree_grace_s: u64,
    /// Where the only one is.
    #[serde(flatten)]
    pub only: ChainBackend,
}

impl Chain {
    /// The backends with the keys that name them.
    ///
    /// # Errors
    /// What is missing or does not fit, by its key.
    pub fn backends(&self) -> Result<Backends, ChainError> {
        let list = match &self.backend {
            BackendSetting::Only(kind) => vec![("chain.backend".to_owned(), {
                let mut only = self.only.clone();
                only.kind.clone_from(kind);
                only.backend("chain")?
            })],
            BackendSetting::Rows(_) if self.only.url.is_some() => {
                return Err(unfit("chain.url", "belongs into a row of chain.backend"));
            }
            BackendSetting::Rows(rows) => {
                let keyed = rows.iter().enumerate().map(|(index, row)| {
                    let key = format!("chain.backend[{index}]");
                    row.backend(&key).map(|backend| (key, backend))
                });
                keyed.collect::<Result<_, _>>()?
            }
        };
        let grace = Duration::from_secs(self.disagree_grace_s);
        Ok(Backends::new(list)?.with_grace(grace))
    }
}

impl ChainBackend {
    /// `at` is where its keys stand.
    fn backend(&self, at: &str) -> Result<Backend, ChainError> {
        let needed = || unfit(format!("{at}.url"), "is required");
        let url = self.url.clone().ok_or_else(needed)?;
        match self.kind.as_str() {
            "simulated" => Ok(Backend::Simulated { url }),
            "electrum" => Ok(Backend::Electrum(ElectrumConfig {
                key: at.to_owned(),
                url,
            })),
            "esplora" => Ok(Backend::Esplora(EsploraConfig {
                key: at.to_owned(),
                url,
                login: self.user.clone().zip(self.password.clone()),
            })),
            _ => Ok(Backend::Bitcoind(BitcoindConfig {
                key: at.to_owned(),
                url,
                credentials: self.credentials(at)?,
                zmq_rawtx: self.zmq_rawtx.clone(),
                zmq_hashblock: self.zmq_hashblock.clone(),
                zmq_sequence: self.zmq_sequence.clone(),
            })),
        }
    }

    fn credentials(&self, at: &str) -> Result<Credentials, ChainError> {
        match (&self.cookie, &self.user, &self.password) {
            (Some(cookie), _, _) => Ok(Credentials::Cookie(cookie.clone())),
            (None, Some(user), Some(password)) => Ok(Credentials::Password {
                user: user.clone(),
                password: password.clone(),
            }),
            _ => Err(unfit(
                format!("{at}.cookie"),
                "or user and password must be set for bitcoind",
            )),
        }
    }
}

fn unfit(field: impl Into<String>, problem: &str) -> ChainError {
    ChainError::Config {
        field: field.into(),
        problem: problem.to_owned(),
    }
}

const _: () = assert!(BACKENDS_MAX >= 2, "one backend cannot replace another");

const URL: &str =
    "URL of the RPC, the Esplora API or the simulated chain; tcp://HOST:PORT of Electrum.";
const COOKIE: &str = "Cookie file of bitcoind's RPC.";
const USER: &str = "User of the RPC, where there is no cookie, or of the Esplora server.";
const PASSWORD: &str = "Password of that user.";
const RAWTX: &str = "Endpoint of bitcoind's -zmqpubrawtx.";
const HASHBLOCK: &str = "Endpoint of bitcoind's -zmqpubhashblock.";
const SEQUENCE: &str = "Endpoint of bitcoind's -zmqpubsequence.";

const ROW: &[Key] = &[
    Key::required("kind", Kind::Choice(KINDS), "What it is."),
    Key::required("url", Kind::Text, URL),
    Key::optional("cookie", Kind::Path, COOKIE),
    Key::optional("user", Kind::Text, USER),
    Key::optional("password", Kind::Text, PASSWORD),
    Key::optional("zmq_rawtx", Kind::Text, RAWTX),
    Key::optional("zmq_hashblock", Kind::Text, HASHBLOCK),
    Key::optional("zmq_sequence", Kind::Text, SEQUENCE),
];

/// The keys of `[chain]`.
pub(super) const KEYS: [Key; 9] = [
    Key::required(
        "chain.backend",
        Kind::ChoiceOrTables(KINDS, ROW),
        "The bitcoin backend, whose place the keys below say; or rows [[chain.backend]] in order \
         of preference, each with all its keys.",
    ),
    Key::optional("chain.url", Kind::Text, URL),
    Key::optional("chain.cookie", Kind::Path, COOKIE),
    Key::optional("chain.user", Kind::Text, USER),
    Key::optional("chain.password", Kind::Text, PASSWORD),
    Key::optional("chain.zmq_rawtx", Kind::Text, RAWTX),
    Key::optional("chain.zmq_hashblock", Kind::Text, HASHBLOCK),
    Key::optional("chain.zmq_sequence", Kind::Text, SEQUENCE),
    Key::with_default(
        "chain.disagree_grace_s",
        Kind::Integer { min: 0, max: 3_600 },
        "60",
        "Seconds for which two backends may differ before payouts are held.",
    ),
];
