//! An orderly end, with real processes.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use dctrl_proto::v1::VendState;
use dctrl_testnet::{Options, SLOT_SATS, until};

use crate::stage::{STEP_LIMIT, Stage};

/// Exit code where an actor did not stop in its time.
const UNSTOPPED: i32 = 4;

/// Exit code of a process that was told twice.
const TOLD_TWICE: i32 = 130;

/// Longer than all phases of a stop may take together.
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// The event logger's disk does not answer from its third line on.
const STUCK: (&str, &str) = ("DCTRL_CRASH", "effects.log.written@3!hang");

#[tokio::test]
#[ignore = "starts processes"]
async fn an_agent_told_to_stop_during_a_pulse_finishes_and_reports_it() -> Result<()> {
    let mut stage = Stage::init(Options::default()).await?;
    stage
        .start_with(&[("DCTRL_AGENT__ACTUATOR__PULSE_MS", "2000")])
        .await?;
    let vend = stage.quote(SLOT_SATS).await?;
    stage.pay(&vend).await?;
    stage.reaches(&vend.id, &[VendState::PaymentSeen]).await?;
    stage.chain()?.mine(1).await?;
    let trace = stage.trace();
    until(STEP_LIMIT, "the pin to be high", async || {
        Ok((!trace.pulses()?.is_empty()).then_some(()))
    })
    .await?;
    let agent = stage.agent().context("the agent runs")?;
    agent.ask_to_stop();
    let status = agent.stopped(STOP_LIMIT).await.context("it ends")?;
    ensure!(status.code() == Some(0), "the agent ended with {status}");
    stage.start_agent(&[])?;
    stage.reaches(&vend.id, &[VendState::Dispensed]).await?;
    ensure!(stage.trace().pulses()?.len() == 1, "one pulse for one vend");
    stage.is_sound(Stage::height_of(&vend)).await?;
    stage.end().await
}

#[tokio::test]
#[ignore = "starts processes"]
async fn an_agent_whose_actuator_is_stuck_names_it_and_never_pulses_again() -> Result<()> {
    let mut stage = Stage::init(Options::default()).await?;
    let stuck = ("DCTRL_CRASH", "agent.pulse_high!hang");
    stage.start_with(&[stuck]).await?;
    let vend = stage.quote(SLOT_SATS).await?;
    stage.pay(&vend).await?;
    stage.reaches(&vend.id, &[VendState::PaymentSeen]).await?;
    stage.chain()?.mine(1).await?;
    let log = stage.dir().join("agent.log");
    until(STEP_LIMIT, "the actuator to be stuck", async || {
        Ok(fs::read_to_string(&log)?
            .contains("pulse_high")
            .then_some(()))
    })
    .await?;
    let agent = stage.agent().context("the agent runs")?;
    agent.ask_to_stop();
    let status = agent.stopped(STOP_LIMIT).await.context("it ends")?;
    ensure!(
        status.code() == Some(UNSTOPPED),
        "the agent ended with {status}"
    );
    let said = fs::read_to_string(&log)?;
    ensure!(said.contains("actuator"), "the log does not name it");
    stage.start_agent(&[])?;
    let ends = [VendState::Uncertain, VendState::Credited];
    stage.reaches(&vend.id, &ends).await?;
    ensure!(stage.trace().pulses()?.len() <= 1, "it pulsed again");
    stage.end().await
}

#[tokio::test]
#[ignore = "starts processes"]
async fn a_stuck_actor_is_named_and_the_node_ends_with_a_code_of_its_own() -> Result<()> {
    let mut stage = with_a_stuck_logger().await?;
    let vend = stage.vend(SLOT_SATS).await?;
    let log = stage.node_log(0);
    let node = stage.node(0).context("the node runs")?;
    node.ask_to_stop();
    let status = node.stopped(STOP_LIMIT).await.context("it ends")?;
    ensure!(
        status.code() == Some(UNSTOPPED),
        "the node ended with {status}"
    );
    let said = fs::read_to_string(&log)?;
    ensure!(
        said.contains("did not stop in time: event-logger"),
        "the log does not name who was stuck"
    );
    // Everything that was acknowledged is there after the start.
    stage.start_node(0)?;
    stage.nodes_ready().await?;
    stage.is_sound(Stage::height_of(&vend)).await?;
    stage.end().await
}

#[tokio::test]
#[ignore = "starts processes"]
async fn a_second_signal_ends_a_node_at_once() -> Result<()> {
    let mut stage = with_a_stuck_logger().await?;
    let vend = stage.vend(SLOT_SATS).await?;
    let log = stage.node_log(0);
    let node = stage.node(0).context("the node runs")?;
    node.ask_to_stop();
    until(STEP_LIMIT, "the stop to begin", async || {
        Ok(fs::read_to_string(&log)?.contains("stopping").then_some(()))
    })
    .await?;
    node.ask_to_stop();
    let status = node.stopped(STOP_LIMIT).await.context("it ends")?;
    ensure!(
        status.code() == Some(TOLD_TWICE),
        "the node ended with {status}"
    );
    stage.start_node(0)?;
    stage.nodes_ready().await?;
    stage.is_sound(Stage::height_of(&vend)).await?;
    stage.end().await
}

async fn with_a_stuck_logger() -> Result<Stage> {
    let mut stage = Stage::init(Options::default()).await?;
    stage.start_chain().await?;
    stage.start_node_with(0, &[STUCK])?;
    for node in 1..stage.len() {
        stage.start_node(node)?;
    }
    stage.nodes_ready().await?;
    stage.start_agent(&[])?;
    stage.sells().await?;
    Ok(stage)
}
