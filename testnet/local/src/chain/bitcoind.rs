//! A bitcoind on regtest as a process, with a wallet that has coins; or one beside
//! it that follows its chain.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::Txid;
use crate::{
    ports,
    process::Process,
    wait::{until, within},
};

/// How long it may take to answer after the start.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Longest run of one `bitcoin-cli`.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// The wallet that pays.
const WALLET: &str = "payer";

/// Coins of a block can be spent 100 blocks later.
const MATURITY_BLOCKS: u32 = 101;

/// Distance of each publisher's port from the RPC's.
const RAWTX: u16 = 1;
const HASHBLOCK: u16 = 2;
const SEQUENCE: u16 = 3;

/// Distance of the port for peers from the RPC's.
const PEERS: u16 = 4;

/// Where it writes its cookie, within its data.
const COOKIE: &str = "regtest/.cookie";

const SATS_PER_BITCOIN: u64 = 100_000_000;

/// A bitcoind on regtest, started by us.
#[derive(Debug)]
pub struct Bitcoind {
    pub(super) process: Process,
    cli: PathBuf,
    data: PathBuf,
    base_port: u16,
}

impl Bitcoind {
    /// Starts it with an empty chain in `dir`, and mines the payer's coins.
    ///
    /// # Errors
    /// Where it does not come up.
    pub async fn start(programs: &Path, dir: &Path, base_port: u16) -> Result<Self> {
        let started = Self::launch(programs, dir, base_port).await?;
        started.run(&["createwallet", WALLET]).await?;
        started.mine(MATURITY_BLOCKS).await?;
        Ok(started)
    }

    /// Starts one without a wallet in `dir`, which takes the chain of another one
    /// and follows it.
    ///
    /// # Errors
    /// Where it does not come up or does not get that chain.
    pub async fn start_beside(
        programs: &Path,
        dir: &Path,
        base_port: u16,
        other: &Self,
    ) -> Result<Self> {
        let started = Self::launch(programs, dir, base_port).await?;
        started.follow(other).await?;
        Ok(started)
    }

    async fn launch(programs: &Path, dir: &Path, base_port: u16) -> Result<Self> {
        let data = data_folder(dir);
        fs::create_dir_all(&data)?;
        let port = base_port + ports::BITCOIND;
        let process = Process::start(
            "bitcoind",
            Command::new(programs.join("bitcoind")).args([
                "-regtest".to_owned(),
                format!("-datadir={}", data.display()),
                "-server".to_owned(),
                // No peers but those that a test brings together.
                format!("-bind=127.0.0.1:{}", port + PEERS),
                "-connect=0".to_owned(),
                "-listenonion=0".to_owned(),
                "-dnsseed=0".to_owned(),
                "-fixedseeds=0".to_owned(),
                "-rpcbind=127.0.0.1".to_owned(),
                "-rpcallowip=127.0.0.1".to_owned(),
                format!("-rpcport={port}"),
                // Regtest has no fee history to estimate from.
                "-fallbackfee=0.00001".to_owned(),
                format!("-zmqpubrawtx={}", publisher(port, RAWTX)),
                format!("-zmqpubhashblock={}", publisher(port, HASHBLOCK)),
                format!("-zmqpubsequence={}", publisher(port, SEQUENCE)),
            ]),
            &dir.join("bitcoind.log"),
        )?;
        let mut started = Self {
            process,
            cli: programs.join("bitcoin-cli"),
            data,
            base_port,
        };
        let answer = until(START_LIMIT, "bitcoind to answer", async || {
            started.run(&["getblockcount"]).await.map(Some)
        })
        .await;
        started.process.must_live()?;
        answer?;
        Ok(started)
    }

    /// Connects to another one and waits until both have the same newest block:
    /// that of the longer chain.
    ///
    /// # Errors
    /// It takes too long.
    pub async fn follow(&self, other: &Self) -> Result<()> {
        self.run(&["setnetworkactive", "true"]).await?;
        let peer = format!("127.0.0.1:{}", other.base_port + ports::BITCOIND + PEERS);
        self.run(&["addnode", &peer, "onetry"]).await?;
        until(START_LIMIT, "two bitcoinds to agree", async || {
            let best = self.run(&["getbestblockhash"]).await?;
            Ok((best == other.run(&["getbestblockhash"]).await?).then_some(()))
        })
        .await
    }

    /// Leaves every other one, until it follows one again.
    ///
    /// # Errors
    /// No answer.
    pub async fn part(&self) -> Result<()> {
        self.run(&["setnetworkactive", "false"]).await.map(drop)
    }

    /// The URL of its RPC.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.base_port)
    }

    /// The file with which a node is let in.
    #[must_use]
    pub fn cookie(&self) -> PathBuf {
        self.data.join(COOKIE)
    }

    /// One command of `bitcoin-cli`, and what it printed.
    ///
    /// # Errors
    /// Where bitcoind refuses or does not answer.
    pub async fn run(&self, arguments: &[&str]) -> Result<String> {
        let text = arguments.join(" ");
        let output = tokio::process::Command::new(&self.cli)
            .arg("-regtest")
            .arg(format!("-datadir={}", self.data.display()))
            .arg(format!("-rpcport={}", self.base_port + ports::BITCOIND))
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = within(COMMAND_LIMIT, format!("`bitcoin-cli {text}`"), async {
            output.await.context("cannot start bitcoin-cli")
        })
        .await?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("`bitcoin-cli {text}`: {}", said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    pub(super) async fn pay(&self, address: &str, sats: u64) -> Result<Txid> {
        let amount = bitcoins(sats);
        self.run(&["sendtoaddress", address, &amount])
            .await?
            .parse()
    }

    pub(super) async fn mine(&self, blocks: u32) -> Result<u32> {
        let address = self.run(&["getnewaddress"]).await?;
        self.run(&["generatetoaddress", &blocks.to_string(), &address])
            .await?;
        self.height().await
    }

    pub(super) async fn height(&self) -> Result<u32> {
        let text = self.run(&["getblockcount"]).await?;
        text.parse().with_context(|| format!("no height: {text}"))
    }
}

/// Where a bitcoind that [`Bitcoind::start`] starts in `dir` will be reached, as
/// arguments of `dctrl testnet init`.
pub(crate) fn init_arguments(dir: &Path, base_port: u16) -> Vec<OsString> {
    let port = base_port + ports::BITCOIND;
    let publisher = |offset: u16| OsString::from(publisher(port, offset));
    vec![
        "--bitcoind-url".into(),
        url(base_port).into(),
        "--bitcoind-cookie".into(),
        data_folder(dir).join(COOKIE).into(),
        "--zmq-rawtx".into(),
        publisher(RAWTX),
        "--zmq-hashblock".into(),
        publisher(HASHBLOCK),
        "--zmq-sequence".into(),
        publisher(SEQUENCE),
    ]
}

fn url(base_port: u16) -> String {
    format!("http://127.0.0.1:{}", base_port + ports::BITCOIND)
}

fn data_folder(dir: &Path) -> PathBuf {
    dir.join("bitcoind")
}

fn publisher(port: u16, offset: u16) -> String {
    format!("tcp://127.0.0.1:{}", port + offset)
}

/// An amount as bitcoind's commands take it.
fn bitcoins(sats: u64) -> String {
    format!("{}.{:08}", sats / SATS_PER_BITCOIN, sats % SATS_PER_BITCOIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_keeps_every_satoshi() {
        assert_eq!(bitcoins(1_500), "0.00001500");
        assert_eq!(bitcoins(250_000_001), "2.50000001");
    }
}
