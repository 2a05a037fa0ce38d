//! Money that leaves the wallet: proposed, approved, signed, broadcast once.

use anyhow::{Context, Result, ensure};
use dctrl_proto::v1::{Payout, PayoutState};
use dctrl_testnet::{ChainKind, Options};
use serde_json::Value;

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

/// The fee rate to which a payout that waits is lifted, satoshi for 1000 virtual
/// bytes: far above what the nodes of a quiet chain find right.
const LIFTED_RATE: u64 = 40_000;

/// What bitcoind says of a transaction that waits.
async fn waiting(stage: &Stage, payout: &Payout) -> Result<Value> {
    let txid = &payout.versions.last().context("no transaction")?.txid;
    let bitcoind = stage.chain()?.bitcoind()?;
    let said = bitcoind
        .run(&["getmempoolentry", &hex::encode(txid)])
        .await?;
    Ok(serde_json::from_str(&said)?)
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn a_payout_that_waits_is_lifted_by_a_child_that_bitcoind_counts_with_it() -> Result<()> {
    let stage = Stage::start(Options {
        chain: ChainKind::Bitcoind,
        ..Options::default()
    })
    .await?;
    stage.earn(200_000).await?;
    let broadcast = [PayoutState::Broadcast];
    let parent = stage.propose_payout(&[50_000]).await?;
    stage.approve_payout(&parent.id, 2).await?;
    stage.sign_payout(&parent.id, 1).await?;
    stage.sign_payout(&parent.id, 3).await?;
    let parent = stage.payout_reaches(&parent.id, &broadcast).await?;

    // Nobody approves it anew, but two sign.
    let child = stage.lift_payout(&parent.id, LIFTED_RATE).await?;
    ensure!(child.state() == PayoutState::Approved, "{child:?}");
    let words = stage.review_payout(&child.id).await?;
    ensure!(words.contains(&parent.id), "{words}");
    stage.sign_payout(&child.id, 2).await?;
    stage.sign_payout(&child.id, 3).await?;
    let child = stage.payout_reaches(&child.id, &broadcast).await?;

    let entry = waiting(&stage, &child).await?;
    let number = |pointer: &str| entry.pointer(pointer).and_then(Value::as_f64);
    let fees = number("/fees/ancestor").context("no fees")? * 1e8;
    let size = number("/ancestorsize").context("no size")?;
    ensure!(number("/ancestorcount") == Some(2.0), "{entry:#}");
    ensure!(fees * 1000.0 / size >= LIFTED_RATE as f64, "{entry:#}");
    ensure!(waiting(&stage, &parent).await?.pointer("/descendantcount") == Some(&2.into()));

    stage.mine(6).await?;
    let mut paid = 0;
    for payout in [&parent, &child] {
        let payout = stage.payout_settles(&payout.id).await?;
        ensure!(payout.state() == PayoutState::Confirmed);
        ensure!(stage.broadcasts(&payout)? == 1, "broadcast more than once");
        paid += payout.reserved_fee_sats;
    }
    ensure!(
        paid == fees.round() as u64,
        "{paid} sats are booked as fees"
    );
    let (accounts, sum) = stage.client()?.balances().await?;
    let booked = i64::try_from(paid)?;
    ensure!(accounts.contains(&("expense:network-fees".to_owned(), booked)));
    ensure!(sum == 0, "the books do not balance: {accounts:?}");
    stage.end().await
}
