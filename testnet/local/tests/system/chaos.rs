//! Short campaigns: what `cargo xtask chaos` and `cargo xtask campaign vends`,
//! `crash-points` and `reorgs` do for longer.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use dctrl_testnet::{Programs, within};
use serde_json::Value;
use tokio::process::Command;

/// A minute of faults, or some vends, and the checks behind it, on a slow
/// machine.
const CAMPAIGN_LIMIT: Duration = Duration::from_secs(600);

/// Runs a campaign to its good end; its result.
async fn sound(arguments: &[&str]) -> Result<Value> {
    let mut campaign = Command::new(Programs::find()?.testnet()?);
    campaign
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let said = within(CAMPAIGN_LIMIT, "the campaign", async {
        campaign.output().await.context("it does not start")
    })
    .await?;
    let story = String::from_utf8_lossy(&said.stderr);
    let out = String::from_utf8_lossy(&said.stdout);
    let last = out.lines().last().with_context(|| story.to_string())?;
    let result: Value = serde_json::from_str(last)?;
    ensure!(said.status.success(), "{result:#}\n{story}");
    Ok(result)
}

fn number(result: &Value, key: &str) -> Option<u64> {
    result.get(key).and_then(Value::as_u64)
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn a_minute_of_every_fault_loses_and_doubles_nothing() -> Result<()> {
    let result = sound(&[
        "chaos",
        "--minutes",
        "1",
        "--nodes",
        "4",
        "--json",
        "--seed",
        "20",
    ])
    .await?;
    ensure!(number(&result, "violations") == Some(0), "{result:#}");
    ensure!(number(&result, "lost_final") == Some(0), "{result:#}");
    ensure!(number(&result, "double_effects") == Some(0), "{result:#}");
    let deaths = number(&result, "kills").zip(number(&result, "power_cuts"));
    let deaths = deaths.map_or(0, |(kills, cuts)| kills + cuts);
    ensure!(deaths > 0, "nobody was killed: {result:#}");
    ensure!(number(&result, "final_actions") > Some(20), "{result:#}");
    ensure!(
        result.get("digests_equal") == Some(&Value::Bool(true)),
        "{result:#}"
    );
    Ok(())
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn no_agent_that_dies_in_a_paid_vend_pulses_twice_or_loses_it() -> Result<()> {
    let result = sound(&[
        "vends",
        "--vends",
        "16",
        "--machines",
        "8",
        "--json",
        "--seed",
        "4",
    ])
    .await?;
    ensure!(number(&result, "violations") == Some(0), "{result:#}");
    ensure!(
        number(&result, "vends_with_a_kill") == Some(16),
        "{result:#}"
    );
    ensure!(number(&result, "kills") >= Some(16), "{result:#}");
    for none in ["doubled", "lost", "unresolved"] {
        ensure!(number(&result, none) == Some(0), "{none}: {result:#}");
    }
    ensure!(
        result.get("planted_double_found") == Some(&Value::Bool(true)),
        "{result:#}"
    );
    Ok(())
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn who_dies_at_a_named_point_of_node_effects_or_followers_loses_nothing() -> Result<()> {
    let points = [
        "node.mark.half_written",
        "node.guard.written",
        "node.acknowledge.before",
        "node.acknowledge.after",
        "store.commit.synced",
        "effects.log.half_written",
        "effects.alerts.written",
        "follow.rosters.half_written",
    ];
    let result = sound(&["crash-points", "--json", "--points", &points.join(",")]).await?;
    ensure!(
        number(&result, "met") == Some(points.len() as u64),
        "{result:#}"
    );
    Ok(())
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn blocks_undone_at_any_step_count_credit_and_pay_nothing_twice() -> Result<()> {
    let result = sound(&["reorgs", "--json", "--depths", "6,2"]).await?;
    let checked = result.get("checked").context("nothing was checked")?;
    ensure!(number(checked, "replaced") == Some(8), "{result:#}");
    ensure!(number(checked, "payouts") == Some(6), "{result:#}");
    ensure!(
        number(checked, "books_sats") == number(checked, "chain_sats"),
        "{result:#}"
    );
    Ok(())
}
