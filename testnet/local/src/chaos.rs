//! `chaos`: everything fails, in seeded ways, and nothing that was final may be
//! lost or happen twice.
//!
//! Real processes, driven from outside: a relay stands on every connection
//! ([`relay`]), each node has a network of its own ([`nets`]), processes are killed and frozen by their own ids ([`world`]),
//! disks forget what was not synced ([`volume`]), people use the federation all
//! the while ([`load`]) and remember every final answer ([`promises`]). In the
//! end everything is asked again, of every node ([`checks`]).
//!
//! Federation and schedule follow from the seed; what processes make of the
//! time does not, so a seed replays the faults, and not every interleaving.
//!
//! Deliberately absent: any look into a node. What is not told at a public
//! door or in the machine's trace is not judged.

mod apart;
mod campaign;
mod checks;
mod disks;
mod flood;
mod load;
mod manifest;
mod nets;
mod places;
mod promises;
mod relay;
mod report;
mod schedule;
pub mod vends;
mod volume;
mod watch;
mod weather;
mod world;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::Args;

pub use self::schedule::Theme;
use self::{
    apart::Grounds,
    campaign::Campaign,
    manifest::Manifest,
    schedule::{Means, Schedule},
};
use crate::{programs::Programs, random::Random, story::Story, trace::now_ms};

/// Fewest and most nodes of a campaign.
const NODES: std::ops::RangeInclusive<i64> = 4..=7;

/// Arguments of `dctrl-testnet chaos`.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Print the result as one JSON object on the last line
    #[arg(long)]
    pub json: bool,
    /// How long to maltreat the federation; checks come after
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub minutes: u64,
    /// What federation and faults follow from [default: a new one]
    #[arg(long)]
    pub seed: Option<u64>,
    /// How many nodes [default: by the seed, 4 to 7]
    #[arg(long, value_parser = clap::value_parser!(u16).range(NODES))]
    pub nodes: Option<u16>,
    /// What the campaign is about
    #[arg(long, value_enum, default_value = "mixed")]
    pub theme: Theme,
    /// Play this schedule instead of one that is drawn
    #[arg(long, value_name = "FILE")]
    pub schedule: Option<PathBuf>,
    /// Print the schedule and end: nothing is started
    #[arg(long)]
    pub plan: bool,
    /// Whether nodes live on disks that lose power, which takes FUSE
    #[arg(long, value_enum, default_value = "auto")]
    pub disks: Wanted,
    /// Whether each node has a network of its own, which takes network
    /// namespaces
    #[arg(long, value_enum, default_value = "auto")]
    pub nets: Wanted,
    /// Make the federation in this folder and keep it; else in a temporary one
    #[arg(long)]
    pub dir: Option<PathBuf>,
}

/// Whether something is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Wanted {
    /// Where the machine has it.
    Auto,
    /// Or the campaign fails.
    Required,
    /// Not at all.
    Off,
}

/// Runs a campaign to its end and prints what was found.
///
/// # Errors
/// Where the federation cannot be made or started. What a campaign finds is no
/// error but the exit code.
pub async fn run(arguments: Arguments, programs: Programs) -> Result<ExitCode> {
    let mut story = Story::new(arguments.json);
    let grounds = apart::prepare(arguments.disks, arguments.nets, &story)?;
    let seed = arguments.seed.unwrap_or_else(now_ms);
    let plan = match &arguments.schedule {
        Some(file) => Schedule::read(file)?,
        None => {
            let nodes = arguments
                .nodes
                .map_or_else(|| drawn_nodes(seed), usize::from);
            let means = Means {
                disks: grounds.disks,
                nets: grounds.nets,
                places: &places::of_node(&programs)?,
            };
            Schedule::draw(seed, nodes, arguments.minutes, arguments.theme, &means)
        }
    };
    if arguments.plan {
        story.result(&plan);
        return Ok(ExitCode::SUCCESS);
    }
    let manifest = Manifest::draw(plan.seed);
    story.step(headline(&plan, &arguments, grounds));
    story.tell(format!("{manifest:?}"));
    let temporary = tempfile::Builder::new().prefix("dctrl-chaos-").tempdir()?;
    let folder = match &arguments.dir {
        Some(dir) => std::path::absolute(dir)?,
        None => temporary.path().join("federation"),
    };
    let campaign = Campaign {
        minutes: arguments.minutes,
        plan,
        manifest,
        theme: arguments.theme,
        grounds,
    };
    let report = match campaign.run(programs, &folder, &mut story).await {
        Ok(report) => report,
        Err(error) => {
            let kept = temporary.keep();
            return Err(error.context(format!("the logs are in {}", kept.display())));
        }
    };
    report.tell(&mut story);
    let sound = report.is_sound();
    if !sound && arguments.dir.is_none() {
        let kept = temporary.keep();
        story.tell(format!("logs and schedule are in {}", kept.display()));
    }
    if arguments.json {
        story.result(&report.into_json().context("no report")?);
    }
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn headline(plan: &Schedule, arguments: &Arguments, grounds: Grounds) -> String {
    let either = |has, yes: &'static str, no| if has { yes } else { no };
    format!(
        "Seed {}: {} nodes, {} minutes of {:?}, disks {}, {}",
        plan.seed,
        plan.nodes,
        arguments.minutes,
        arguments.theme,
        either(grounds.disks, "that lose power", "as they are"),
        either(grounds.nets, "a network for each node", "one network"),
    )
}

fn drawn_nodes(seed: u64) -> usize {
    let drawn = Random::part(seed, "nodes").between(4, 7);
    usize::try_from(drawn).unwrap_or(4)
}
