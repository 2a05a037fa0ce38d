//! `vends`: the agent of a machine dies at every one of its steps, one paid vend
//! after the other, and no order may move a machine twice.
//!
//! One federation, many machines ([`fleet`]), a customer at each of them
//! ([`shift`]): each vend is quoted, paid on the simulated chain, and its agent
//! dies in it, at a named crash point or by kill -9 at some moment ([`steps`]).
//! What was met is counted ([`tally`]), and in the end every vend, the pins'
//! traces, the books and the states are judged from outside ([`verdict`]).
//!
//! Deliberately absent: faults of nodes, links and disks, which are `chaos`.

mod fleet;
mod shift;
mod steps;
mod tally;
mod verdict;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use self::{fleet::Post, shift::Shared, tally::Tally, verdict::Verdict};
use super::{
    checks::{self, Findings},
    load::Running,
    manifest::ZERO_CONF_SATS,
};
use crate::{
    chain::{Chain, ChainKind},
    federation::{Federation, Options},
    programs::Programs,
    story::Story,
    trace::now_ms,
};

/// Most machines; each has an agent of its own.
const MACHINES: std::ops::RangeInclusive<i64> = 1..=48;

/// How long the miner may take to notice the end.
const FINISH_LIMIT: Duration = Duration::from_secs(10);

/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(20);

/// Blocks found at the end, so that every payment is deep enough.
const LAST_BLOCKS: u32 = 8;

/// Arguments of `dctrl-testnet vends`.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Print the result as one JSON object on the last line
    #[arg(long)]
    pub json: bool,
    /// Paid vends in which the agent dies
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub vends: u64,
    /// How many machines, each with an agent of its own
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(MACHINES))]
    pub machines: u16,
    /// How many nodes
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(4..=7))]
    pub nodes: u16,
    /// What steps and moments follow from [default: a new one]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Make the federation in this folder and keep it; else in a temporary one
    #[arg(long)]
    pub dir: Option<PathBuf>,
}

/// Runs the campaign to its end and prints what was found.
///
/// # Errors
/// Where the federation cannot be made or started. What the campaign finds is
/// no error but the exit code.
pub async fn run(arguments: Arguments, programs: Programs) -> Result<ExitCode> {
    let mut story = Story::new(arguments.json);
    let seed = arguments.seed.unwrap_or_else(now_ms);
    story.step(format!(
        "Seed {seed}: {} vends at {} machines, {} nodes",
        arguments.vends, arguments.machines, arguments.nodes
    ));
    let temporary = tempfile::Builder::new().prefix("dctrl-vends-").tempdir()?;
    let folder = match &arguments.dir {
        Some(dir) => std::path::absolute(dir)?,
        None => temporary.path().join("federation"),
    };
    let result = match campaign(&arguments, seed, programs, &folder, &mut story).await {
        Ok(result) => result,
        Err(error) => {
            let kept = temporary.keep();
            return Err(error.context(format!("the logs are in {}", kept.display())));
        }
    };
    let sound = result["ok"] == json!(true);
    if !sound && arguments.dir.is_none() {
        let kept = temporary.keep();
        story.tell(format!("logs and traces are in {}", kept.display()));
    }
    if arguments.json {
        story.result(&result);
    }
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn campaign(
    arguments: &Arguments,
    seed: u64,
    programs: Programs,
    folder: &Path,
    story: &mut Story,
) -> Result<Value> {
    let begun = Instant::now();
    let options = Options {
        nodes: arguments.nodes,
        chain: ChainKind::Simulated,
        zero_conf_sats_max: ZERO_CONF_SATS,
        zero_conf_wait_ms: Some(0),
        bitcoind: None,
    };
    let mut federation = Federation::init(options, programs.clone(), folder).await?;
    let (genesis, posts) = fleet::found(&federation, &programs, arguments.machines, seed)?;
    federation.start_chain().await?;
    for node in 0..federation.len() {
        federation.start_node(node)?;
    }
    federation.nodes_ready().await?;
    let Chain::Simulated(chain) = federation.chain()? else {
        anyhow::bail!("campaigns run on the simulated chain");
    };
    let purse = chain.purse().clone();
    let people = Running::alone(&federation, &genesis, purse, seed, Duration::ZERO)?;
    let shared = Arc::new(Shared::new(people.load().clone(), arguments.vends));
    story.step("Agents die, and customers pay");
    let posts = serve(posts, &shared, story).await?;
    story.step("All agents live again; everything is asked");
    let load = people.stop(FINISH_LIMIT).await;
    load.mine(LAST_BLOCKS).await?;
    let mut findings = checks::all(&federation, &load, story).await;
    let verdict = verdict::judge(&federation, &load, &mut findings).await;
    fleet::stop(posts, &mut findings).await;
    for killed in federation.stop().await {
        findings.violation(format!("{killed} did not stop when asked"));
    }
    let tally = shared.tally();
    let campaign = (arguments, seed, begun.elapsed());
    Ok(report(campaign, &tally, findings, &verdict, story))
}

/// Lets every machine serve its customer until there were enough vends.
async fn serve(posts: Vec<Post>, shared: &Arc<Shared>, story: &Story) -> Result<Vec<Post>> {
    let mut shifts = JoinSet::new();
    for post in posts {
        shifts.spawn(shift::work(post, shared.clone()));
    }
    let mut back = Vec::new();
    let mut progress = tokio::time::interval(PROGRESS);
    loop {
        tokio::select! {
            post = shifts.join_next() => match post {
                Some(post) => back.push(post.context("a shift has panicked")?),
                None => return Ok(back),
            },
            _ = progress.tick() => story.tell(shared.tally().progress()),
        }
    }
}

fn report(
    (arguments, seed, took): (&Arguments, u64, Duration),
    tally: &Tally,
    mut findings: Findings,
    verdict: &Verdict,
    story: &mut Story,
) -> Value {
    tally.judge(&mut findings);
    story.step(format!(
        "{} paid vends, the agent died in {} of them; {} violations",
        findings.vends, tally.harmed, findings.violation_count
    ));
    story.tell(format!("ends of vends: {:?}", findings.vends_by_end));
    for violation in &findings.violations {
        story.tell(format!("VIOLATION {violation}"));
    }
    json!({
        "ok": findings.violation_count == 0,
        "violations": findings.violation_count,
        "violation_list": findings.violations,
        "vends": findings.vends,
        "vends_with_a_kill": tally.harmed,
        "outcomes": findings.vends_by_end,
        "uncertain_by_reason": verdict.reasons,
        "kills": tally.kills(),
        "kills_by_step": tally.met,
        "least_kills_of_a_step": tally.least(),
        "never_met": tally.never_met(),
        "pulses": verdict.pulses,
        "doubled": findings.double_effects,
        "planted_double_found": verdict.planted_found,
        "lost": findings.lost_final,
        "unresolved": verdict.unresolved,
        "resets": tally.resets,
        "final_actions": findings.final_actions,
        "digests_equal": findings.digests_equal,
        "heights_compared": findings.heights_compared,
        "machines": arguments.machines,
        "nodes": arguments.nodes,
        "seed": seed,
        "seconds": took.as_secs(),
    })
}
