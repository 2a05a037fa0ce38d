//! Money that leaves the wallet: proposed, approved, signed, broadcast once.

use anyhow::{Result, ensure};
use dctrl_proto::v1::PayoutState;
use dctrl_testnet::Options;

use crate::stage::Stage;

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn a_payout_signed_by_two_copayers_is_broadcast_once_and_settles() -> Result<()> {
    let stage = Stage::start(Options::default()).await?;
    stage.earn(200_000).await?;
    let payout = stage.propose_payout(&[50_000, 30_000]).await?;
    // Who has proposed it cannot approve it alone, and nobody signs before.
    ensure!(stage.sign_payout(&payout.id, 1).await.is_err());
    stage.approve_payout(&payout.id, 1).await?;
    ensure!(stage.payout(&payout.id).await?.state() == PayoutState::Proposed);
    stage.approve_payout(&payout.id, 2).await?;
    stage.sign_payout(&payout.id, 1).await?;
    stage.sign_payout(&payout.id, 3).await?;
    let broadcast = [PayoutState::Broadcast];
    let payout = stage.payout_reaches(&payout.id, &broadcast).await?;
    stage.broadcast_again(&payout).await?;
    stage.mine(6).await?;
    let payout = stage.payout_settles(&payout.id).await?;
    ensure!(payout.state() == PayoutState::Confirmed);
    ensure!(stage.broadcasts(&payout)? == 1, "broadcast more than once");
    ensure!(stage.books_balance(&payout).await?);
    let height = payout.history.last().map_or(0, |step| step.height);
    stage.is_sound(height).await?;
    stage.end().await
}
