//! A short campaign of faults: what `cargo xtask chaos` does for hours.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use dctrl_testnet::{Programs, within};
use serde_json::Value;
use tokio::process::Command;

/// A minute of faults, and the checks behind it, on a slow machine.
const CAMPAIGN_LIMIT: Duration = Duration::from_secs(600);

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn a_minute_of_every_fault_loses_and_doubles_nothing() -> Result<()> {
    let mut campaign = Command::new(Programs::find()?.testnet()?);
    campaign
        .args(["chaos", "--minutes", "1", "--nodes", "4", "--json"])
        .args(["--seed", "20"])
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
    let number = |key: &str| result.get(key).and_then(Value::as_u64);
    ensure!(number("violations") == Some(0), "{result:#}");
    ensure!(number("lost_final") == Some(0), "{result:#}");
    ensure!(number("double_effects") == Some(0), "{result:#}");
    let deaths = number("kills").zip(number("power_cuts"));
    let deaths = deaths.map_or(0, |(kills, cuts)| kills + cuts);
    ensure!(deaths > 0, "nobody was killed: {result:#}");
    ensure!(number("final_actions") > Some(20), "{result:#}");
    ensure!(
        result.get("digests_equal") == Some(&Value::Bool(true)),
        "{result:#}"
    );
    Ok(())
}
