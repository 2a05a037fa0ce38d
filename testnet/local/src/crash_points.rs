//! `crash-points`: real processes die at every named crash point of a node, its
//! effects, its followers and an agent, come back, and nothing is lost or
//! doubled.
//!
//! Four nodes, a simulated chain and a machine. For each point its occasion is
//! made ([`occasion`]), one process is started so that it dies there, and is
//! started again without that. A point at which nobody dies in time fails the
//! campaign. In the end ([`checks`]) the states of all nodes are equal, the books
//! hold, each paid vend has its one pulse or waits for an operator, and the event
//! logs of all nodes, in which an effect's frames would be missing or twice, are
//! the same line by line.
//!
//! Deliberately absent: the points of the store that need full segments, seals
//! or an older schema. `node/store/tests/store/points.rs` and `crash.rs` start a
//! process of the store for each of them; here they are counted as `elsewhere`.

mod checks;
mod dying;
mod occasion;

use std::{process::ExitCode, time::Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::json;

use crate::{
    cli::Cli,
    federation::{Federation, Options},
    programs::Programs,
    story::Story,
};
use occasion::Occasion;

/// Arguments of `dctrl-testnet crash-points`.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Print the result as one JSON object on the last line
    #[arg(long)]
    pub json: bool,
    /// Only these points
    #[arg(long, value_delimiter = ',')]
    pub points: Vec<String>,
}

/// Kills and checks, and prints the result.
///
/// # Errors
/// Where the federation cannot be made; a point that is not met and a check that
/// fails are in the result, and in the exit code.
pub async fn run(arguments: Arguments, programs: Programs) -> Result<ExitCode> {
    let mut story = Story::new(arguments.json);
    let all = registered(&programs).await?;
    for wanted in &arguments.points {
        ensure!(all.contains(wanted), "there is no crash point {wanted}");
    }
    let wanted = |point: &&String| arguments.points.is_empty() || arguments.points.contains(point);
    let (here, elsewhere): (Vec<_>, Vec<_>) = all
        .iter()
        .filter(wanted)
        .map(|point| (point, Occasion::of(point)))
        .partition(|(_, occasion)| occasion.is_some());
    let begun = Instant::now();
    let folder = tempfile::Builder::new().prefix("dctrl-crash-").tempdir()?;
    let dir = folder.path().join("federation");
    let mut federation = Federation::init(Options::default(), programs, &dir).await?;
    federation.start().await?;
    let mut campaign = dying::Campaign::new(federation);
    let mut unmet = Vec::new();
    let mut met = Vec::new();
    for (point, occasion) in here {
        let Some(occasion) = occasion else { continue };
        story.step(format!("{point} ({occasion:?})"));
        match campaign.meet(point, occasion).await {
            Ok(()) => met.push(point.clone()),
            Err(error) => {
                story.tell(format!("{error:#}"));
                unmet.push(json!({"point": point, "problem": format!("{error:#}")}));
            }
        }
    }
    let checked = campaign.finish().await;
    if let Err(error) = &checked {
        story.tell(format!("{error:#}"));
    }
    let ok = unmet.is_empty() && checked.is_ok();
    let elsewhere: Vec<_> = elsewhere.into_iter().map(|(point, _)| point).collect();
    story.result(&json!({
        "ok": ok,
        "campaign": "crash-points",
        "registered": all.len(),
        "met": met.len(),
        "points": met,
        "elsewhere": elsewhere,
        "unmet": unmet,
        "violation": checked.as_ref().err().map(|error| format!("{error:#}")),
        "checked": checked.ok(),
        "seconds": begun.elapsed().as_secs(),
    }));
    if !ok {
        eprintln!("the logs are kept in {}", folder.keep().display());
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Every crash point of every program, as the programs say.
async fn registered(programs: &Programs) -> Result<Vec<String>> {
    let said = Cli::new(programs.node()).run(&["crash-points"]).await?;
    let node = said
        .ok()
        .context("the node does not name its crash points")?;
    let node = node.lines().map(str::to_owned);
    let agent = dctrl_agent::crash::CRASH_POINTS.iter();
    Ok(node.chain(agent.map(|&point| point.to_owned())).collect())
}
