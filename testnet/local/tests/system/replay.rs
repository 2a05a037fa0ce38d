//! A subscriber that was not there recovers everything.

use anyhow::{Context, Result, ensure};
use dctrl_testnet::{Options, SLOT_SATS};
use serde_json::Value;

use crate::stage::Stage;

/// Certified events after `height`, verified by the command line, as one node
/// tells them.
async fn events(stage: &Stage, node: u16, height: u64) -> Result<Vec<Value>> {
    let [_, _, _, api] = stage.node_ports(node);
    let url = format!("http://127.0.0.1:{api}");
    let after = height.to_string();
    let said = stage
        .cli()
        .run(&["events", "--after", &after, "--json", "--node", &url])
        .await?
        .ok()?;
    said.lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("no JSON: {line}")))
        .collect()
}

/// Position of an event, whatever stands beside it.
fn position(event: &Value) -> Result<(u64, u64)> {
    let body = event.get("body").unwrap_or(event);
    let number = |key: &str| body.get(key).and_then(Value::as_u64);
    Ok((
        number("height").with_context(|| format!("no height: {event}"))?,
        number("sub_index").with_context(|| format!("no position: {event}"))?,
    ))
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn a_late_subscriber_gets_every_event_once_in_order_and_the_same_from_every_node()
-> Result<()> {
    let stage = Stage::start(Options::default()).await?;
    let vend = stage.vend(SLOT_SATS).await?;
    let height = Stage::height_of(&vend);
    stage.is_sound(height).await?;

    let mut told = Vec::new();
    for node in 0..4 {
        let mut positions = Vec::new();
        for event in events(&stage, node, 0).await? {
            positions.push(position(&event)?);
        }
        ensure!(
            positions.windows(2).all(|pair| pair[0] < pair[1]),
            "node {node} told events twice or out of order"
        );
        positions.retain(|(at, _)| *at <= height);
        ensure!(
            (1..=height).all(|block| positions.iter().any(|(at, _)| *at == block)),
            "node {node} left out a block"
        );
        told.push(positions);
    }
    ensure!(
        told.windows(2).all(|pair| pair[0] == pair[1]),
        "the nodes tell different stories"
    );

    let tail = events(&stage, 0, height - 1).await?;
    let (first, _) = position(tail.first().context("nothing after the last block")?)?;
    ensure!(
        first == height,
        "a replay from {} began at {first}",
        height - 1
    );
    stage.end().await
}
