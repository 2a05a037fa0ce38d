//! Where the nodes, the key and the genesis are: `dctrl.toml`.

use std::path::{Path, PathBuf};

use dctrl_settings::{Key, Kind};
use serde::Deserialize;

use crate::failure::Failure;

/// Prefix of environment variables that override the file.
const ENV_PREFIX: &str = "DCTRL_CLI";

/// Looked for in this order where `--config` names no file.
const FILES: [&str; 2] = ["dctrl.toml", "testnet-data/dctrl.toml"];

/// The settings of the command line.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Config {
    /// URLs of node APIs, tried in order.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// The key that signs actions.
    pub key: Option<PathBuf>,
    /// The genesis file, against which everything is verified.
    pub genesis: Option<PathBuf>,
    /// Where changes of membership are remembered; beside the genesis file
    /// where it is not named.
    pub rosters: Option<PathBuf>,
    /// URL of the simulated chain.
    pub chain_url: Option<String>,
    /// PEM file of the authority that issued the nodes' TLS certificates.
    pub tls_authority: Option<PathBuf>,
}

/// The table behind `dctrl.toml`.
pub const SCHEMA: &[Key] = &[
    Key::optional(
        "nodes",
        Kind::TextList,
        "URLs of node APIs, tried in order.",
    ),
    Key::optional("key", Kind::Path, "Key file that signs actions."),
    Key::optional("genesis", Kind::Path, "Genesis file of the federation."),
    Key::optional(
        "rosters",
        Kind::Path,
        "File that remembers changes of membership; beside the genesis by default.",
    ),
    Key::optional("chain_url", Kind::Text, "URL of the simulated chain."),
    Key::optional(
        "tls_authority",
        Kind::Path,
        "PEM file of the authority behind the nodes' TLS certificates.",
    ),
];

impl Config {
    /// Reads the file that was named, or else the first that exists. Without
    /// any file everything must come from flags and the environment.
    ///
    /// # Errors
    /// Where a named file is missing, or a file has problems: all at once.
    pub fn load(named: Option<&Path>) -> Result<Self, Failure> {
        let found = FILES.iter().map(Path::new).find(|file| file.is_file());
        let Some(file) = named.or(found) else {
            return Ok(Self::default());
        };
        dctrl_settings::load(SCHEMA, file, ENV_PREFIX, std::env::vars())
            .map_err(|error| Failure::usage("config", error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_count_from_the_file_and_unknown_keys_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("dctrl.toml");
        std::fs::write(
            &file,
            "nodes = [\"http://127.0.0.1:1\"]\nkey = \"keys/a.key\"\n",
        )
        .unwrap();
        let config = Config::load(Some(&file)).unwrap();
        assert_eq!(config.nodes, ["http://127.0.0.1:1"]);
        assert_eq!(config.key, Some(folder.path().join("keys/a.key")));

        std::fs::write(&file, "node = []\n").unwrap();
        let refused = Config::load(Some(&file)).unwrap_err().to_string();
        assert!(refused.contains("did you mean `nodes`"), "{refused}");
    }
}
