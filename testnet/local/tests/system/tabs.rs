//! A member's money from the address to the books: topped up, spent, given
//! back, given away, and a guest's credit redeemed by its code.

use anyhow::{Context, Result, ensure};
use dctrl_proto::v1::{Vend, VendState};
use dctrl_testnet::{MACHINE, Options, SLOT_SATS, until};
use serde_json::Value;

use crate::stage::{STEP_LIMIT, Stage};

const TOP_UP_SATS: u64 = 10_000;
const TRANSFER_SATS: u64 = 500;
const SURPLUS_SATS: u64 = 700;

/// One command, signed by alice.
async fn as_alice(stage: &Stage, arguments: &[&str]) -> Result<Value> {
    let key = stage.dir().join("keys/alice.key");
    let key = key.to_str().context("a path that is text")?;
    let mut all = vec!["--key", key];
    all.extend_from_slice(arguments);
    stage.cli().json(&all).await
}

/// What a member has.
async fn balance(stage: &Stage, member: &str) -> Result<i64> {
    let shown = stage.cli().json(&["tab", "show", member]).await?;
    let balance = shown["tab"]["balance_sats"].as_i64();
    balance.with_context(|| format!("no balance in {shown}"))
}

async fn reaches(stage: &Stage, member: &str, sats: i64) -> Result<()> {
    let mut last = 0;
    until(
        STEP_LIMIT,
        format!("the tab of {member} to have {sats} sats"),
        async || {
            last = balance(stage, member).await?;
            Ok((last == sats).then_some(()))
        },
    )
    .await
    .with_context(|| format!("it has {last}"))
}

/// Buys one unit on alice's tab.
async fn buy(stage: &Stage) -> Result<String> {
    let buy = ["vend", "buy", "--machine", MACHINE, "--slot", SLOT_SATS];
    let said = as_alice(stage, &[&buy[..], &["--tab", "alice"]].concat()).await?;
    let vend = said["receipt"]["subject"].as_str();
    Ok(vend.context("a purchase without a vend")?.to_owned())
}

/// A guest overpays, and alice redeems what is left over.
async fn redeem(stage: &Stage) -> Result<()> {
    let quote = ["vend", "quote", "--machine", MACHINE, "--slot", SLOT_SATS];
    let said = stage
        .cli()
        .json(&[&quote[..], &["--claim"]].concat())
        .await?;
    let code = said["claim_code"].as_str().context("no claim code")?;
    let vend: Vend = serde_json::from_value(said["vend"].clone())?;
    let sats = vend.price_sats + SURPLUS_SATS;
    stage.chain()?.pay(&vend.address, sats).await?;
    stage.reaches(&vend.id, &[VendState::PaymentSeen]).await?;
    stage.chain()?.mine(1).await?;
    stage.reaches(&vend.id, &[VendState::Dispensed]).await?;
    let wrong = "00".repeat(16);
    let redeem = ["claim", "redeem", &vend.id, "--member", "alice", "--code"];
    let refused = as_alice(stage, &[&redeem[..], &[&wrong]].concat()).await;
    ensure!(refused.is_err(), "a wrong code redeemed the claim");
    as_alice(stage, &[&redeem[..], &[code]].concat()).await?;
    Ok(())
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn a_tab_is_topped_up_spent_credited_shared_and_reconciles() -> Result<()> {
    let mut stage = Stage::start(Options::default()).await?;
    let issued = as_alice(&stage, &["tab", "top-up"]).await?;
    let address = issued["top_up"]["address"].as_str().context("no address")?;
    stage.chain()?.pay(address, TOP_UP_SATS).await?;
    stage.chain()?.mine(1).await?;
    reaches(&stage, "alice", 10_000).await?;

    let vend = buy(&stage).await?;
    let sold = stage.reaches(&vend, &[VendState::Dispensed]).await?;
    ensure!(stage.trace().pulses()?.len() == 1);
    let price = i64::try_from(sold.price_sats)?;
    reaches(&stage, "alice", 10_000 - price).await?;

    // Only a drop sensor tells that nothing fell.
    stage.start_agent(&[
        ("DCTRL_AGENT__ACTUATOR__PHYSICS", "jam"),
        ("DCTRL_AGENT__ACTUATOR__FAKE_SENSOR", "true"),
    ])?;
    stage.sells().await?;
    let vend = buy(&stage).await?;
    let failed = stage.reaches(&vend, &[VendState::Credited]).await?;
    ensure!(failed.credited_sats == failed.price_sats, "{failed:?}");
    reaches(&stage, "alice", 10_000 - price).await?;

    let sats = TRANSFER_SATS.to_string();
    let transfer = ["tab", "transfer", "--to", "operator", "--sats", &sats];
    as_alice(&stage, &transfer).await?;
    reaches(&stage, "operator", 500).await?;

    stage.start_agent(&[])?;
    stage.sells().await?;
    redeem(&stage).await?;
    reaches(&stage, "alice", 10_000 - price - 500 + 700).await?;

    let balances = stage.cli().json(&["export", "balances"]).await?;
    let accounts = balances["accounts"].as_array().context("no accounts")?;
    let of = |name: &str| accounts.iter().find(|one| one["name"] == name);
    let bitcoin = of("asset:bitcoin").context("no bitcoin in the books")?;
    ensure!(
        bitcoin["balance_sats"] == 10_000 + price + 700,
        "{balances}"
    );
    let csv = stage.cli().run(&["export", "journal"]).await?.ok()?;
    ensure!(csv.starts_with("number,time,reference,text,account,sats"));

    // A node that starts again has the same books.
    let end = stage.client()?.status().await?.height;
    stage.kill_node(3);
    stage.start_node(3)?;
    stage.nodes_ready().await?;
    stage.is_sound(end).await?;
    stage.end().await
}
