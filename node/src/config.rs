//! The node's configuration: one TOML file, environment overrides
//! (`DCTRL_NODE__API__LISTEN`), read once at the start.

mod chain;
mod price;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use dctrl_settings::{Detours, Key, Kind, SettingsError};
use serde::Deserialize;

use chain::KEYS as CHAIN;
pub use chain::{BackendSetting, Chain, ChainBackend};
use price::SOURCE as PRICE_SOURCE;
pub use price::{Price, PriceSource, PriceSourceError};

/// Prefix of environment variables that override the file.
pub const ENV_PREFIX: &str = "DCTRL_NODE";

/// The largest count of blocks that a setting takes.
const COUNT_MAX: i64 = 1_000_000_000_000;

/// One node's configuration.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// The federation's genesis file.
    pub genesis: PathBuf,
    /// The node's key file.
    pub key: PathBuf,
    /// Folder of the database.
    pub data: PathBuf,
    /// How this node reaches others.
    #[serde(default)]
    pub net: Net,
    /// Peers.
    pub gossip: Gossip,
    /// Subscribers and agents.
    pub bus: Bus,
    /// People and programs.
    pub api: Api,
    /// The bitcoin backend.
    pub chain: Chain,
    /// Price sources.
    pub price: Price,
    /// The event log.
    pub log: Log,
    /// Peers' signatures.
    pub check: Check,
    /// How much of the past is kept.
    pub store: Store,
}

/// How this node reaches others.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Net {
    /// Endpoints of the federation that are dialled elsewhere.
    #[serde(default)]
    pub dial: Detours,
}

/// Where peers reach this node.
#[derive(Debug, Clone, Deserialize)]
pub struct Gossip {
    /// ZeroMQ endpoint to listen on.
    pub listen: String,
    /// Whether the key may be in no roster yet.
    #[serde(default)]
    pub join: bool,
}

/// Where subscribers and agents reach this node.
#[derive(Debug, Clone, Deserialize)]
pub struct Bus {
    /// ZeroMQ endpoint of the publisher.
    pub listen: String,
    /// ZeroMQ endpoint for replay and submission.
    pub door: String,
}

/// Where gRPC clients reach this node.
#[derive(Debug, Clone, Deserialize)]
pub struct Api {
    /// Address and port.
    pub listen: SocketAddr,
    /// PEM certificate chain; needed where `listen` is not loopback.
    pub tls_certificate: Option<PathBuf>,
    /// PEM private key.
    pub tls_key: Option<PathBuf>,
}

/// The event log.
#[derive(Debug, Clone, Deserialize)]
pub struct Log {
    /// Folder of the hash-chained segments.
    pub dir: PathBuf,
}

/// How peers' signatures are checked.
#[derive(Debug, Clone, Deserialize)]
pub struct Check {
    /// Threads; 0 for as many as there are cores.
    pub threads: usize,
}

/// How much of the past is kept, and when this node skips some of it.
#[derive(Debug, Clone, Deserialize)]
pub struct Store {
    /// The last final blocks that are kept; 0 for all.
    pub keep_blocks: u64,
    /// Seconds of consensus time between states kept for peers.
    pub state_every_s: u64,
    /// Blocks behind which this node takes over a state.
    pub snapshot_gap: u64,
    /// MiB below which no new work is taken.
    pub reserve_mib: u64,
}

/// Every key of the file, in the order of the documentation.
pub const SCHEMA: &[Key] = &[
    Key::required("genesis", Kind::Path, "The federation's genesis file."),
    Key::required("key", Kind::Path, "This node's key file."),
    Key::required("data", Kind::Path, "Folder of the database."),
    Key::optional(
        "net.dial",
        Kind::TextList,
        "Endpoints of the federation that are reached elsewhere from here, such as through a NAT: \
         NAMED=DIALLED.",
    ),
    Key::required(
        "gossip.listen",
        Kind::Text,
        "ZeroMQ endpoint for peers, such as tcp://0.0.0.0:17000.",
    ),
    Key::with_default(
        "gossip.join",
        Kind::Bool,
        "false",
        "Whether this node joins later than the genesis.",
    ),
    Key::required(
        "bus.listen",
        Kind::Text,
        "ZeroMQ endpoint of the publisher.",
    ),
    Key::required(
        "bus.door",
        Kind::Text,
        "ZeroMQ endpoint for replay and submission.",
    ),
    Key::required(
        "api.listen",
        Kind::SocketAddress,
        "gRPC address; without TLS only loopback.",
    ),
    Key::optional("api.tls_certificate", Kind::Path, "PEM certificate chain."),
    Key::optional("api.tls_key", Kind::Path, "PEM private key."),
    CHAIN[0],
    CHAIN[1],
    CHAIN[2],
    CHAIN[3],
    CHAIN[4],
    CHAIN[5],
    CHAIN[6],
    CHAIN[7],
    CHAIN[8],
    Key::optional(
        "price.fixed",
        Kind::TextList,
        "Fixed rates, CURRENCY=minor units per bitcoin.",
    ),
    Key::with_default(
        "price.poll_s",
        Kind::Integer {
            min: 1,
            max: 86_400,
        },
        "60",
        "Seconds between polls.",
    ),
    Key::with_default(
        "price.age_ms_max",
        Kind::Integer {
            min: 1,
            max: 86_400_000,
        },
        "300000",
        "Oldest usable quote, by its own time where the answer has one, else by when it came.",
    ),
    Key::with_default(
        "price.spread_bps_max",
        Kind::Integer {
            min: 1,
            max: 10_000,
        },
        "200",
        "Largest distance from the median, basis points.",
    ),
    Key::optional(
        "price.source",
        Kind::Tables(PRICE_SOURCE),
        "HTTP JSON price sources.",
    ),
    Key::required(
        "log.dir",
        Kind::Path,
        "Folder of the hash-chained event log.",
    ),
    Key::with_default(
        "check.threads",
        Kind::Integer { min: 0, max: 8 },
        "0",
        "Threads that check peers' signatures; 0 for as many as there are cores.",
    ),
    Key::with_default(
        "store.keep_blocks",
        Kind::Integer {
            min: 0,
            max: COUNT_MAX,
        },
        "1000000",
        "Last blocks that are kept once peers can take over the state behind the others; 0 for all.",
    ),
    Key::with_default(
        "store.state_every_s",
        Kind::Integer {
            min: 0,
            max: 86_400,
        },
        "600",
        "Seconds of consensus time between states kept for peers, the same on all nodes; 0 behind \
         every seal.",
    ),
    Key::with_default(
        "store.reserve_mib",
        Kind::Integer {
            min: 0,
            max: 1_048_576,
        },
        "128",
        "MiB that must be free on the disk for new work to be taken; a twentieth of the disk, at \
         most 2048, where that is more.",
    ),
    Key::with_default(
        "store.snapshot_gap",
        Kind::Integer {
            min: 1,
            max: COUNT_MAX,
        },
        "20000",
        "Blocks behind which this node takes over a state instead of fetching all of them.",
    ),
];

/// Reads the file and the environment.
///
/// # Errors
/// Every problem at once.
pub fn load(file: &Path) -> Result<Config, SettingsError> {
    dctrl_settings::load(SCHEMA, file, ENV_PREFIX, std::env::vars())
}
