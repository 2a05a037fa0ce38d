//! Nodes that take the place of others, elsewhere: whoever follows the
//! federation finds them.

use std::fs;

use anyhow::{Context, Result, ensure};
use dctrl_testnet::{NODE_NAMES, Options, SLOT_SATS, until};

use crate::membership::{change, has_roster};
use crate::stage::{STEP_LIMIT, Stage};

/// From whose ports those of a successor are counted.
const SUCCESSORS: u16 = 5;

/// Another operator takes over a seat: a new key, an empty disk, other ports
/// for all but people.
async fn is_replaced(stage: &mut Stage, node: usize, others: &[usize]) -> Result<()> {
    stage.kill_node(node);
    let seat = u16::try_from(node)?;
    let (old, new) = (stage.node_ports(seat), stage.node_ports(SUCCESSORS + seat));
    let folder = stage.node_dir(node);
    for inside in ["data", "log"] {
        fs::remove_dir_all(folder.join(inside))?;
    }
    for file in ["node.key", "node.key.instance"] {
        fs::remove_file(folder.join(file))?;
    }
    let file = folder.join("node.toml");
    let mut settings = fs::read_to_string(&file)?;
    for (old, new) in old.iter().zip(&new).take(3) {
        settings = settings.replace(&format!(":{old}\""), &format!(":{new}\""));
    }
    fs::write(&file, settings.replace("[gossip]", "[gossip]\njoin = true"))?;
    let key = folder.join("node.key");
    let key = key.to_str().context("the folder's name is text")?;
    stage.cli().run(&["key", "new", key]).await?.ok()?;
    let place: Vec<String> = new
        .iter()
        .map(|port| format!("tcp://127.0.0.1:{port}"))
        .collect();
    let arguments = [
        "propose-replace",
        NODE_NAMES[node],
        "--public-key",
        key,
        "--gossip",
        &place[0],
        "--bus",
        &place[1],
        "--door",
        &place[2],
    ];
    change(stage, &arguments, others).await?;
    stage.start_node(node)
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn an_agent_vends_when_all_nodes_of_the_genesis_but_one_have_been_replaced() -> Result<()> {
    let mut stage = Stage::start(Options::default()).await?;
    stage.vend(SLOT_SATS).await?;
    for (number, node, others) in [(1, 1, [2, 3]), (2, 2, [1, 3]), (3, 3, [1, 2])] {
        is_replaced(&mut stage, node, &others).await?;
        has_roster(&stage, number, 4).await?;
        stage.nodes_ready().await?;
        let vend = stage.vend(SLOT_SATS).await?;
        stage.is_sound(Stage::height_of(&vend)).await?;
        // It has been heard of, or the next change would wait for it.
        let log = stage.node_log(node);
        until(STEP_LIMIT, "the successor to observe", async || {
            let said = fs::read_to_string(&log)?;
            Ok(said.contains("ready").then_some(()))
        })
        .await?;
    }
    // The last one that the genesis names has gone: of where the agent began,
    // nothing is left.
    stage.kill_node(0);
    let before = stage.trace().pulses()?.len();
    let vend = stage.vend(SLOT_SATS).await?;
    stage.is_sound(Stage::height_of(&vend)).await?;
    // It remembers where they are.
    stage.start_agent(&[])?;
    stage.sells().await?;
    let vend = stage.vend(SLOT_SATS).await?;
    stage.is_sound(Stage::height_of(&vend)).await?;
    ensure!(stage.trace().pulses()?.len() == before + 2);
    stage.end().await
}
