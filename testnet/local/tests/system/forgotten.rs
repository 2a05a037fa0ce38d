//! What the nodes have forgotten is missed by nobody: effects begin with the
//! state, and a machine goes on behind what it cannot read.

use std::fs;

use anyhow::{Context, Result, ensure};
use dctrl_proto::v1::VendState;
use dctrl_testnet::{Options, SLOT_SATS, until};

use crate::{
    membership::{forgets_blocks, has_roster, have_forgotten},
    stage::{STEP_LIMIT, Stage},
};

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn a_wiped_node_votes_on_old_addresses_and_a_machine_that_was_off_sells_though_blocks_are_gone()
-> Result<()> {
    let mut stage = Stage::init(Options::default()).await?;
    for node in 0..4 {
        forgets_blocks(&stage, node)?;
    }
    stage.start().await?;
    stage.vend(SLOT_SATS).await?;
    let quote = stage.quote(SLOT_SATS).await?;
    stage.kill_agent();
    // Each gets its seat back in a block that seals; from the second one on the
    // others forget what was before the older.
    for (roster, node) in [(1, 1), (2, 2), (3, 3)] {
        stage.kill_node(node);
        if node == 3 {
            have_forgotten(&stage, &[0, 1, 2]).await?;
        }
        fs::remove_dir_all(stage.node_dir(node).join("data"))?;
        stage.start_node(node)?;
        has_roster(&stage, roster, 4).await?;
        let height = stage.client()?.status().await?.final_height;
        stage.is_sound(height).await?;
    }
    stage.kill_node(2);

    // The three that are left must all say which block is the newest, and the
    // wiped one sees what pays an address from before it was wiped.
    let paid = stage.pay(&quote).await?;
    let client = stage.client()?;
    until(STEP_LIMIT, "the wiped node's vote", async || {
        let payments = client.payments().await?;
        let of_this = payments.iter().filter(|payment| {
            payment
                .outpoint
                .as_ref()
                .is_some_and(|it| it.txid == paid.0)
        });
        let votes = of_this.flat_map(|payment| &payment.votes);
        Ok(votes.map(|vote| vote.node).find(|node| *node == 3))
    })
    .await?;
    let mined = stage.chain()?.mine(1).await?;
    stage.agrees_on_chain(mined).await?;

    stage.start_agent(&[])?;
    stage.sells().await?;
    let vend = stage.reaches(&quote.id, &[VendState::Dispensed]).await?;
    ensure!(stage.trace().pulses()?.len() == 2);
    let said = fs::read_to_string(stage.dir().join("agent.log"))?;
    ensure!(said.contains("the nodes have forgotten blocks"), "{said}");
    stage.is_sound(Stage::height_of(&vend)).await?;
    stage.vend(SLOT_SATS).await?;
    ensure!(stage.trace().pulses()?.len() == 3);
    says_what_is_missing(&stage, 3)?;
    stage.end().await
}

/// The node's event log names the blocks that it does not hold.
fn says_what_is_missing(stage: &Stage, node: usize) -> Result<()> {
    let mut folders = vec![stage.node_dir(node)];
    while let Some(folder) = folders.pop() {
        for file in fs::read_dir(&folder)? {
            let path = file?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "jsonl") {
                let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
                if text.contains("\"missing_from\"") {
                    return Ok(());
                }
            }
        }
    }
    anyhow::bail!("node {node} took over a state, and its event log does not say so")
}
