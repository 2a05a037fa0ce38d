//! A bitcoin payment becomes exactly one vend.

use anyhow::{Result, ensure};
use dctrl_proto::v1::VendState;
use dctrl_testnet::{ChainKind, MACHINE, Options, SLOT_FIAT, SLOT_SATS};

use crate::stage::Stage;

/// The states that a paid vend passes, in order.
const STATES: [VendState; 7] = [
    VendState::Quoted,
    VendState::Reserved,
    VendState::PaymentSeen,
    VendState::Authorised,
    VendState::Dispatched,
    VendState::Accepted,
    VendState::Dispensed,
];

async fn a_payment_is_one_vend(options: Options) -> Result<()> {
    let stage = Stage::start(options).await?;
    let vend = stage.vend(SLOT_SATS).await?;
    let passed: Vec<VendState> = vend.history.iter().map(|step| step.state()).collect();
    ensure!(passed == STATES, "the vend passed {passed:?}");

    let pulses = stage.trace().pulses()?;
    ensure!(
        pulses.len() == 1,
        "one payment made {} pulses",
        pulses.len()
    );
    ensure!(pulses[0].low_at_ms.is_some(), "the pin stayed high");
    let slot = stage.client()?.slot(MACHINE, SLOT_SATS).await?;
    ensure!(slot.sold == 1 && slot.held == 0, "the slot says {slot:?}");
    stage.is_sound(Stage::height_of(&vend)).await?;
    stage.end().await
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn a_payment_on_the_simulated_chain_is_one_vend() -> Result<()> {
    a_payment_is_one_vend(Options::default()).await
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn a_payment_on_a_real_bitcoind_is_one_vend() -> Result<()> {
    a_payment_is_one_vend(Options {
        chain: ChainKind::Bitcoind,
        ..Options::default()
    })
    .await
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn a_small_price_is_sold_on_an_unconfirmed_payment_where_the_policy_allows_it() -> Result<()>
{
    let stage = Stage::start(Options {
        zero_conf_sats_max: 1_000_000,
        ..Options::default()
    })
    .await?;
    let vend = stage.quote(SLOT_SATS).await?;
    stage.pay(&vend).await?;
    let vend = stage.reaches(&vend.id, &[VendState::Dispensed]).await?;
    ensure!(stage.trace().pulses()?.len() == 1);
    stage.is_sound(Stage::height_of(&vend)).await?;
    stage.end().await
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn two_paid_quotes_for_one_machine_are_vended_one_after_the_other() -> Result<()> {
    let stage = Stage::start(Options::default()).await?;
    stage.agrees_on_price().await?;
    let first = stage.quote(SLOT_SATS).await?;
    let second = stage.quote(SLOT_FIAT).await?;
    ensure!(first.address != second.address, "an address was used twice");
    stage.pay(&first).await?;
    stage.pay(&second).await?;
    for vend in [&first, &second] {
        stage.reaches(&vend.id, &[VendState::PaymentSeen]).await?;
    }
    stage.chain()?.mine(1).await?;
    let first = stage.reaches(&first.id, &[VendState::Dispensed]).await?;
    let second = stage.reaches(&second.id, &[VendState::Dispensed]).await?;

    let pulses = stage.trace().pulses()?;
    let sequences: Vec<u64> = pulses.iter().map(|pulse| pulse.sequence).collect();
    ensure!(
        sequences == [1, 2],
        "the pin was high for orders {sequences:?}"
    );
    ensure!(
        pulses[0]
            .low_at_ms
            .is_some_and(|low| low <= pulses[1].high_at_ms),
        "the second pulse began before the first ended: {pulses:?}"
    );
    ensure!(
        first.sequence != second.sequence,
        "two vends had the same order"
    );
    stage
        .is_sound(Stage::height_of(&first).max(Stage::height_of(&second)))
        .await?;
    stage.end().await
}
