//! `dctrl-sim`: run seeds of the simulated federation.

use std::time::Instant;

use clap::{Parser, ValueEnum};
use dctrl_consensus::{OrderRule, Profile};
use dctrl_sim::{Campaign, RUNS_FOR_COVERAGE, Rules};

/// Simulate federations under faults, one per seed and number of nodes.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// How many seeds to run for each number of nodes.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Numbers of nodes, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "4,7", value_parser = clap::value_parser!(u8).range(1..=16))]
    nodes: Vec<u8>,
    /// Rounds or layers; each seed decides where it is not given.
    #[arg(long, value_enum)]
    profile: Option<ProfileName>,
    /// The fair or the fast order; each seed decides where it is not given.
    #[arg(long, value_enum)]
    order: Option<OrderName>,
    /// The unanimity shortcut of the layered profile; each seed decides where
    /// it is not given.
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "on")]
    shortcut: Option<Switch>,
    /// Threads; the result does not depend on it.
    #[arg(long)]
    threads: Option<usize>,
    /// Print one JSON object as the last line, and of the runs only those that
    /// failed.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ProfileName {
    Classic,
    Layered,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OrderName {
    Received,
    Direct,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

impl Arguments {
    fn rules(&self) -> Rules {
        Rules {
            profile: self.profile.map(|name| match name {
                ProfileName::Classic => Profile::Classic,
                ProfileName::Layered => Profile::Layered,
            }),
            order: self.order.map(|name| match name {
                OrderName::Received => OrderRule::Received,
                OrderName::Direct => OrderRule::Direct,
            }),
            shortcut: self.shortcut.map(|switch| switch == Switch::On),
        }
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = arguments.threads.unwrap_or(available);
    let campaign = Campaign {
        first: arguments.first,
        seeds: arguments.seeds,
        nodes: arguments
            .nodes
            .iter()
            .map(|nodes| usize::from(*nodes))
            .collect(),
        rules: arguments.rules(),
        threads,
    };
    let began = Instant::now();
    let total = campaign.run(|report| {
        for violation in &report.violations {
            eprintln!(
                "seed {} with {} nodes: {violation}",
                report.seed, report.nodes
            );
        }
        if !report.violations.is_empty() {
            eprintln!("{}\nreplay: {}", report.story, report.replay_command());
        } else if !arguments.json {
            let (seed, nodes) = (report.seed, report.nodes);
            println!(
                "seed {seed} with {nodes} nodes: {} blocks, {}",
                report.blocks, report.digest
            );
        }
    });
    let took = began.elapsed().as_secs_f64();
    eprintln!("{took:.1} s on {threads} threads");
    let missing = total.missing();
    println!("{}", total.json());
    anyhow::ensure!(total.is_clean(), "violations were found");
    anyhow::ensure!(
        missing.is_empty(),
        "in {RUNS_FOR_COVERAGE} runs or more these were never met: {}",
        missing.join(", ")
    );
    Ok(())
}
