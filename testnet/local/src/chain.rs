//! The bitcoin side of a federation of processes: the simulated chain or a
//! real bitcoind on regtest, behind one face.

mod bitcoind;
mod simulated;

use std::{path::Path, str::FromStr};

use anyhow::{Context, Result, bail};
use serde::Serialize;

pub use self::bitcoind::Bitcoind;
pub(crate) use self::bitcoind::init_arguments;
pub use self::simulated::{Purse, Simulated};
use crate::{process::Process, programs, programs::Programs};

/// Which chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
pub enum ChainKind {
    /// `dctrl-node sim-chain`.
    #[serde(rename = "sim")]
    Simulated,
    /// A bitcoind on regtest.
    #[serde(rename = "bitcoind")]
    Bitcoind,
}

impl ChainKind {
    /// As `dctrl testnet init --chain` calls it.
    #[must_use]
    pub fn as_argument(self) -> &'static str {
        match self {
            Self::Simulated => "simulated",
            Self::Bitcoind => "bitcoind",
        }
    }
}

/// A running chain.
#[derive(Debug)]
pub enum Chain {
    /// `dctrl-node sim-chain`.
    Simulated(Simulated),
    /// A bitcoind on regtest.
    Bitcoind(Bitcoind),
}

impl Chain {
    /// Starts the chain in `dir` and waits until it answers.
    ///
    /// # Errors
    /// Where it does not come up.
    pub(crate) async fn start(
        kind: ChainKind,
        programs: &Programs,
        bitcoind: Option<&Path>,
        dir: &Path,
        base_port: u16,
    ) -> Result<Self> {
        match kind {
            ChainKind::Simulated => Simulated::start(programs, dir, base_port)
                .await
                .map(Self::Simulated),
            ChainKind::Bitcoind => {
                let folder = match bitcoind {
                    Some(folder) => folder.to_path_buf(),
                    None => programs::bitcoind()?,
                };
                Bitcoind::start(&folder, dir, base_port)
                    .await
                    .map(Self::Bitcoind)
            }
        }
    }

    /// Pays an address; the transaction enters the mempool.
    ///
    /// # Errors
    /// A refusal.
    pub async fn pay(&self, address: &str, sats: u64) -> Result<Txid> {
        match self {
            Self::Simulated(chain) => chain.purse().pay(address, sats).await,
            Self::Bitcoind(chain) => chain.pay(address, sats).await,
        }
    }

    /// Mines blocks with all of the mempool in the first.
    ///
    /// # Errors
    /// No answer.
    pub async fn mine(&self, blocks: u32) -> Result<u32> {
        match self {
            Self::Simulated(chain) => chain.purse().mine(blocks).await,
            Self::Bitcoind(chain) => chain.mine(blocks).await,
        }
    }

    /// Height of the best block.
    ///
    /// # Errors
    /// No answer.
    pub async fn height(&self) -> Result<u32> {
        match self {
            Self::Simulated(chain) => chain.purse().height().await,
            Self::Bitcoind(chain) => chain.height().await,
        }
    }

    /// Replaces an unconfirmed transaction by one that pays elsewhere.
    ///
    /// # Errors
    /// A refusal, or that the chain is a bitcoind, where replacing is done
    /// with its own commands.
    pub async fn replace(&self, txid: Txid, address: &str, sats: u64) -> Result<Txid> {
        match self {
            Self::Simulated(chain) => chain.purse().replace(txid, address, sats).await,
            Self::Bitcoind(_) => bail!("replacing is for the simulated chain"),
        }
    }

    /// The bitcoind.
    ///
    /// # Errors
    /// The chain is a simulated one.
    pub fn bitcoind(&self) -> Result<&Bitcoind> {
        match self {
            Self::Simulated(_) => bail!("the chain is simulated"),
            Self::Bitcoind(chain) => Ok(chain),
        }
    }

    /// Which chain it is.
    #[must_use]
    pub fn kind(&self) -> ChainKind {
        match self {
            Self::Simulated(_) => ChainKind::Simulated,
            Self::Bitcoind(_) => ChainKind::Bitcoind,
        }
    }

    /// The process behind it.
    pub fn process(&mut self) -> &mut Process {
        match self {
            Self::Simulated(chain) => &mut chain.process,
            Self::Bitcoind(chain) => &mut chain.process,
        }
    }
}

/// Identity of a transaction, in the order of display.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Txid(pub [u8; 32]);

impl TryFrom<&[u8]> for Txid {
    type Error = anyhow::Error;

    fn try_from(bytes: &[u8]) -> Result<Self> {
        bytes.try_into().map(Self).context("a txid has 32 bytes")
    }
}

impl FromStr for Txid {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::try_from(hex::decode(text.trim())?.as_slice())
    }
}

impl std::fmt::Display for Txid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}
