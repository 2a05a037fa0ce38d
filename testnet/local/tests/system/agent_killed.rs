//! The agent dies at the worst places: never a second pulse, and the customer
//! has the goods or the credit.

use anyhow::{Context, Result, ensure};
use dctrl_proto::v1::{Vend, VendState};
use dctrl_testnet::{Options, Pulse, SLOT_SATS, until};

use crate::stage::{STEP_LIMIT, Stage};

/// Where a vend rests once the machine has answered.
const ENDS: [VendState; 4] = [
    VendState::Dispensed,
    VendState::Failed,
    VendState::Uncertain,
    VendState::Credited,
];

/// Kills the agent at `place` during a vend, starts it again, and gives the
/// vend at its end with the pulses of its order.
async fn die_at(place: &str) -> Result<(Vend, Vec<Pulse>)> {
    let mut stage = Stage::start(Options::default()).await?;
    stage.start_agent(&[("DCTRL_CRASH", place)])?;
    stage.sells().await?;
    let vend = stage.quote(SLOT_SATS).await?;
    stage.pay(&vend).await?;
    stage.reaches(&vend.id, &[VendState::PaymentSeen]).await?;
    stage.chain()?.mine(1).await?;
    let agent = stage.agent().context("the agent was started")?;
    until(
        STEP_LIMIT,
        format!("the agent to die at {place}"),
        async || Ok((!agent.is_alive()).then_some(())),
    )
    .await?;
    stage.start_agent(&[])?;
    let vend = stage.reaches(&vend.id, &ENDS).await?;
    let pulses = stage.trace().pulses()?;
    stage.is_sound(Stage::height_of(&vend)).await?;

    // Life goes on: the next customer is served.
    stage.sells().await?;
    let next = stage.vend(SLOT_SATS).await?;
    let all = stage.trace().pulses()?;
    ensure!(
        all.len() == pulses.len() + 1,
        "the next vend made {} pulses",
        all.len() - pulses.len()
    );
    stage.is_sound(Stage::height_of(&next)).await?;
    stage.end().await?;
    Ok((vend, pulses))
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn killed_between_the_order_and_the_pulse_intent_it_pulses_once_after_the_restart()
-> Result<()> {
    let (vend, pulses) = die_at("agent.after_armed_sync").await?;
    ensure!(vend.state() == VendState::Dispensed, "{vend:?}");
    ensure!(pulses.len() == 1, "{pulses:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn killed_between_journal_and_pulse_it_never_pulses_and_says_that_nobody_knows() -> Result<()>
{
    let (vend, pulses) = die_at("agent.after_firing_sync").await?;
    ensure!(
        matches!(vend.state(), VendState::Uncertain | VendState::Credited),
        "{vend:?}"
    );
    ensure!(pulses.is_empty(), "{pulses:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn killed_during_the_pulse_it_never_pulses_again() -> Result<()> {
    let (vend, pulses) = die_at("agent.pulse_high").await?;
    ensure!(
        matches!(vend.state(), VendState::Uncertain | VendState::Credited),
        "{vend:?}"
    );
    ensure!(pulses.len() == 1, "{pulses:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn killed_before_the_receipt_it_sends_the_receipt_after_the_restart() -> Result<()> {
    let (vend, pulses) = die_at("agent.after_settled_sync").await?;
    ensure!(vend.state() == VendState::Dispensed, "{vend:?}");
    ensure!(pulses.len() == 1, "{pulses:?}");
    Ok(())
}
