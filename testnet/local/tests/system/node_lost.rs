//! Nodes that fail: the others go on, and the lost one comes back equal.

use anyhow::{Result, ensure};
use dctrl_proto::v1::VendState;
use dctrl_testnet::{Options, SLOT_SATS};

use crate::stage::Stage;

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn the_vend_happens_though_the_machines_own_node_dies_before_the_payment() -> Result<()> {
    let mut stage = Stage::start(Options::default()).await?;
    let vend = stage.quote(SLOT_SATS).await?;
    // The machine stands at the site of the first node.
    stage.kill_node(0);
    stage.pay(&vend).await?;
    stage.reaches(&vend.id, &[VendState::PaymentSeen]).await?;
    stage.chain()?.mine(1).await?;
    let vend = stage.reaches(&vend.id, &[VendState::Dispensed]).await?;
    ensure!(stage.trace().pulses()?.len() == 1);
    stage.is_sound(Stage::height_of(&vend)).await?;
    stage.end().await
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn a_node_that_was_killed_resumes_with_the_state_of_the_others() -> Result<()> {
    let mut stage = Stage::start(Options::default()).await?;
    stage.vend(SLOT_SATS).await?;
    stage.kill_node(1);
    let missed = stage.vend(SLOT_SATS).await?;
    stage.comes_back(1, &missed).await?;

    // It takes part again: now another one may fail.
    stage.sells_without(2).await?;
    ensure!(stage.trace().pulses()?.len() == 3);
    stage.end().await
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn without_a_quorum_nothing_is_vended_and_with_it_the_vend_goes_on() -> Result<()> {
    let mut stage = Stage::start(Options::default()).await?;
    let vend = stage.quote(SLOT_SATS).await?;
    stage.kill_node(0);
    stage.kill_node(1);
    let before = stage.client()?.status().await?.final_height;
    stage.pay(&vend).await?;
    let mined = stage.chain()?.mine(1).await?;
    // The two that are left cannot certify: their final height may move only
    // by what was under way when the others died.
    stage.start_node(0)?;
    let vend = stage.reaches(&vend.id, &[VendState::Dispensed]).await?;
    ensure!(Stage::height_of(&vend) > before);
    stage.agrees_on_chain(mined).await?;
    ensure!(stage.trace().pulses()?.len() == 1);
    stage.is_sound(Stage::height_of(&vend)).await?;
    stage.end().await
}
