//! `demo` and `bench vend`: prepare the machine, build, and become the
//! testnet driver, which owns the processes and tells the story.

use std::{path::PathBuf, process::Command};

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};

use crate::{
    build::{self, Profile},
    command::become_program,
    place::Place,
    setup,
};

/// Where bitcoin comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Chain {
    /// The chain simulated by `dctrl-node sim-chain`: nothing to install.
    #[value(alias = "sim")]
    Simulated,
    /// A real bitcoind on regtest.
    Bitcoind,
}

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// A payment becomes one vend.
    Vend,
    /// Money leaves the wallet, signed by two copayers, one of them with Electrum.
    Payout,
}

/// Arguments of `cargo xtask demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// What is shown.
    #[arg(value_enum, default_value = "vend")]
    what: What,
    /// Stop after the first vend instead of waiting for Ctrl-C.
    #[arg(long)]
    once: bool,
    /// Print the result as one JSON object on the last line.
    #[arg(long)]
    json: bool,
    /// Where bitcoin comes from.
    #[arg(long, value_enum, default_value = "simulated")]
    chain: Chain,
    /// How many nodes the federation has.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(4..=10))]
    nodes: u16,
    /// Stop this many nodes before the payment.
    #[arg(long, default_value_t = 0)]
    kill: u16,
    /// Make the federation in this folder and keep it; else in a temporary one.
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl Demo {
    /// Prepares, builds and becomes the demonstration.
    ///
    /// # Errors
    /// Where the arguments contradict each other or a preparation fails.
    pub(crate) fn run(&self, place: &Place) -> Result<()> {
        // Refused now and not after a build of many minutes.
        let faults = (self.nodes - 1) / 3;
        ensure!(
            self.kill <= faults,
            "a federation of {} nodes goes on without {faults} of them, not without {}: \
             use --kill {faults} or more --nodes",
            self.nodes,
            self.kill
        );
        setup::packages()?;
        let bitcoind = match self.chain {
            Chain::Bitcoind => Some(setup::bitcoind::install(place)?),
            Chain::Simulated => None,
        };
        let electrum = match self.what {
            What::Payout => self.electrum(place),
            What::Vend => None,
        };
        build::workspace(place, Profile::Development)?;
        let mut command = driver(place, Profile::Development);
        match self.what {
            What::Vend => {
                command.arg("demo");
                command.args(["--nodes", &self.nodes.to_string()]);
                command.args(["--kill", &self.kill.to_string()]);
            }
            What::Payout => {
                command.arg("demo-payout");
            }
        }
        if let Some(electrum) = electrum {
            command.arg("--electrum").arg(electrum);
        }
        if let Some(bitcoind) = bitcoind {
            command.args(["--chain", "bitcoind"]);
            command.arg("--bitcoind").arg(bitcoind.bin);
        }
        if self.once {
            command.arg("--once");
        }
        if self.json {
            command.arg("--json");
        }
        if let Some(dir) = &self.dir {
            command.arg("--dir").arg(dir);
        }
        become_program(&mut command)
    }
}

impl Demo {
    /// Electrum, where it can be had: without it the demonstration says so.
    fn electrum(&self, place: &Place) -> Option<PathBuf> {
        match setup::electrum::install(place) {
            Ok(python) => Some(python),
            Err(error) => {
                eprintln!("Electrum cannot be installed, our own signer signs twice: {error:#}");
                None
            }
        }
    }
}

/// Arguments of `cargo xtask bench vend`.
#[derive(Debug, Args)]
pub(crate) struct BenchVend {
    /// Print the result as one JSON object on the last line.
    #[arg(long)]
    json: bool,
    /// How many vends to measure.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    vends: u32,
    /// How many nodes the federation has.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(4..=10))]
    nodes: u16,
}

impl BenchVend {
    /// Prepares, builds for release and becomes the benchmark.
    ///
    /// # Errors
    /// Where a preparation fails.
    pub(crate) fn run(&self, place: &Place) -> Result<()> {
        setup::packages()?;
        build::workspace(place, Profile::Release)?;
        let mut command = driver(place, Profile::Release);
        command.arg("bench-vend");
        command.args(["--vends", &self.vends.to_string()]);
        command.args(["--nodes", &self.nodes.to_string()]);
        if self.json {
            command.arg("--json");
        }
        become_program(&mut command)
    }
}

/// Prepares, builds for release and becomes a benchmark or campaign that reads
/// its own arguments.
///
/// # Errors
/// Where a preparation fails.
pub(crate) fn driven(place: &Place, name: &str, arguments: &[String]) -> Result<()> {
    setup::packages()?;
    build::workspace(place, Profile::Release)?;
    let mut command = driver(place, Profile::Release);
    become_program(command.arg(name).args(arguments))
}

/// Prepares, builds and becomes a campaign of faults, such as `chaos` or
/// `crash-points`, which reads its own arguments. Not for release: assertions
/// are to be on.
///
/// # Errors
/// Where a preparation fails.
pub(crate) fn faults(place: &Place, name: &str, arguments: &[String]) -> Result<()> {
    setup::packages()?;
    build::workspace(place, Profile::Development)?;
    let mut command = driver(place, Profile::Development);
    become_program(command.arg(name).args(arguments))
}

/// The testnet driver, told where its sister programs are.
fn driver(place: &Place, profile: Profile) -> Command {
    let programs = build::programs(place, profile);
    let mut command = Command::new(programs.join("dctrl-testnet"));
    command.arg("--programs").arg(programs);
    command
}
