//! Set up, demonstrate, test and tidy the project: `cargo xtask <command>`.
//!
//! This is the first thing that is built on a bare machine, so it has no
//! native dependency and links nothing of ours. Whatever needs the product's
//! crates (the federation of processes, the simulator, the model) lives in `testnet/`;
//! xtask builds it and hands over.
//!
//! Deliberately absent: any knowledge of the wire, of configuration files or
//! of how a process is started and stopped.

mod build;
mod command;
mod corruption;
mod demo;
mod deny;
mod place;
mod setup;
mod suite;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::place::Place;

/// Set up, demonstrate, test and tidy DCTRL.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install the Debian packages that a build needs; nothing to do is silent.
    Setup {
        #[command(subcommand)]
        extra: Option<Extra>,
    },
    /// Start a federation and show how a machine dispenses, or how money leaves the wallet.
    Demo(demo::Demo),
    /// Set up, build, run every test and check, as CI does.
    Test,
    /// Measure; every benchmark prints the machine-readable result last.
    Bench {
        #[command(subcommand)]
        what: Bench,
    },
    /// Kill, freeze, cut off and starve a federation of processes, and check
    /// that nothing final is lost; arguments are its own (try `--help`).
    #[command(disable_help_flag = true)]
    Chaos {
        /// Arguments for the campaign.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run the deterministic simulator; arguments are its own (try `--help`).
    #[command(disable_help_flag = true)]
    Sim {
        /// Arguments for `dctrl-sim`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Check the election of the layered profile with the model checker;
    /// arguments are its own (try `--help`).
    #[command(disable_help_flag = true)]
    Model {
        /// Arguments for `dctrl-model`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Long searches that no other command runs.
    Campaign {
        #[command(subcommand)]
        what: Campaign,
    },
    /// Check the house rules: import table, file sizes, words, top level.
    Tidy,
    /// Check advisories, licences, bans and sources with cargo-deny, which is
    /// compiled on the first use (several minutes).
    Deny,
}

#[derive(Debug, Subcommand)]
enum Extra {
    /// Fetch a bitcoind for regtest into the cache folder.
    Bitcoind,
    /// Fetch Electrum, an independent signer of payouts, into the cache folder.
    Electrum,
    /// Fetch embit, an independent implementation of descriptors and PSBTs, into the cache folder.
    Embit,
    /// Fetch ElectrumX, an Electrum server for tests, into the cache folder.
    Electrumx,
}

#[derive(Debug, Subcommand)]
enum Campaign {
    /// The election's random graphs against its definition, and twins; for
    /// changes to the election, several minutes.
    Election,
    /// Thousands of damaged files of a node and of an agent, each of which must
    /// be detected and healed; the last line is the result as JSON.
    Corruption(corruption::Corruption),
    /// Paid vends of real processes in which the machine's agent dies at each
    /// of its steps; arguments are its own (try `--help`).
    #[command(disable_help_flag = true)]
    Vends {
        /// Arguments for the campaign.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// A real process dies at each named crash point of a node, its effects, its
    /// followers and an agent; nothing may be lost or doubled. Arguments are its
    /// own (`--json`, `--points NAME,NAME`).
    #[command(disable_help_flag = true)]
    CrashPoints {
        /// Arguments for the campaign.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Blocks of a real bitcoind are undone, one to six, at each step of vends
    /// and payouts; nothing may be counted, credited or paid twice. Arguments are
    /// its own (`--json`, `--depths N,N`).
    #[command(disable_help_flag = true)]
    Reorgs {
        /// Arguments for the campaign.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// From a payment on the simulated chain to the machine's pin, over many vends.
    Vend(demo::BenchVend),
    /// Throughput and latency of consensus over processes; arguments are its
    /// own (try `--help`).
    #[command(disable_help_flag = true)]
    Consensus {
        /// Arguments for the benchmark.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// What a federation at rest costs; arguments are its own (try `--help`).
    #[command(disable_help_flag = true)]
    Idle {
        /// Arguments for the benchmark.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// How long a node is away after `kill -9`, by the length of its history;
    /// arguments are its own (try `--help`).
    #[command(disable_help_flag = true)]
    Restart {
        /// Arguments for the benchmark.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// The criterion benches of consensus and ledger.
    Core {
        /// Arguments for criterion, such as a name to filter by.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match Place::find().and_then(|place| run(&place, arguments.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(place: &Place, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Setup { extra: None } => setup::packages(),
        Command::Setup {
            extra: Some(Extra::Bitcoind),
        } => setup::bitcoind::install(place).map(drop),
        Command::Setup {
            extra: Some(Extra::Electrum),
        } => setup::electrum::install(place).map(drop),
        Command::Setup {
            extra: Some(Extra::Embit),
        } => setup::embit::install(place).map(drop),
        Command::Setup {
            extra: Some(Extra::Electrumx),
        } => setup::electrumx::install(place).map(drop),
        Command::Demo(demo) => demo.run(place),
        Command::Test => suite::run(place),
        Command::Bench {
            what: Bench::Vend(bench),
        } => bench.run(place),
        Command::Bench {
            what: Bench::Consensus { arguments },
        } => demo::driven(place, "bench-consensus", &arguments),
        Command::Bench {
            what: Bench::Idle { arguments },
        } => demo::driven(place, "bench-idle", &arguments),
        Command::Bench {
            what: Bench::Restart { arguments },
        } => demo::driven(place, "bench-restart", &arguments),
        Command::Bench {
            what: Bench::Core { arguments },
        } => build::core_benches(place, &arguments),
        Command::Chaos { arguments } => demo::faults(place, "chaos", &arguments),
        Command::Sim { arguments } => build::simulator(place, &arguments),
        Command::Model { arguments } => build::model(place, &arguments),
        Command::Campaign {
            what: Campaign::Election,
        } => build::election_campaign(place),
        Command::Campaign {
            what: Campaign::Corruption(campaign),
        } => campaign.run(place),
        Command::Campaign {
            what: Campaign::Vends { arguments },
        } => demo::driven(place, "vends", &arguments),
        Command::Campaign {
            what: Campaign::CrashPoints { arguments },
        } => demo::faults(place, "crash-points", &arguments),
        Command::Campaign {
            what: Campaign::Reorgs { arguments },
        } => {
            setup::bitcoind::install(place)?;
            demo::faults(place, "reorgs", &arguments)
        }
        Command::Tidy => tidy::run(place),
        Command::Deny => deny::run(place),
    }
}
