//! `dctrl testnet`: a federation on this machine.
//!
//! `init` writes everything that its processes need, and nothing else: fresh
//! keys, one genesis, one folder a node, and the settings of this command
//! line. It never starts a process. All content but the keys follows from
//! the options.

pub mod files;
pub mod genesis;
pub mod plan;
pub mod wallet;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use crate::{failure::Failure, output::Output, submit::now_ms};
use plan::{NODES_MAX, Plan};

/// A federation on this machine, to try and to test.
#[derive(Debug, Subcommand)]
pub enum TestnetCommand {
    /// Make keys, a genesis and settings in an empty folder
    Init(InitArgs),
}

/// Options of `dctrl testnet init`.
#[derive(Args, Clone, Debug)]
pub struct InitArgs {
    /// Folder to fill; it must be empty or not exist
    #[arg(long, default_value = "testnet-data")]
    pub dir: PathBuf,
    /// Number of nodes
    #[arg(long, default_value = "4", value_parser = clap::value_parser!(u16).range(1..=i64::from(NODES_MAX)))]
    pub nodes: u16,
    /// Where bitcoin comes from
    #[arg(long, value_enum, default_value = "simulated")]
    pub chain: ChainKind,
    /// Node i uses the ports from here + 10 i; the simulated chain here + 900
    #[arg(long, default_value = "17000")]
    pub base_port: u16,
    /// Largest unconfirmed payment that counts; 0 for none
    #[arg(long, value_name = "SATS", default_value = "0")]
    pub zero_conf_sats_max: u64,
    /// How long an unconfirmed payment must have been seen [default: 10000]
    #[arg(long, value_name = "MS")]
    pub zero_conf_wait_ms: Option<u32>,
    /// Time of the genesis, milliseconds since 1970 [default: now]
    #[arg(long, value_name = "MS")]
    pub created_at_ms: Option<u64>,
    /// bitcoind's RPC
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:18443")]
    pub bitcoind_url: String,
    /// bitcoind's cookie file
    #[arg(long, value_name = "FILE", required_if_eq("chain", "bitcoind"))]
    pub bitcoind_cookie: Option<PathBuf>,
    /// bitcoind's publisher of transactions
    #[arg(long, value_name = "ENDPOINT", default_value = "tcp://127.0.0.1:28332")]
    pub zmq_rawtx: String,
    /// bitcoind's publisher of block hashes
    #[arg(long, value_name = "ENDPOINT", default_value = "tcp://127.0.0.1:28333")]
    pub zmq_hashblock: String,
    /// bitcoind's publisher of mempool sequence numbers
    #[arg(long, value_name = "ENDPOINT", default_value = "tcp://127.0.0.1:28334")]
    pub zmq_sequence: String,
}

/// Where bitcoin comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ChainKind {
    /// `dctrl-node sim-chain`
    Simulated,
    /// bitcoind on regtest
    Bitcoind,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    dir: PathBuf,
    cluster: String,
    nodes: Vec<MadeNode>,
    chain_url: Option<String>,
}

#[derive(Debug, Serialize)]
struct MadeNode {
    name: String,
    config: PathBuf,
    api: String,
}

/// Runs `dctrl testnet …`.
///
/// # Errors
/// Where the folder is not empty, the ports do not fit, or the disk refuses.
pub fn run(out: &mut Output, command: &TestnetCommand) -> Result<(), Failure> {
    let TestnetCommand::Init(args) = command;
    let made = init(args)?;
    out.show(&made, human)
}

fn init(args: &InitArgs) -> Result<Made, Failure> {
    let plan = Plan::new(args).map_err(|message| Failure::usage("testnet.ports", message))?;
    let dir = empty_folder(&args.dir)?;
    let keys = files::make_keys(&dir, &plan)?;
    let created_at_ms = args.created_at_ms.unwrap_or_else(now_ms);
    let genesis = genesis::genesis(&plan, &keys, created_at_ms);
    files::write_settings(&dir, &plan, &genesis)?;
    Ok(Made {
        cluster: hex::encode(dctrl_proto::genesis::cluster_id(&genesis)),
        nodes: plan
            .nodes
            .iter()
            .map(|node| MadeNode {
                name: node.name.to_owned(),
                config: dir.join(&node.folder).join("node.toml"),
                api: node.api_url(),
            })
            .collect(),
        chain_url: plan.chain_url(),
        dir,
    })
}

/// The folder as an absolute path, made where it did not exist.
fn empty_folder(dir: &Path) -> Result<PathBuf, Failure> {
    let what = || format!("cannot use {}", dir.display());
    fs::create_dir_all(dir).with_context(what)?;
    if fs::read_dir(dir).with_context(what)?.next().is_some() {
        return Err(Failure::usage(
            "testnet.dir",
            format!(
                "{} is not empty; name another folder with --dir",
                dir.display()
            ),
        ));
    }
    Ok(fs::canonicalize(dir).with_context(what)?)
}

fn human(made: &Made) -> String {
    let mut text = format!("cluster {}\n", made.cluster);
    if let Some(url) = &made.chain_url {
        let listen = url.trim_start_matches("http://");
        text += &format!("start the chain:  dctrl-node sim-chain --listen {listen}\n");
    }
    for node in &made.nodes {
        text += &format!(
            "start {:<8}    dctrl-node run --config {}\n",
            node.name,
            node.config.display()
        );
    }
    let agent = made.dir.join("machine-m1").join("agent.toml");
    text += &format!(
        "start the agent:  dctrl-agent --config {}\n",
        agent.display()
    );
    text + &format!(
        "then ask:         dctrl --config {} status\n",
        made.dir.join("dctrl.toml").display()
    )
}

#[cfg(test)]
mod tests;
