//! Payments that are not what was asked for: nothing is dispensed twice, no
//! money disappears.

use anyhow::{Context, Result, ensure};
use dctrl_proto::v1::{PaymentState, VendState};
use dctrl_testnet::{Options, SLOT_SATS};

use crate::stage::Stage;

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn a_payment_that_is_replaced_before_it_counts_vends_nothing() -> Result<()> {
    let stage = Stage::start(Options::default()).await?;
    let vend = stage.quote(SLOT_SATS).await?;
    let elsewhere = stage.quote(SLOT_SATS).await?;
    let txid = stage.pay(&vend).await?;
    stage.reaches(&vend.id, &[VendState::PaymentSeen]).await?;

    // The payer sends the same coins to another quote's address instead.
    let other = stage
        .chain()?
        .replace(txid, &elsewhere.address, elsewhere.price_sats)
        .await?;
    stage.payment(txid, PaymentState::Replaced).await?;
    stage.chain()?.mine(1).await?;
    stage.payment(other, PaymentState::Confirmed).await?;

    let paid = stage
        .reaches(&elsewhere.id, &[VendState::Dispensed])
        .await?;
    let unpaid = stage.client()?.vend(&vend.id).await?;
    ensure!(
        matches!(unpaid.state(), VendState::Quoted | VendState::Reserved),
        "{unpaid:?}"
    );
    ensure!(unpaid.sequence == 0, "an order was given: {unpaid:?}");
    ensure!(stage.trace().pulses()?.len() == 1);
    stage.is_sound(Stage::height_of(&paid)).await?;
    stage.end().await
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn the_second_payment_of_a_quote_is_credited_and_not_vended() -> Result<()> {
    let stage = Stage::start(Options::default()).await?;
    let vend = stage.quote(SLOT_SATS).await?;
    stage.pay(&vend).await?;
    stage.reaches(&vend.id, &[VendState::PaymentSeen]).await?;
    stage.chain()?.mine(1).await?;
    stage.reaches(&vend.id, &[VendState::Dispensed]).await?;

    let again = stage.pay(&vend).await?;
    stage.chain()?.mine(1).await?;
    let payment = stage.payment(again, PaymentState::Confirmed).await?;
    ensure!(payment.booked, "the money was not booked: {payment:?}");
    let vend = stage.client()?.vend(&vend.id).await?;
    ensure!(vend.state() == VendState::Dispensed, "{vend:?}");
    ensure!(vend.credited_sats == vend.price_sats, "{vend:?}");
    ensure!(stage.trace().pulses()?.len() == 1);
    stage.is_sound(Stage::height_of(&vend)).await?;
    stage.end().await
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn a_payment_below_the_price_vends_nothing_and_the_rest_completes_it() -> Result<()> {
    let stage = Stage::start(Options::default()).await?;
    let vend = stage.quote(SLOT_SATS).await?;
    let part = stage
        .chain()?
        .pay(&vend.address, vend.price_sats - 1_000)
        .await?;
    stage.chain()?.mine(1).await?;
    let payment = stage.payment(part, PaymentState::Confirmed).await?;
    ensure!(payment.amount_sats == vend.price_sats - 1_000);
    let waiting = stage.client()?.vend(&vend.id).await?;
    ensure!(waiting.sequence == 0, "an order was given: {waiting:?}");
    ensure!(stage.trace().pulses()?.is_empty());

    stage.chain()?.pay(&vend.address, 1_000).await?;
    stage.chain()?.mine(1).await?;
    let vend = stage.reaches(&vend.id, &[VendState::Dispensed]).await?;
    ensure!(vend.received_sats == vend.price_sats, "{vend:?}");
    ensure!(stage.trace().pulses()?.len() == 1);
    let (accounts, _) = stage.client()?.balances().await?;
    accounts
        .iter()
        .find(|(_, balance)| *balance != 0)
        .context("the books are empty after a vend")?;
    stage.is_sound(Stage::height_of(&vend)).await?;
    stage.end().await
}
