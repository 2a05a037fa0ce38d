//! Bad settings are refused at the start, all faults at once.

use std::fs;

use anyhow::{Context, Result, ensure};
use dctrl_testnet::{Options, within};

use crate::stage::{STEP_LIMIT, Stage};

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn a_node_refuses_a_bad_file_and_names_every_fault() -> Result<()> {
    let mut stage = Stage::init(Options::default()).await?;
    let file = stage.node_dir(0).join("node.toml");
    let good = fs::read_to_string(&file)?;
    let bad = good
        .replace("key = \"node.key\"\n", "kye = \"node.key\"\n")
        .replace("backend = \"simulated\"", "backend = \"litecoin\"");
    ensure!(
        bad != good,
        "the file has no such settings any more: {good}"
    );
    let bad = format!("{bad}\n[gossip.extra]\nspeed = 9\n");
    fs::write(&file, bad)?;

    stage.start_node(0)?;
    let node = stage.node(0).context("the node was started")?;
    let status = within(STEP_LIMIT, "the refusal", async {
        node.stopped(STEP_LIMIT)
            .await
            .context("the node runs with a bad file")
    })
    .await?;
    ensure!(status.code() == Some(1), "it ended with {status}");
    let log = fs::read_to_string(node.log())?;
    for fault in ["kye", "`key`", "litecoin", "gossip.extra"] {
        ensure!(log.contains(fault), "{fault} is not named in: {log}");
    }
    stage.end().await
}
