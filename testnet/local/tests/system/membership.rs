//! Nodes that go and come: by approval, while the machine goes on selling.

use std::{ffi::OsString, fs};

use anyhow::{Context, Result, ensure};
use dctrl_testnet::{Options, SLOT_SATS, until};

use crate::stage::{STEP_LIMIT, Stage};

/// Runs `dctrl nodes` with these arguments and the key of a node.
async fn nodes(stage: &Stage, node: usize, arguments: &[&str]) -> Result<String> {
    let key = stage.node_dir(node).join("node.key");
    let mut all: Vec<OsString> = vec!["nodes".into()];
    all.extend(arguments.iter().map(OsString::from));
    all.extend(["--json".into(), "--key".into(), key.into_os_string()]);
    stage.cli().run(&all).await?.ok()
}

/// Proposes by the first node, and approves by these others.
pub(crate) async fn change(stage: &Stage, arguments: &[&str], others: &[usize]) -> Result<()> {
    let said = nodes(stage, 0, arguments).await?;
    let line = said.lines().last().context("the proposal says nothing")?;
    let answer: serde_json::Value = serde_json::from_str(line)?;
    let digest = answer["receipt"]["subject"].as_str().context("no digest")?;
    for &node in others {
        nodes(stage, node, &["approve", digest]).await?;
    }
    Ok(())
}

/// Waits until the first node names so many nodes in the roster of this number,
/// or in a later one.
pub(crate) async fn has_roster(stage: &Stage, number: u64, count: usize) -> Result<()> {
    until(STEP_LIMIT, format!("roster {number}"), async || {
        let arguments = ["nodes", "list", "--json"];
        let said = stage.cli().run(&arguments).await?.ok()?;
        let list: serde_json::Value = serde_json::from_str(said.trim())?;
        let roster = &list["roster"];
        let nodes = roster["nodes"].as_array().map_or(0, Vec::len);
        let reached = roster["number"].as_u64().is_some_and(|is| is >= number);
        Ok((reached && nodes == count).then_some(()))
    })
    .await
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn nodes_go_and_come_by_approval_and_the_machine_goes_on_selling() -> Result<()> {
    let mut stage = Stage::start(Options {
        nodes: 5,
        ..Options::default()
    })
    .await?;
    stage.vend(SLOT_SATS).await?;

    // Four of five approve; the fifth is asked by nobody.
    change(&stage, &["propose-remove", "echo"], &[1, 2, 3]).await?;
    has_roster(&stage, 1, 4).await?;
    stage.kill_node(4);
    // Three of the four that are left are a quorum now; of five they were not.
    stage.sells_without(3).await?;
    stage.start_node(3)?;
    stage.nodes_ready().await?;

    // It comes back with an empty disk, and fetches what was decided without it.
    fs::remove_dir_all(stage.node_dir(4).join("data"))?;
    stage.start_node(4)?;
    let key = stage.node_dir(4).join("node.key");
    let ports = stage.node_ports(4);
    let place: Vec<String> = ports
        .iter()
        .map(|port| format!("tcp://127.0.0.1:{port}"))
        .collect();
    let key = key.to_str().context("the folder's name is text")?;
    let arguments = [
        "propose-add",
        "echo",
        "--public-key",
        key,
        "--gossip",
        &place[0],
        "--bus",
        &place[1],
        "--door",
        &place[2],
    ];
    change(&stage, &arguments, &[1, 2]).await?;
    has_roster(&stage, 2, 5).await?;
    // Its key has signed what this disk does not hold, so it asks to count with
    // this one, and makes no event before.
    has_roster(&stage, 3, 5).await?;
    let vend = stage.vend(SLOT_SATS).await?;
    stage.is_sound(Stage::height_of(&vend)).await?;

    // It takes part: without it, four of five would not be there.
    stage.sells_without(2).await?;
    ensure!(stage.trace().pulses()?.len() == 4);
    stage.end().await
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn a_member_that_lost_its_disk_gets_its_seat_back_by_itself() -> Result<()> {
    let mut stage = Stage::start(Options::default()).await?;
    stage.vend(SLOT_SATS).await?;
    stage.kill_node(3);
    fs::remove_dir_all(stage.node_dir(3).join("data"))?;
    stage.start_node(3)?;
    has_roster(&stage, 1, 4).await?;
    // The change needs the signatures of all that were left, before one may go.
    let vend = stage.vend(SLOT_SATS).await?;
    stage.is_sound(Stage::height_of(&vend)).await?;
    // The others need it now.
    stage.sells_without(2).await?;
    stage.end().await
}

/// The node keeps one block behind the states that it offers.
pub(crate) fn forgets_blocks(stage: &Stage, node: usize) -> Result<()> {
    let file = stage.node_dir(node).join("node.toml");
    let text = fs::read_to_string(&file)?;
    fs::write(&file, text + "\n[store]\nkeep_blocks = 1\n")?;
    Ok(())
}

/// Waits until none of the nodes has the first block any more, so that whoever
/// comes without a disk has to take over a state.
pub(crate) async fn have_forgotten(stage: &Stage, nodes: &[usize]) -> Result<()> {
    until(STEP_LIMIT, "the first block to be forgotten", async || {
        for node in nodes {
            let client = stage.client_of(*node);
            client.status().await?;
            if client.block(1).await.is_ok() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn a_member_without_a_disk_takes_over_the_state_where_its_peers_forgot_the_blocks()
-> Result<()> {
    let mut stage = Stage::init(Options::default()).await?;
    for node in 0..4 {
        forgets_blocks(&stage, node)?;
    }
    stage.start().await?;
    stage.vend(SLOT_SATS).await?;
    // What each asks for changes the members, so that the others keep the state
    // behind it, and from the second one on forget what was before the older.
    for (roster, node) in [(1, 1), (2, 2), (3, 3)] {
        stage.kill_node(node);
        if node == 3 {
            have_forgotten(&stage, &[0, 1, 2]).await?;
        }
        fs::remove_dir_all(stage.node_dir(node).join("data"))?;
        stage.start_node(node)?;
        has_roster(&stage, roster, 4).await?;
        let vend = stage.vend(SLOT_SATS).await?;
        stage.is_sound(Stage::height_of(&vend)).await?;
    }
    let taken = |node| -> Result<usize> {
        let log = fs::read_to_string(stage.node_log(node))?;
        Ok(log.matches("took over the state of a seal").count())
    };
    // Whether the blocks are still there when the second one asks is a matter of
    // time: the others forget them as soon as they offer its seal.
    for (node, times) in [(1, 0), (3, 1)] {
        ensure!(taken(node)? == times, "node {node} took over a state");
    }
    // It takes part: without it, three of four would not be there.
    stage.sells_without(2).await?;
    ensure!(stage.trace().pulses()?.len() == 5);
    stage.end().await
}
