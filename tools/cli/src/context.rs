//! What every command has at hand.

use std::path::Path;

use dctrl_access::Identity;
use dctrl_proto::v1::Genesis;

use crate::{
    args::Global, config::Config, failure::Failure, nodes::Nodes, output::Output, verify::Verifier,
};

/// Longest genesis file, bytes.
const GENESIS_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Settings, nodes and output of one run.
#[derive(Debug)]
pub struct Context {
    /// The settings after flags.
    pub config: Config,
    /// The nodes to ask.
    pub nodes: Nodes,
    /// Where results go.
    pub out: Output,
    genesis: Option<Genesis>,
}

impl Context {
    /// Settings from file, environment and flags, the later over the earlier.
    ///
    /// # Errors
    /// Where the configuration is wrong or names no node.
    pub fn new(global: &Global) -> Result<Self, Failure> {
        let config = settings(global)?;
        let nodes = Nodes::new(&config.nodes, config.tls_authority.as_deref())?;
        let genesis = config.genesis.as_deref().map(read_genesis).transpose()?;
        Ok(Self {
            config,
            nodes,
            out: Output::stdout(global.json),
            genesis,
        })
    }

    /// The genesis of the federation.
    ///
    /// # Errors
    /// Where no file is configured: nothing is taken from a node on trust.
    pub fn genesis(&self) -> Result<&Genesis, Failure> {
        self.genesis.as_ref().ok_or_else(|| {
            Failure::usage(
                "config.genesis",
                "set `genesis` in dctrl.toml: it is needed to sign and to verify",
            )
        })
    }

    /// The key that signs actions.
    ///
    /// # Errors
    /// Where no key is configured, or its file is not fit.
    pub fn identity(&self) -> Result<Identity, Failure> {
        let file = self.config.key.as_deref().ok_or_else(|| {
            Failure::usage("config.key", "no key to sign with: name one with --key")
        })?;
        load_identity(file)
    }

    /// A verifier for this federation.
    ///
    /// # Errors
    /// As [`Context::genesis`].
    pub fn verifier(&self) -> Result<Verifier, Failure> {
        let beside = self
            .config
            .genesis
            .as_ref()
            .map(|file| file.with_extension("rosters"));
        let file = self.config.rosters.clone().or(beside);
        Verifier::new(self.genesis()?, file.as_deref())
    }
}

/// Reads a key file.
///
/// # Errors
/// Where it is missing, readable by others or no key file.
pub fn load_identity(file: &Path) -> Result<Identity, Failure> {
    Identity::load(file).map_err(|error| Failure::usage("config.key", format!("{error:#}")))
}

/// Settings from file, environment and flags.
///
/// # Errors
/// Where the configuration is wrong.
pub fn settings(global: &Global) -> Result<Config, Failure> {
    let mut config = Config::load(global.config.as_deref())?;
    if !global.node.is_empty() {
        config.nodes.clone_from(&global.node);
    }
    if let Some(key) = &global.key {
        config.key = Some(key.clone());
    }
    Ok(config)
}

fn read_genesis(file: &Path) -> Result<Genesis, Failure> {
    let wrong = |message: String| {
        Failure::usage("config.genesis", format!("{}: {message}", file.display()))
    };
    let length = std::fs::metadata(file)
        .map_err(|error| wrong(error.to_string()))?
        .len();
    if length > GENESIS_BYTES_MAX {
        return Err(wrong(format!(
            "has {length} bytes, more than {GENESIS_BYTES_MAX}"
        )));
    }
    let bytes = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))
}
