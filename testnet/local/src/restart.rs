//! `bench-restart`: how long a node is away after `kill -9`, and how that grows
//! with its history.
//!
//! The folder of a federation of one node is filled in bulk by the node's own
//! engine and ledger (`dctrl-node fill`), then the node is started and killed
//! again and again while it is at work. Measured is the time from the start of
//! the process until it answers (state is served) and until it has ordered what
//! was handed in since (it takes part in consensus). Several sizes are measured
//! in one run, in the same folder, so that one sees how a restart grows. With
//! `--wiped` one of four nodes loses its disk instead, and what it fetches from
//! the others, the state of a seal or all blocks, is set against a copy of the
//! same bytes.

mod folder;
mod wiped;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::{
    federation::{Federation, Options},
    programs::Programs,
    story::Story,
    wait::until,
};

/// How long the filling may take.
const FILL_LIMIT: Duration = Duration::from_secs(6 * 3600);

/// How long one start may take before the benchmark gives up.
const START_LIMIT: Duration = Duration::from_secs(120);

/// What is handed in after each start, so that the next kill comes at work.
const WORK: u64 = 20_000;

/// Blocks of that work before the kill.
const BLOCKS_BEFORE_KILL: u64 = 3;

/// Arguments of `dctrl-testnet bench-restart`.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Print the result as one JSON object on the last line
    #[arg(long)]
    pub json: bool,
    /// Actions in the node's history; several sizes, ascending, are measured one
    /// after the other
    #[arg(long, default_value = "100000", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub actions: Vec<u64>,
    /// How often it is killed at each size
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub restarts: u32,
    /// Wipe one of four nodes instead, and let it catch up from the others
    #[arg(long)]
    pub wiped: bool,
    /// Let the wiped node fetch all blocks instead of the state of a seal
    #[arg(long, requires = "wiped")]
    pub blocks: bool,
}

/// One start after a kill.
#[derive(Debug, Clone, Copy, Serialize)]
struct Start {
    /// Until the API answered, milliseconds.
    answers_ms: u64,
    /// Until a block was ordered and certified, milliseconds.
    orders_ms: u64,
}

/// Measures and prints the result.
///
/// # Errors
/// Where a node does not come up again.
pub async fn run(arguments: Arguments, programs: Programs) -> Result<ExitCode> {
    let mut story = Story::new(arguments.json);
    let folder = tempfile::Builder::new().prefix("dctrl-bench-").tempdir()?;
    let options = Options {
        nodes: if arguments.wiped { 4 } else { 1 },
        ..Options::default()
    };
    let dir = folder.path().join("federation");
    let mut federation = Federation::init(options, programs, &dir).await?;
    federation.start_chain().await?;
    let measured = if arguments.wiped {
        wiped::measure(&arguments, &mut federation, &mut story).await
    } else {
        measure(&arguments, &mut federation, &mut story).await
    };
    federation.stop().await;
    match measured {
        Ok(result) => story.result(&result),
        Err(error) => {
            let kept = folder.keep();
            return Err(error.context(format!("the logs are in {}", kept.display())));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure(
    arguments: &Arguments,
    federation: &mut Federation,
    story: &mut Story,
) -> Result<serde_json::Value> {
    let mut sizes = Vec::new();
    let mut filled = 0;
    for actions in &arguments.actions {
        ensure!(*actions > filled, "the sizes must ascend");
        story.step(format!("Filling a node up to {actions} actions"));
        federation.kill_node(0);
        let begun = Instant::now();
        federation
            .fill_node(0, actions - filled, FILL_LIMIT)
            .await?;
        filled = *actions;
        let fill_s = begun.elapsed().as_secs();
        story.tell(format!("{fill_s} s"));
        let mut size = restarted(arguments.restarts, federation, story).await?;
        size["actions"] = json!(actions);
        size["fill_s"] = json!(fill_s);
        sizes.push(size);
    }
    let mut result = sizes.last().cloned().context("at least one size")?;
    result["ok"] = json!(true);
    result["bench"] = json!("restart");
    if sizes.len() > 1 {
        result["sizes"] = json!(sizes);
    }
    Ok(result)
}

/// Kills it so often at work; gives the figures.
async fn restarted(
    restarts: u32,
    federation: &mut Federation,
    story: &mut Story,
) -> Result<serde_json::Value> {
    story.step(format!("Killing it {restarts} times at work"));
    // The first start is behind an orderly end, so it does not count.
    killed_and_started(federation).await?;
    let mut starts = Vec::new();
    let mut rss_mb = 0;
    for number in 1..=restarts {
        let start = killed_and_started(federation).await;
        let start = start.with_context(|| format!("start {number} failed"))?;
        let process = federation.node(0).context("the node runs")?;
        rss_mb = rss_mb.max(folder::resident_mb(process.id())?);
        starts.push(start);
    }
    let disk_mb = folder::bytes(&federation.node_dir(0).join("data"))? / 1_000_000;
    let mut figures = json!({
        "restarts": starts.len(),
        "disk_mb": disk_mb,
        "rss_mb_max": rss_mb,
    });
    for (name, of) in [
        (
            "answers",
            (|start: &Start| start.answers_ms) as fn(&Start) -> u64,
        ),
        ("orders", |start: &Start| start.orders_ms),
    ] {
        let mut all: Vec<u64> = starts.iter().map(of).collect();
        all.sort_unstable();
        for (figure, percent) in [("p50", 50), ("p90", 90), ("p99", 99)] {
            let rank = (all.len() * percent).div_ceil(100);
            let found = all.get(rank.saturating_sub(1)).copied().unwrap_or(0);
            figures[format!("{name}_{figure}_ms")] = json!(found);
            story.tell(format!("{name}, {figure}: {found} ms"));
        }
        figures[format!("{name}_ms")] = json!(all);
    }
    story.tell(format!("{disk_mb} MB on disk, {rss_mb} MB in memory"));
    Ok(figures)
}

/// Starts node 0 with so many actions to hand in, and waits until they are final.
async fn filled(federation: &mut Federation, actions: u64) -> Result<()> {
    federation.start_node_filled(0, actions)?;
    let log = federation.node_log(0);
    let process = federation.node(0).context("the node was started")?;
    until(FILL_LIMIT, "the node to be filled", async || {
        process.must_live()?;
        let said = std::fs::read_to_string(&log)?;
        Ok(said.contains("filled, final").then_some(()))
    })
    .await
}

async fn killed_and_started(federation: &mut Federation) -> Result<Start> {
    let client = federation.client_of(0);
    federation.kill_node(0);
    let begun = Instant::now();
    federation.start_node_filled(0, WORK)?;
    let process = federation.node(0).context("the node was started")?;
    let before = until(START_LIMIT, "the node to answer", async || {
        process.must_live()?;
        Ok(Some(client.status().await?.height))
    })
    .await?;
    let answers_ms = millis(begun);
    let reaches = async |height| {
        until(START_LIMIT, format!("block {height}"), async || {
            let status = client.status().await?;
            Ok((status.final_height >= height).then_some(()))
        })
        .await
    };
    reaches(before + 1).await?;
    let orders_ms = millis(begun);
    reaches(before + BLOCKS_BEFORE_KILL).await?;
    Ok(Start {
        answers_ms,
        orders_ms,
    })
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
