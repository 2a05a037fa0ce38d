//! `dctrl-sim`: run seeds of the simulated federation.

use clap::Parser;
use dctrl_sim::{Total, simulate};

/// Simulate federations under faults, one per seed.
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
    /// Print nothing but one JSON object as the last line.
    #[arg(long)]
    json: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut total = Total::default();
    for seed in arguments.first..arguments.first.saturating_add(arguments.seeds) {
        for nodes in &arguments.nodes {
            let report = simulate(seed, usize::from(*nodes));
            for violation in &report.violations {
                eprintln!("seed {seed} with {nodes} nodes: {violation}");
            }
            if !report.violations.is_empty() {
                eprintln!("replay: {}", report.replay_command());
            } else if !arguments.json {
                println!(
                    "seed {seed} with {nodes} nodes: {} blocks, {:?}",
                    report.blocks, report.digest
                );
            }
            total.add(&report);
        }
    }
    println!("{}", total.json());
    anyhow::ensure!(total.is_clean(), "violations were found");
    Ok(())
}
