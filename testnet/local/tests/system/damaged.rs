//! A node whose files are damaged: named, set aside, fetched from the others.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use dctrl_testnet::{Options, Programs, SLOT_SATS, until};
use serde_json::Value;

use crate::stage::{STEP_LIMIT, Stage};

/// What a failed disk ends a node with.
const DISK_FAILED: i32 = 74;

fn db(command: &str, data: &Path) -> Result<(Option<i32>, Value)> {
    let Output { status, stdout, .. } = Command::new(Programs::find()?.cli())
        .args(["db", command, "--json"])
        .arg(data)
        .output()?;
    Ok((status.code(), serde_json::from_slice(&stdout)?))
}

/// Changes one byte in the middle of the last written entry's half of a file.
fn flip(path: &Path) -> Result<()> {
    let mut bytes = fs::read(path)?;
    let used = bytes.iter().rposition(|byte| *byte != 0).context("empty")?;
    bytes[used / 2] ^= 0x40;
    Ok(fs::write(path, bytes)?)
}

fn first_segment(data: &Path) -> PathBuf {
    data.join("journal").join(format!("{:020}.seg", 1))
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn a_damaged_node_is_named_set_aside_and_comes_back_equal() -> Result<()> {
    let mut stage = Stage::start(Options::default()).await?;
    stage.vend(SLOT_SATS).await?;
    stage.kill_node(1);
    let data = stage.node_dir(1).join("data");
    let (code, report) = db("check", &data)?;
    ensure!(code == Some(0) && report["sound"] == true, "{report}");

    flip(&first_segment(&data))?;
    let (code, report) = db("check", &data)?;
    ensure!(code == Some(1), "{report}");
    ensure!(
        report["findings"].to_string().contains("00001.seg"),
        "{report}"
    );
    // The node itself refuses it too.
    stage.start_node(1)?;
    let node = stage.node(1).context("it was started")?;
    let ended = until(STEP_LIMIT, "the node to refuse its data", async || {
        node.ended()
    })
    .await?;
    ensure!(ended.code() == Some(65), "{ended}");

    let (code, report) = db("repair", &data)?;
    ensure!(code == Some(0) && report["everything"] == true, "{report}");
    let aside = PathBuf::from(report["set_aside"].as_str().context("a place")?);
    ensure!(first_segment(&aside).exists(), "nothing is deleted");
    let missed = stage.vend(SLOT_SATS).await?;
    stage.comes_back(1, &missed).await?;

    // It takes part again: now another one may fail.
    stage.sells_without(2).await?;
    ensure!(stage.trace().pulses()?.len() == 3);
    stage.end().await
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn a_node_whose_disk_fails_ends_itself_and_resumes_on_a_sound_one() -> Result<()> {
    let mut stage = Stage::start(Options::default()).await?;
    stage.vend(SLOT_SATS).await?;
    stage.kill_node(1);
    stage.start_node_with(1, &[("DCTRL_CRASH", "store.commit.written@5!eio")])?;
    // At rest it would write nothing; the others sell without it.
    let missed = stage.vend(SLOT_SATS).await?;
    let node = stage.node(1).context("it was started")?;
    let limit = STEP_LIMIT.max(Duration::from_secs(60));
    let ended = until(limit, "the node to end itself", async || node.ended()).await?;
    ensure!(ended.code() == Some(DISK_FAILED), "{ended}");
    let log = fs::read_to_string(stage.node_log(1))?;
    ensure!(log.contains("the store failed, so the node stops"), "{log}");

    stage.comes_back(1, &missed).await?;
    stage.end().await
}
