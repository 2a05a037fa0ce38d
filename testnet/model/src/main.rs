//! `dctrl-model`: check the layered election.

use clap::{Parser, ValueEnum};
use dctrl_model::{
    plan::{Bounds, custom, standard},
    report::Report,
    rules::Rules,
};

/// Check the layered election: agreement, with and without the unanimity
/// shortcut, and that planted errors are found.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Print nothing but one JSON object as the last line.
    #[arg(long)]
    json: bool,
    /// Check one variant of the rules only, with or without the shortcut.
    #[arg(long, value_enum)]
    shortcut: Option<Switch>,
    /// Check one variant only: so many of 4 equal first votes take the
    /// shortcut. 4 is right.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=4))]
    threshold: Option<u8>,
    /// Check one variant only: an event is strongly seen through so many of 4
    /// creators. 3 is right.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=4))]
    strongly: Option<u8>,
    /// Check one variant only: an event counts for its layer only creators of
    /// whom it knows no fork. The product counts all; both are right.
    #[arg(long)]
    layer_sees: bool,
    /// Layers of the graphs that are enumerated; without it, several bounds.
    #[arg(long, value_parser = clap::value_parser!(u8).range(2..=8))]
    layers: Option<u8>,
    /// Random graphs for each number of nodes.
    #[arg(long)]
    seeds: Option<u64>,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// The long form: wider families and more seeds; takes hours.
    #[arg(long)]
    long: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let bounds = Bounds {
        layers: arguments.layers.map(usize::from),
        first: arguments.first,
        seeds: arguments.seeds,
        long: arguments.long,
        quiet: arguments.json,
    };
    let mut report = Report::default();
    let one = arguments.threshold.is_some() || arguments.strongly.is_some();
    if one || arguments.layer_sees || arguments.shortcut.is_some() {
        let mut rules = Rules::design(4, arguments.shortcut != Some(Switch::Off));
        if let Some(threshold) = arguments.threshold {
            rules.shortcut_yes = rules.shortcut_yes.map(|_| usize::from(threshold));
            rules.shortcut_no = rules.shortcut_no.map(|_| usize::from(threshold));
        }
        rules.strongly = arguments.strongly.map_or(rules.strongly, usize::from);
        rules.layer_sees = arguments.layer_sees;
        custom(&mut report, rules, &bounds);
    } else {
        standard(&mut report, &bounds);
    }
    report.finish();
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!(
            "{} states and {} random graphs, {} violations, {} planted errors missed, {:.0} s, {} MB",
            report.states,
            report.graphs,
            report.violations,
            report.missed_controls,
            report.seconds,
            report.peak_rss_mb
        );
    }
    anyhow::ensure!(report.ok, "a check failed");
    Ok(())
}
