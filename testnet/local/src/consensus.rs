//! `bench-consensus`: throughput and latency of consensus alone.
//!
//! Node processes run the engine of `dctrl-node` (core, gossip over CURVE,
//! signature checks, synced storage) with an application that gives the bytes
//! no meaning; this process is the load. A transaction's delay counts from the
//! moment at which it was due, until the last node has executed its block and
//! synced it. All clocks are the one of this machine.

mod histogram;
mod load;
mod nodes;
mod outcome;
mod signed;
mod table;
mod tally;
mod usage;
mod work;

use std::{process::ExitCode, time::Duration};

use anyhow::{Result, ensure};
use clap::{ArgAction, Args, ValueEnum};

use self::{nodes::Nodes, outcome::Outcome, signed::Signed};
use crate::{programs::Programs, story::Story};

/// Arguments of `dctrl-testnet bench-consensus`.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Print the result as one JSON object on the last line
    #[arg(long)]
    pub json: bool,
    /// How many nodes
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=31))]
    pub nodes: u16,
    /// Bytes of a transaction
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(16..=100_000))]
    pub payload: u32,
    /// Transactions a second over all nodes, or `max`
    #[arg(long, default_value = "1000")]
    pub rate: Rate,
    /// Seconds that are measured
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// Seconds of the same load before them
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=600))]
    pub warmup: u32,
    /// Whether a write is on disk before it counts
    #[arg(long, default_value = "on", action = ArgAction::Set)]
    pub sync: Switch,
    /// Whether gossip is encrypted
    #[arg(long, default_value = "on", action = ArgAction::Set)]
    pub encrypt: Switch,
    /// Order by rounds, as published, instead of layers
    #[arg(long)]
    pub classic: bool,
    /// Order as soon as one judge knows an event
    #[arg(long)]
    pub direct: bool,
    /// Decide only by counted votes, also where enough first votes agree
    #[arg(long)]
    pub no_unanimity: bool,
    /// Each transaction is a signed action that the ledger of every node checks
    /// and executes
    #[arg(long)]
    pub signed_actions: bool,
    /// Measure all rows of `benches/README.md`, as a table
    #[arg(long)]
    pub table: bool,
    /// Keep the nodes' folders and logs
    #[arg(long)]
    pub keep: bool,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Yes.
    On,
    /// No.
    Off,
}

/// How much load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// So many transactions a second.
    Fixed(f64),
    /// As many as are committed without being refused.
    Max,
}

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.parse::<f64>() {
            Ok(rate) if (0.0..=1e7).contains(&rate) => Ok(Self::Fixed(rate)),
            _ => Err("a number of transactions a second, or `max`".to_owned()),
        }
    }
}

/// Offered to find out how much is committed, transactions a second: far more
/// than any federation on one machine takes.
const FLOOD_RATE: f64 = 400_000.0;

/// How long it is offered.
const FLOOD_SECONDS: u32 = 6;

/// Of what a flood commits, this is offered first; each further attempt offers
/// less by the same share.
const MAX_SHARE: f64 = 0.95;

/// Attempts to find a rate at which nothing is refused.
const ATTEMPTS: u32 = 5;

/// Measures and tells.
///
/// # Errors
/// Where a node does not start or ends early.
pub async fn run(arguments: Arguments, programs: Programs) -> Result<ExitCode> {
    let mut story = Story::new(arguments.json);
    let json = arguments.json;
    if arguments.table {
        let work = move || table::measure_all(&arguments, &programs, &mut story);
        tokio::task::spawn_blocking(work).await??;
        return Ok(ExitCode::SUCCESS);
    }
    let outcome =
        tokio::task::spawn_blocking(move || measure(&arguments, &programs, &mut story)).await??;
    let mut story = Story::new(json);
    story.step("Result");
    story.tell(&outcome);
    if json {
        story.result(&outcome.json());
    }
    let code = if outcome.is_sound() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    };
    Ok(code)
}

fn measure(arguments: &Arguments, programs: &Programs, story: &mut Story) -> Result<Outcome> {
    match arguments.rate {
        Rate::Fixed(rate) => once(arguments, programs, story, rate, arguments.seconds),
        Rate::Max => {
            let flood = once(arguments, programs, story, FLOOD_RATE, FLOOD_SECONDS)?;
            story.tell(&flood);
            let mut rate = flood.committed_tx_per_s() * MAX_SHARE;
            let mut attempt = 1;
            loop {
                let outcome = once(arguments, programs, story, rate, arguments.seconds)?;
                if outcome.keeps_up() || attempt == ATTEMPTS {
                    return Ok(outcome);
                }
                story.tell(&outcome);
                rate *= MAX_SHARE;
                attempt += 1;
            }
        }
    }
}

/// One federation, one load.
fn once(
    arguments: &Arguments,
    programs: &Programs,
    story: &mut Story,
    rate: f64,
    seconds: u32,
) -> Result<Outcome> {
    story.step(format!(
        "{} nodes, {rate:.0} transactions of {} bytes a second for {} + {seconds} s",
        arguments.nodes, arguments.payload, arguments.warmup
    ));
    let folder = tempfile::Builder::new().prefix("dctrl-bench-").tempdir()?;
    let signed = arguments
        .signed_actions
        .then(|| Signed::prepare(arguments, programs, &folder.path().join("ledger")))
        .transpose()?;
    let signed = signed.as_ref();
    let mut nodes = Nodes::start(arguments, programs, signed, folder.path())?;
    let span = Duration::from_secs(seconds.into());
    let measured = work::run(arguments, &mut nodes, signed, rate, span);
    nodes.stop();
    if measured.is_err() || arguments.keep {
        let kept = folder.keep();
        story.tell(format!("the logs are in {}", kept.display()));
    }
    let outcome = measured?;
    ensure!(
        outcome.digests_equal(),
        "two nodes executed the same block with different results"
    );
    Ok(outcome)
}
