//! What a real bitcoind publishes by ZeroMQ is a hint: not published, lost, doubled
//! and in the wrong order it costs time, and never money.

mod relay;

use std::fs;

use anyhow::{Context, Result, ensure};
use dctrl_proto::v1::{Vend, VendState};
use dctrl_testnet::{ChainKind, Options, SLOT_SATS, free_ports};

use self::relay::Relay;
use crate::stage::Stage;

/// The publishers, as the settings name them.
const PUBLISHERS: [&str; 3] = ["zmq_rawtx", "zmq_hashblock", "zmq_sequence"];
/// Blocks and payments while nothing is published.
const SILENT_BLOCKS: usize = 3;
/// Blocks, with two payments each, while half of what is published is lost.
const FAULTY_BLOCKS: usize = 3;
/// Where payments go that concern nobody.
const STRANGER: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

/// Lets all nodes subscribe to other endpoints; those of bitcoind.
fn redirect(stage: &Stage, to: &[String]) -> Result<Vec<String>> {
    let mut from = Vec::new();
    for node in 0..stage.len() {
        let file = stage.node_dir(node).join("node.toml");
        let mut text = fs::read_to_string(&file)?;
        from.clear();
        for (name, to) in PUBLISHERS.iter().zip(to) {
            let start = format!("{name} = \"");
            let (_, rest) = text.split_once(&start).context("no publisher is set")?;
            let (endpoint, _) = rest.split_once('"').context("no end")?;
            let endpoint = endpoint.to_owned();
            text = text.replace(&endpoint, to);
            from.push(endpoint);
        }
        fs::write(&file, text)?;
    }
    Ok(from)
}

/// All are paid, each once, and dispensed.
async fn all_are_vended(stage: &Stage, vends: &[Vend]) -> Result<()> {
    for vend in vends {
        let vend = stage.reaches(&vend.id, &[VendState::Dispensed]).await?;
        ensure!(vend.received_sats == vend.price_sats, "{vend:?}");
    }
    Ok(())
}

/// A quote for each of so many customers.
async fn quotes(stage: &Stage, customers: usize) -> Result<Vec<Vend>> {
    let mut vends = Vec::new();
    for _ in 0..customers {
        vends.push(stage.quote(SLOT_SATS).await?);
    }
    Ok(vends)
}

#[tokio::test]
#[ignore = "starts processes; run by cargo xtask test"]
async fn payments_whose_hints_were_lost_doubled_or_reordered_are_each_credited_once() -> Result<()>
{
    let options = Options {
        chain: ChainKind::Bitcoind,
        ..Options::default()
    };
    let mut stage = Stage::init(options).await?;
    let ports = free_ports()?;
    let to: Vec<String> = (0..3)
        .map(|publisher| format!("tcp://127.0.0.1:{}", ports.base() + publisher))
        .collect();
    let from = redirect(&stage, &to)?;
    let publishing = Relay::start(&from, &to, false)?;
    stage.start().await?;

    // Nothing is published for three blocks with a payment each.
    let mut vends = quotes(&stage, SILENT_BLOCKS).await?;
    drop(publishing);
    for vend in &vends {
        stage.pay(vend).await?;
        stage.chain()?.mine(1).await?;
    }
    let mut faulty = Relay::start(&from, &to, true)?;
    all_are_vended(&stage, &vends).await?;

    for _ in 0..FAULTY_BLOCKS {
        let two = quotes(&stage, 2).await?;
        for vend in &two {
            stage.pay(vend).await?;
            stage.chain()?.pay(STRANGER, vend.price_sats).await?;
        }
        stage.chain()?.mine(1).await?;
        all_are_vended(&stage, &two).await?;
        vends.extend(two);
    }
    let faults = faulty.stop();
    ensure!(
        faults.lost > 0 && faults.doubled > 0 && faults.reordered > 0,
        "{faults:?}"
    );

    let payments = stage.client()?.payments().await?;
    ensure!(payments.len() == vends.len(), "{payments:?}");
    ensure!(stage.trace().pulses()?.len() == vends.len());
    let mut height = 0;
    for vend in &vends {
        let ended = stage.client()?.vend(&vend.id).await?;
        height = height.max(Stage::height_of(&ended));
    }
    stage.is_sound(height).await?;
    stage.end().await
}
