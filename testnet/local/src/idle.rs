//! `bench-idle`: what a federation costs while nobody wants anything of it.
//!
//! All nodes with their effects, the simulated chain and one agent run as they
//! are shipped; nothing is asked of them. Only the agent's heartbeats are
//! ordered now and then, as its configuration says.

mod usage;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use self::usage::Usage;
use crate::{
    chain::ChainKind,
    federation::{Federation, Options},
    programs::Programs,
    story::Story,
};

/// Arguments of `dctrl-testnet bench-idle`.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Print the result as one JSON object on the last line
    #[arg(long)]
    pub json: bool,
    /// How many nodes
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(4..=10))]
    pub nodes: u16,
    /// Seconds that are measured
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// Seconds before them, in which everything comes to rest
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub settle: u32,
}

/// Measures and prints what each node and the agent used.
///
/// # Errors
/// Where the federation does not start or a process ends.
pub async fn run(arguments: Arguments, programs: Programs) -> Result<ExitCode> {
    let mut story = Story::new(arguments.json);
    let folder = tempfile::Builder::new().prefix("dctrl-idle-").tempdir()?;
    story.step(format!("Starting {} nodes and a machine", arguments.nodes));
    let options = Options {
        nodes: arguments.nodes,
        chain: ChainKind::Simulated,
        zero_conf_sats_max: 0,
        zero_conf_wait_ms: None,
        bitcoind: None,
    };
    let mut federation =
        Federation::init(options, programs, &folder.path().join("federation")).await?;
    let measured = measure(&arguments, &mut federation, &mut story).await;
    federation.stop().await;
    let (nodes, agent) = match measured {
        Ok(measured) => measured,
        Err(error) => {
            let kept = folder.keep();
            return Err(error.context(format!("the logs are in {}", kept.display())));
        }
    };
    story.step(format!("At rest for {} s, per second", arguments.seconds));
    for (name, rate) in (0..).map(|n| format!("node {n}")).zip(&nodes) {
        story.tell(format!("{name}: {rate}"));
    }
    story.tell(format!("agent: {agent}"));
    if arguments.json {
        story.result(&json!({
            "ok": true,
            "bench": "idle",
            "nodes": arguments.nodes,
            "seconds": arguments.seconds,
            "cpu_percent_node": mean(&nodes, |rate| Some(rate.cpu_percent)),
            "wakes_per_s_node": mean(&nodes, |rate| Some(rate.wakes_per_s)),
            "sent_bytes_per_s_node": mean(&nodes, |rate| rate.sent_bytes_per_s),
            "cpu_percent_agent": agent.cpu_percent,
            "wakes_per_s_agent": agent.wakes_per_s,
        }));
    }
    Ok(ExitCode::SUCCESS)
}

/// What a process used in one second, on average.
#[derive(Debug, Clone, Copy)]
struct Rate {
    /// Of one core.
    cpu_percent: f64,
    wakes_per_s: f64,
    sent_bytes_per_s: Option<f64>,
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.3} % of a core, {:.1} wake-ups",
            self.cpu_percent, self.wakes_per_s
        )?;
        match self.sent_bytes_per_s {
            Some(bytes) => write!(f, ", {bytes:.0} bytes sent"),
            None => Ok(()),
        }
    }
}

/// `None` where a node has none.
fn mean(rates: &[Rate], of: impl Fn(&Rate) -> Option<f64>) -> Option<f64> {
    let values = rates.iter().map(of).collect::<Option<Vec<f64>>>()?;
    Some(values.iter().sum::<f64>() / values.len() as f64)
}

async fn measure(
    arguments: &Arguments,
    federation: &mut Federation,
    story: &mut Story,
) -> Result<(Vec<Rate>, Rate)> {
    federation.start().await?;
    let mut ids = Vec::new();
    for node in 0..federation.len() {
        let process = federation.node(node).context("every node was started")?;
        ids.push(process.id());
    }
    ids.push(federation.agent().context("the agent was started")?.id());
    story.step(format!("Waiting {} s for rest", arguments.settle));
    wait(arguments.settle).await;
    let usage = || {
        ids.iter()
            .map(|id| usage::of(*id))
            .collect::<Result<Vec<_>>>()
    };
    let before = usage()?;
    story.step(format!("Measuring {} s", arguments.seconds));
    wait(arguments.seconds).await;
    let after = usage()?;
    let seconds = f64::from(arguments.seconds);
    let mut rates: Vec<Rate> = before
        .iter()
        .zip(&after)
        .map(|(before, after)| rate(before, after, seconds))
        .collect();
    let agent = rates.pop().context("the agent was measured")?;
    Ok((rates, agent))
}

async fn wait(seconds: u32) {
    tokio::time::sleep(Duration::from_secs(seconds.into())).await;
}

fn rate(before: &Usage, after: &Usage, seconds: f64) -> Rate {
    let per_second = |before: u64, after: u64| after.saturating_sub(before) as f64 / seconds;
    Rate {
        cpu_percent: per_second(before.cpu_ns, after.cpu_ns) / 1e9 * 100.0,
        wakes_per_s: per_second(before.wakes, after.wakes),
        sent_bytes_per_s: before
            .sent
            .zip(after.sent)
            .map(|(before, after)| per_second(before, after)),
    }
}
