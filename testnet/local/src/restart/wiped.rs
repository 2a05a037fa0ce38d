//! One of four nodes loses its disk and fetches what the others hold.

use std::{fs, time::Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{Arguments, FILL_LIMIT, filled, folder, millis};
use crate::{federation::Federation, story::Story, wait::until};

/// The node that is wiped.
const WIPED: usize = 3;
/// It takes over the state of any seal that is more than a block ahead.
const ANY_STATE: &str = "\n[store]\nsnapshot_gap = 1\n";
/// It never does.
const NO_STATE: &str = "\n[store]\nsnapshot_gap = 1000000000\n";
/// What its log says then.
const TOOK_OVER: &str = "took over the state of a seal";

pub(super) async fn measure(
    arguments: &Arguments,
    federation: &mut Federation,
    story: &mut Story,
) -> Result<Value> {
    let [actions] = arguments.actions[..] else {
        bail!("one size only with --wiped");
    };
    let settings = federation.node_dir(WIPED).join("node.toml");
    let more = if arguments.blocks {
        NO_STATE
    } else {
        ANY_STATE
    };
    fs::write(&settings, fs::read_to_string(&settings)? + more)?;
    story.step(format!("Filling four nodes with {actions} actions"));
    for node in 1..federation.len() {
        federation.start_node(node)?;
    }
    filled(federation, actions).await?;
    let height = federation.client_of(0).status().await?.final_height;
    reaches(federation, height).await?;
    story.step("Wiping one of them");
    federation.kill_node(WIPED);
    let data = federation.node_dir(WIPED).join("data");
    let copy = federation.dir().join("copy");
    // The bytes of the node that is gone: nobody writes to them.
    let begun = Instant::now();
    let bytes = folder::copy(&data, &copy)?;
    let copy_ms = millis(begun).max(1);
    fs::remove_dir_all(&copy)?;
    fs::remove_dir_all(&data)?;
    let height = federation.client_of(0).status().await?.final_height;
    let begun = Instant::now();
    federation.start_node(WIPED)?;
    reaches(federation, height).await?;
    let catch_up_ms = millis(begun);
    let by_state = fs::read_to_string(federation.node_log(WIPED))?.contains(TOOK_OVER);
    ensure!(by_state != arguments.blocks, "by a state: {by_state}");
    let fetched = folder::bytes(&data)?;
    let process = federation.node(WIPED).context("the node runs")?;
    let rss_mb = folder::resident_mb(process.id())?;
    story.tell(format!(
        "{catch_up_ms} ms for what a copy of {} MB takes {copy_ms} ms",
        bytes / 1_000_000
    ));
    Ok(json!({
        "ok": true,
        "bench": "restart",
        "wiped": true,
        "by": if by_state { "state" } else { "blocks" },
        "actions": actions,
        "catch_up_ms": catch_up_ms,
        "copy_ms": copy_ms,
        "ratio": catch_up_ms.div_ceil(copy_ms),
        "disk_mb_before": bytes / 1_000_000,
        "disk_mb_after": fetched / 1_000_000,
        "rss_mb": rss_mb,
    }))
}

async fn reaches(federation: &mut Federation, height: u64) -> Result<()> {
    let client = federation.client_of(WIPED);
    let process = federation.node(WIPED).context("the node runs")?;
    until(
        FILL_LIMIT,
        format!("the node to have block {height}"),
        async || {
            process.must_live()?;
            let status = client.status().await?;
            Ok((status.final_height >= height).then_some(()))
        },
    )
    .await
}
