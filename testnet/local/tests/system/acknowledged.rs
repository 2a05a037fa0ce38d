//! What became of an action, asked of a node that never saw it, and checked.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use dctrl_testnet::{MACHINE, Options, SLOT_SATS};
use serde_json::Value;

use crate::stage::Stage;

/// An action is void so long after its request id was made, by the command line.
const VALID: Duration = Duration::from_secs(600);

fn restock(request_id: &str) -> Vec<String> {
    [
        "slots",
        "restock",
        "--machine",
        MACHINE,
        "--slot",
        SLOT_SATS,
        "--shrinkage",
        "1",
        "--reason",
        "eaten",
        "--request-id",
        request_id,
    ]
    .map(str::to_owned)
    .to_vec()
}

/// A request id that was made so long ago.
fn made_ago(ago: Duration) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let made_ms = (now - ago).as_millis();
    Ok(format!("{made_ms:012x}{:020x}", std::process::id()))
}

fn borrowed(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[tokio::test]
#[ignore = "starts processes"]
async fn an_action_has_one_answer_on_every_node_and_it_is_proven() -> Result<()> {
    let stage = Stage::start(Options::default()).await?;
    let cli = stage.cli();
    let request = made_ago(Duration::ZERO)?;
    let arguments = restock(&request);
    let first = cli.json(&borrowed(&arguments)).await?;
    ensure!(first["final"]["signed"].as_u64() >= Some(3), "{first}");
    let id = first["action_id"].as_str().context("an id")?.to_owned();
    for node in 0..4 {
        let url = format!("http://127.0.0.1:{}", stage.node_ports(node)[3]);
        // Also a node that never saw it, once it has the block.
        let asked = ["action", &id, "--wait", "final", "--node", &url];
        let told = cli.json(&asked).await?;
        ensure!(told["stage"] == "Final", "{told}");
        ensure!(told["receipt"] == first["receipt"], "{told}");
        ensure!(told["final"]["signed"].as_u64() >= Some(3), "{told}");
        let mut again = arguments.clone();
        again.extend(["--node".to_owned(), url]);
        let again = cli.json(&borrowed(&again)).await?;
        ensure!(again["receipt"] == first["receipt"], "{again}");
    }
    let slot = stage.client()?.slot(MACHINE, SLOT_SATS).await?;
    ensure!(slot.shrinkage == 1, "one effect, not {}", slot.shrinkage);
    stage.end().await
}

#[tokio::test]
#[ignore = "starts processes"]
async fn an_action_that_came_too_late_has_expired_on_every_node() -> Result<()> {
    let stage = Stage::start(Options::default()).await?;
    let cli = stage.cli();
    let request = made_ago(VALID + Duration::from_secs(1))?;
    let said = cli.run(&borrowed(&restock(&request))).await?;
    ensure!(said.err.contains("action.expired"), "{}", said.err);
    // Its id is nowhere, but its expiry is in the request id.
    let unknown = "ab".repeat(32);
    for node in 0..4 {
        let url = format!("http://127.0.0.1:{}", stage.node_ports(node)[3]);
        let of_request = [
            "action",
            &unknown,
            "--request-id",
            &request,
            "--kind",
            "slot.restock",
            "--wait",
            "final",
            "--node",
            &url,
        ];
        let told: Value = cli.json(&of_request).await?;
        ensure!(told["stage"] == "Expired", "{told}");
        ensure!(told["final"]["signed"].as_u64() >= Some(3), "{told}");
        let bare = cli.run(&["action", &unknown, "--node", &url]).await?;
        ensure!(bare.code == 4, "not found, but {}", bare.code);
    }
    let slot = stage.client()?.slot(MACHINE, SLOT_SATS).await?;
    ensure!(slot.shrinkage == 0, "it had an effect");
    stage.end().await
}
