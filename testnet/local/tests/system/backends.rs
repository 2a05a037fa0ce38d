//! Two bitcoinds behind each node: no money goes out while they contradict each
//! other, and one that is away holds up nothing.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use dctrl_proto::v1::PayoutState;
use dctrl_testnet::{Bitcoind, ChainKind, Options, bitcoind, free_ports, until};

use crate::stage::{STEP_LIMIT, Stage};

/// How long a payout that is ready is seen to be kept back: longer than a node
/// lets pass between two looks.
const KEPT_BACK: Duration = Duration::from_secs(3);
/// From here on two backends contradict each other without a grace.
const APART_BLOCKS: u32 = 7;
/// Takes the rewards of the second bitcoind, which has no wallet.
const MINER: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

/// Lets a node ask a second bitcoind beside its own.
fn asks_a_second(stage: &Stage, node: usize, second: &Bitcoind) -> Result<()> {
    let file = stage.node_dir(node).join("node.toml");
    let text = fs::read_to_string(&file)?;
    let only = "backend = \"bitcoind\"\n";
    let (before, first) = text.split_once(only).context("no backend is set")?;
    let (first, rest) = first.split_once("\n[").context("nothing follows [chain]")?;
    let (url, cookie) = (second.url(), second.cookie());
    let text = format!(
        "{before}disagree_grace_s = 1\n\
         [[chain.backend]]\nkind = \"bitcoind\"\n{first}\n\
         [[chain.backend]]\nkind = \"bitcoind\"\nurl = \"{url}\"\ncookie = \"{}\"\n\n[{rest}",
        cookie.display()
    );
    fs::write(&file, text)?;
    Ok(())
}

/// A federation each of whose nodes asks both.
async fn start(stage: &mut Stage) -> Result<Bitcoind> {
    stage.start_chain().await?;
    let folder = stage.dir().join("second");
    fs::create_dir(&folder)?;
    let ports = free_ports()?;
    let first = stage.chain()?.bitcoind()?;
    let second = Bitcoind::start_beside(&bitcoind()?, &folder, ports.base(), first).await?;
    for node in 0..stage.len() {
        asks_a_second(stage, node, &second)?;
        stage.start_node(node)?;
    }
    stage.nodes_ready().await?;
    stage.start_agent(&[])?;
    stage.sells().await?;
    Ok(second)
}

/// Waits until the alerts of all nodes say, or no longer say, that payouts are
/// held.
async fn are_held(stage: &Stage, held: bool) -> Result<()> {
    let what = format!("payouts to be held: {held}");
    until(STEP_LIMIT, what, async || {
        for node in 0..stage.len() {
            let alerts = stage.client_of(node).status().await?.alerts;
            let says = |one: &String| one.contains("payouts are held: chain.backend[0] has block");
            if alerts.iter().any(says) != held {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn no_payout_leaves_while_two_backends_contradict_each_other() -> Result<()> {
    let options = Options {
        chain: ChainKind::Bitcoind,
        ..Options::default()
    };
    let mut stage = Stage::init(options).await?;
    let second = start(&mut stage).await?;
    stage.earn(200_000).await?;
    let payout = stage.propose_payout(&[50_000]).await?;
    stage.approve_payout(&payout.id, 2).await?;
    are_held(&stage, false).await?;

    second.part().await?;
    stage.chain()?.mine(APART_BLOCKS).await?;
    let blocks = APART_BLOCKS.to_string();
    second.run(&["generatetoaddress", &blocks, MINER]).await?;
    are_held(&stage, true).await?;
    stage.sign_payout(&payout.id, 1).await?;
    stage.sign_payout(&payout.id, 3).await?;
    stage
        .payout_reaches(&payout.id, &[PayoutState::Ready])
        .await?;
    let left = until(KEPT_BACK, "a broadcast", async || {
        let now = stage.payout(&payout.id).await?;
        Ok((now.state() != PayoutState::Ready).then_some(now.state()))
    })
    .await;
    ensure!(left.is_err(), "the payout became {left:?}");

    // The longer chain wins, and they agree again.
    stage.chain()?.mine(1).await?;
    second.follow(stage.chain()?.bitcoind()?).await?;
    are_held(&stage, false).await?;
    stage
        .payout_reaches(&payout.id, &[PayoutState::Broadcast])
        .await?;

    // Where only one answers, that one is believed.
    drop(second);
    stage.mine(6).await?;
    let payout = stage.payout_settles(&payout.id).await?;
    ensure!(stage.broadcasts(&payout)? == 1, "broadcast more than once");
    ensure!(stage.books_balance(&payout).await?);
    stage.end().await
}
