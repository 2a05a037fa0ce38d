//! `dctrl-sim`: run seeds of the simulated federation.

use std::path::PathBuf;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use dctrl_consensus::{OrderRule, Profile};
use dctrl_sim::full::{FullCampaign, Planted, Size, find_planted};
use dctrl_sim::grid::{DEPTH_MAX, Form, Grid, GridWorld};
use dctrl_sim::payouts::{self, PayoutCampaign};
use dctrl_sim::seals::Seals;
use dctrl_sim::twins::{self, Twins};
use dctrl_sim::{Campaign, RUNS_FOR_COVERAGE, Report, Rules, latency};

/// Failing runs whose graphs are drawn.
const DRAWN_MAX: usize = 3;

/// Runs of the whole system between two lines of progress.
const PROGRESS_EVERY: u64 = 16;

/// Cells of a grid between two lines of progress.
const CELLS_PROGRESS_EVERY: u64 = 256;

/// Simulate federations under faults, one per seed and number of nodes.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// What is simulated: the core alone under a toy application and liars, or
    /// the whole system, or payouts alone.
    #[arg(long, value_enum, default_value_t = WorldName::Core)]
    world: WorldName,
    /// In the whole system, how much is sold in each run.
    #[arg(long, value_enum, default_value_t = SizeName::Usual, conflicts_with = "sweep")]
    size: SizeName,
    /// Payouts of the world of payouts; each run of 50 has a seed of its own.
    #[arg(long, default_value_t = 1_000)]
    payouts: u64,
    /// In the whole system, a kill at every named crash point for each seed.
    #[arg(long)]
    sweep: bool,
    /// In the whole system, or in that of payouts, plant an error for each check,
    /// and see that it is found.
    #[arg(long, conflicts_with = "sweep")]
    planted: bool,
    /// A reorganisation of each depth at each step of a payout and of a vend; of
    /// one of these with `--world payouts` or `--world full`.
    #[arg(long, conflicts_with_all = ["sweep", "planted", "twins", "seals", "latency"])]
    grid: bool,
    /// Of the grid, only these steps, separated by commas.
    #[arg(long, value_delimiter = ',', requires = "grid")]
    steps: Vec<String>,
    /// Of the grid, only these depths, separated by commas.
    #[arg(long, value_delimiter = ',', requires = "grid", value_parser = clap::value_parser!(u32).range(1..=i64::from(DEPTH_MAX)))]
    depths: Vec<u32>,
    /// Of the grid, only these forms, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', requires = "grid")]
    forms: Vec<FormName>,
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
    /// Twins: one of four nodes runs twice, and the network is cut in all ways.
    #[arg(long, conflicts_with = "latency")]
    twins: bool,
    /// Rounds of the twins campaign.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=4))]
    rounds: u32,
    /// Groups into which the twins campaign cuts the network at most.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=5))]
    groups: u8,
    /// Every fault at every layer around a seal, for each seed.
    #[arg(long, conflicts_with_all = ["latency", "twins"])]
    seals: bool,
    /// Measure message delays from creation to execution, for links of several
    /// kinds, and how many actions a core simulates in a second.
    #[arg(long)]
    latency: bool,
    /// Where the graphs of failing runs are drawn; a folder of the system's
    /// temporary one where it is not given.
    #[arg(long)]
    pictures: Option<PathBuf>,
    /// Print one JSON object as the last line, and of the runs only those that
    /// failed.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WorldName {
    Core,
    Full,
    Payouts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SizeName {
    /// As much as at a usual site.
    Usual,
    /// Customers at every machine all the time.
    Busy,
}

/// What becomes of the transactions of blocks that are undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormName {
    /// They come back in the new blocks.
    Back,
    /// They are lost.
    Lost,
    /// A coin of the payout is spent otherwise.
    Replaced,
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
    fn numbers_of_nodes(&self) -> Vec<usize> {
        self.nodes.iter().map(|nodes| usize::from(*nodes)).collect()
    }

    fn threads(&self) -> usize {
        let available = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or_else(available)
    }

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
    if arguments.grid {
        run_grid(&arguments)
    } else if arguments.world == WorldName::Payouts {
        run_payouts(&arguments)
    } else if arguments.planted {
        run_planted()
    } else if arguments.world == WorldName::Full {
        run_full(&arguments)
    } else if arguments.twins {
        run_twins(&arguments)
    } else if arguments.seals {
        run_seals(&arguments)
    } else if arguments.latency {
        run_latency(&arguments);
        Ok(())
    } else {
        run_campaign(&arguments)
    }
}

fn run_campaign(arguments: &Arguments) -> anyhow::Result<()> {
    let campaign = Campaign {
        first: arguments.first,
        seeds: arguments.seeds,
        nodes: arguments.numbers_of_nodes(),
        rules: arguments.rules(),
        threads: arguments.threads(),
    };
    let began = Instant::now();
    let mut drawn = 0;
    let total = campaign.run(|report| {
        tell(report, arguments.json);
        if !report.violations.is_empty() && drawn < DRAWN_MAX {
            drawn += 1;
            if let Err(error) = draw(report, arguments) {
                eprintln!("the graphs cannot be drawn: {error:#}");
            }
        }
    });
    eprintln!(
        "{:.1} s on {} threads",
        began.elapsed().as_secs_f64(),
        campaign.threads
    );
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

fn tell(report: &Report, failures_only: bool) {
    let (seed, nodes) = (report.seed, report.nodes);
    for violation in &report.violations {
        eprintln!("seed {seed} with {nodes} nodes: {violation}");
    }
    if !report.violations.is_empty() {
        eprintln!("{}\nreplay: {}", report.story, report.replay_command());
    } else if !failures_only {
        println!(
            "seed {seed} with {nodes} nodes: {} blocks, {}",
            report.blocks, report.digest
        );
    }
}

/// Writes the graphs of all honest nodes, as text and as SVG.
fn draw(report: &Report, arguments: &Arguments) -> anyhow::Result<()> {
    let folder = arguments.pictures.clone();
    let folder = folder.unwrap_or_else(|| std::env::temp_dir().join("dctrl-sim"));
    std::fs::create_dir_all(&folder)?;
    for picture in &report.pictures {
        let (seed, nodes, seat) = (report.seed, report.nodes, picture.seat);
        let file = folder.join(format!("seed-{seed}-of-{nodes}-node-{seat}"));
        std::fs::write(file.with_extension("txt"), &picture.text)?;
        std::fs::write(file.with_extension("svg"), &picture.svg)?;
        eprintln!("graph: {}", file.with_extension("svg").display());
    }
    Ok(())
}

fn run_planted() -> anyhow::Result<()> {
    for (planted, stormy, what) in Planted::ALL {
        let found = find_planted(planted, stormy).unwrap_or_default();
        println!("{planted:?}: {}", found.lines().next().unwrap_or_default());
        anyhow::ensure!(found.contains(what), "{planted:?} was not found");
    }
    Ok(())
}

fn run_payouts(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.planted {
        for (planted, what) in payouts::Planted::ALL {
            let found = payouts::find_planted(*planted).unwrap_or_default();
            println!("{planted:?}: {found}");
            anyhow::ensure!(found.contains(what), "{planted:?} was not found");
        }
        return Ok(());
    }
    let campaign = PayoutCampaign {
        first: arguments.first,
        payouts: arguments.payouts,
        threads: arguments.threads(),
    };
    let began = Instant::now();
    let total = campaign.run(|report| {
        let seed = report.seed;
        for violation in &report.violations {
            eprintln!("seed {seed}: {violation}");
        }
        if !report.violations.is_empty() {
            eprintln!("{}\nreplay: {}", report.story, report.replay_command());
        } else if !arguments.json {
            let (taken, paid, digest) = (report.taken, report.paid, report.digest);
            println!("seed {seed}: {taken} taken, {paid} paid, {digest}");
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    eprintln!("{seconds:.1} s on {} threads", campaign.threads);
    println!("{}", total.json());
    anyhow::ensure!(total.is_clean(), "violations were found");
    let missing = total.missing();
    anyhow::ensure!(missing.is_empty(), "never met: {}", missing.join(", "));
    Ok(())
}

fn run_grid(arguments: &Arguments) -> anyhow::Result<()> {
    let form = |name: &FormName| match name {
        FormName::Back => Form::Back,
        FormName::Lost => Form::Lost,
        FormName::Replaced => Form::Replaced,
    };
    let grid = Grid {
        worlds: match arguments.world {
            WorldName::Core => GridWorld::ALL.to_vec(),
            WorldName::Full => vec![GridWorld::Full],
            WorldName::Payouts => vec![GridWorld::Payouts],
        },
        steps: arguments.steps.clone(),
        depths: if arguments.depths.is_empty() {
            (1..=DEPTH_MAX).collect()
        } else {
            arguments.depths.clone()
        },
        forms: arguments.forms.iter().map(form).collect(),
        first: arguments.first,
        threads: arguments.threads(),
    };
    let began = Instant::now();
    let mut cells = 0u64;
    let total = grid.run(|report| {
        cells += 1;
        let cell = &report.cell;
        for violation in &report.violations {
            eprintln!("{cell}: {violation}");
        }
        if !report.violations.is_empty() {
            eprintln!("replay: {}", cell.replay_command());
        } else if !arguments.json {
            println!("{cell}: {}", report.digest);
        } else if cells.is_multiple_of(CELLS_PROGRESS_EVERY) {
            let seconds = began.elapsed().as_secs_f64();
            eprintln!("{cells} cells, {seconds:.0} s");
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    eprintln!("{seconds:.1} s on {} threads", grid.threads);
    println!("{}", total.json());
    anyhow::ensure!(total.cells() > 0, "the grid has no such cell");
    anyhow::ensure!(total.is_clean(), "violations were found");
    Ok(())
}

fn run_full(arguments: &Arguments) -> anyhow::Result<()> {
    let campaign = FullCampaign {
        first: arguments.first,
        seeds: arguments.seeds,
        nodes: arguments.numbers_of_nodes(),
        size: match arguments.size {
            SizeName::Usual => Size::Usual,
            SizeName::Busy => Size::Busy,
        },
        rules: arguments.rules(),
        threads: arguments.threads(),
        sweep: arguments.sweep,
    };
    let began = Instant::now();
    let (mut runs, mut vends) = (0u64, 0);
    let total = campaign.run(|report| {
        let (seed, nodes) = (report.seed, report.nodes);
        (runs, vends) = (runs + 1, vends + report.vends);
        if arguments.json && runs.is_multiple_of(PROGRESS_EVERY) {
            let seconds = began.elapsed().as_secs_f64();
            eprintln!("{runs} runs, {vends} vends, {seconds:.0} s");
        }
        for violation in &report.violations {
            eprintln!("seed {seed} with {nodes} nodes: {violation}");
        }
        if !report.violations.is_empty() {
            eprintln!("{}\nreplay: {}", report.story, report.replay_command());
        } else if !arguments.json {
            println!(
                "seed {seed} with {nodes} nodes: {} vends, {} blocks, {} steps, {}",
                report.vends, report.blocks, report.steps, report.digest
            );
        }
    });
    eprintln!(
        "{:.1} s on {} threads",
        began.elapsed().as_secs_f64(),
        campaign.threads
    );
    println!("{}", total.json());
    anyhow::ensure!(total.is_clean(), "violations were found");
    let missing = total.missing();
    anyhow::ensure!(missing.is_empty(), "never met: {}", missing.join(", "));
    Ok(())
}

fn run_twins(arguments: &Arguments) -> anyhow::Result<()> {
    let rules = arguments.rules();
    let given = rules != Rules::default();
    let rules = if given {
        vec![rules.of(0)]
    } else {
        twins::standard_rules()
    };
    let mut violations = 0;
    for ordering in rules {
        let twins = Twins {
            rounds: arguments.rounds,
            groups: arguments.groups,
            ordering,
            threads: arguments.threads(),
        };
        let (sum, failed) = twins.run();
        failed.iter().for_each(|what| eprintln!("{what}"));
        violations += failed.len();
        println!("{sum}");
    }
    anyhow::ensure!(violations == 0, "violations were found");
    Ok(())
}

fn run_seals(arguments: &Arguments) -> anyhow::Result<()> {
    let seals = Seals {
        first: arguments.first,
        seeds: arguments.seeds,
        nodes: arguments.numbers_of_nodes(),
        rules: arguments.rules(),
        threads: arguments.threads(),
    };
    let (sum, failed) = seals.run();
    failed.iter().for_each(|what| eprintln!("{what}"));
    println!("{sum}");
    anyhow::ensure!(failed.is_empty(), "violations were found");
    Ok(())
}

fn run_latency(arguments: &Arguments) {
    let rows = latency::table(&arguments.numbers_of_nodes(), arguments.threads());
    if !arguments.json {
        println!("nodes profile order    shortcut links      down loss   mean    p50    p99 md");
    }
    let rows: Vec<_> = rows.iter().map(latency::Row::json).collect();
    for row in rows.iter().filter(|_| !arguments.json) {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        println!(
            "{:5} {:7} {:8} {:8} {:10} {:4} {:3.1}% {:6.2} {:6.2} {:6.2}",
            row["nodes"].as_u64().unwrap_or_default(),
            text("profile"),
            text("order"),
            row["shortcut"],
            text("links"),
            row["down"].as_u64().unwrap_or_default(),
            row["loss_per_mille"].as_f64().unwrap_or_default() / 10.0,
            row["mean_md"].as_f64().unwrap_or_default(),
            row["p50_md"].as_f64().unwrap_or_default(),
            row["p99_md"].as_f64().unwrap_or_default(),
        );
    }
    let speed: serde_json::Map<String, serde_json::Value> = arguments
        .numbers_of_nodes()
        .into_iter()
        .map(|nodes| {
            let speed = latency::actions_per_core_second(nodes, Rules::default().of(0));
            (nodes.to_string(), speed.into())
        })
        .collect();
    println!(
        "{}",
        serde_json::json!({ "rows": rows, "actions_per_core_s": speed })
    );
}
