//! `dctrl-testnet`: the demonstration and the end-to-end benchmark. It is
//! started by `cargo xtask demo` and `cargo xtask bench`, which build everything
//! first.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use dctrl_testnet::{
    Programs, bench, chaos, consensus, crash_points, demo, idle, payout, reorgs, restart,
};

/// Drive a federation of processes on this machine.
#[derive(Debug, Parser)]
#[command(name = "dctrl-testnet", version)]
struct Arguments {
    /// Folder of dctrl-node, dctrl and dctrl-agent [default: beside this program]
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A payment becomes one vend, shown step by step
    Demo(demo::Arguments),
    /// Money leaves the wallet, signed by two copayers
    DemoPayout(payout::Arguments),
    /// What a federation costs while nobody wants anything of it
    BenchIdle(idle::Arguments),
    /// From a payment to the machine's pin, over many vends
    BenchVend(bench::Arguments),
    /// How long a node is away after a kill, and how that grows with its history
    BenchRestart(restart::Arguments),
    /// Throughput and latency of consensus, without a ledger
    BenchConsensus(consensus::Arguments),
    /// Everything fails, in seeded ways, and nothing that was final may be lost
    Chaos(chaos::Arguments),
    /// Agents die at every step of paid vends, and no order moves a machine twice
    Vends(chaos::vends::Arguments),
    /// A process dies at each named crash point, and nothing is lost or doubled
    CrashPoints(crash_points::Arguments),
    /// Blocks of a real bitcoind are undone at each step of vends and payouts
    Reorgs(reorgs::Arguments),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let programs = match arguments.programs {
        Some(folder) => Programs::new(folder)?,
        None => Programs::find()?,
    };
    match arguments.command {
        Command::Demo(demo) => dctrl_testnet::demo::run(demo, programs).await,
        Command::DemoPayout(demo) => dctrl_testnet::payout::run(demo, programs).await,
        Command::BenchVend(bench) => dctrl_testnet::bench::run(bench, programs).await,
        Command::BenchRestart(bench) => dctrl_testnet::restart::run(bench, programs).await,
        Command::BenchIdle(bench) => dctrl_testnet::idle::run(bench, programs).await,
        Command::Chaos(campaign) => dctrl_testnet::chaos::run(campaign, programs).await,
        Command::Vends(campaign) => dctrl_testnet::chaos::vends::run(campaign, programs).await,
        Command::CrashPoints(campaign) => {
            dctrl_testnet::crash_points::run(campaign, programs).await
        }
        Command::Reorgs(campaign) => dctrl_testnet::reorgs::run(campaign, programs).await,
        Command::BenchConsensus(bench) => dctrl_testnet::consensus::run(bench, programs).await,
    }
}
