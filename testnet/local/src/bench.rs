//! `bench-vend`: from a payment to the machine's pin, over many vends.
//!
//! One machine, so one vend at a time: each number is the latency of an idle
//! federation, from the chain's answer to the payment (it is in the mempool
//! now) until the pin is high. Unconfirmed payments are allowed, since a
//! block's arrival would measure the miner.

mod distribution;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result, ensure};
use clap::Args;
use dctrl_proto::v1::VendState;
use serde_json::json;

use self::distribution::Distribution;
use crate::{
    chain::ChainKind,
    federation::{Federation, MACHINE, Options, SLOT_SATS},
    programs::Programs,
    story::Story,
    trace::now_ms,
    wait::until,
};

/// One vend may take this long before the benchmark gives up.
const VEND_LIMIT: Duration = Duration::from_secs(60);

/// Above every price of the testnet.
const ZERO_CONF_SATS_MAX: u64 = 1_000_000;

/// The agent's rest between two vends belongs to the machine, not to the
/// federation that is measured.
const NO_SPACING: (&str, &str) = ("DCTRL_AGENT__SPACING_MS", "0");

/// Vends before the measured ones: connections open, caches fill.
const WARM_UP: u32 = 5;

/// Progress is told this often, in vends.
const PROGRESS: u32 = 20;

/// Arguments of `dctrl-testnet bench-vend`.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Print the result as one JSON object on the last line
    #[arg(long)]
    pub json: bool,
    /// How many vends to measure
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub vends: u32,
    /// How many nodes
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(4..=10))]
    pub nodes: u16,
}

/// Measures and prints the distribution.
///
/// # Errors
/// Where a vend does not end as it should; a distribution with failures in it
/// would say nothing.
pub async fn run(arguments: Arguments, programs: Programs) -> Result<ExitCode> {
    let mut story = Story::new(arguments.json);
    let folder = tempfile::Builder::new().prefix("dctrl-bench-").tempdir()?;
    story.step(format!("Starting {} nodes and a machine", arguments.nodes));
    let options = Options {
        nodes: arguments.nodes,
        chain: ChainKind::Simulated,
        zero_conf_sats_max: ZERO_CONF_SATS_MAX,
        zero_conf_wait_ms: Some(0),
        bitcoind: None,
    };
    let mut federation =
        Federation::init(options, programs, &folder.path().join("federation")).await?;
    let measured = measure(&arguments, &mut federation, &mut story).await;
    federation.stop().await;
    let distribution = match measured {
        Ok(distribution) => distribution,
        Err(error) => {
            let kept = folder.keep();
            return Err(error.context(format!("the logs are in {}", kept.display())));
        }
    };
    story.step("Payment in the mempool to pin high");
    story.tell(&distribution);
    if arguments.json {
        let mut result = json!({"ok": true, "bench": "vend", "nodes": arguments.nodes});
        distribution.into_json(&mut result);
        story.result(&result);
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure(
    arguments: &Arguments,
    federation: &mut Federation,
    story: &mut Story,
) -> Result<Distribution> {
    federation.start_with(&[NO_SPACING]).await?;
    story.step(format!(
        "Measuring {} vends, one after the other",
        arguments.vends
    ));
    let mut distribution = Distribution::default();
    for number in 1..=WARM_UP + arguments.vends {
        let delay_ms = vend(federation)
            .await
            .with_context(|| format!("vend {number} failed"))?;
        if number > WARM_UP {
            distribution.add(delay_ms);
        }
        if number % PROGRESS == 0 {
            story.tell(format!("{number} vends"));
        }
    }
    Ok(distribution)
}

/// One vend; gives the time from payment to pulse, milliseconds.
async fn vend(federation: &Federation) -> Result<u64> {
    restock(federation).await?;
    let client = federation.client()?;
    let quote = federation.quote(SLOT_SATS).await?;
    let before = federation.trace().pulses()?.len();
    federation
        .chain()?
        .pay(&quote.address, quote.price_sats)
        .await?;
    let paid_at_ms = now_ms();
    until(VEND_LIMIT, "the vend to be dispensed", async || {
        let vend = client.vend(&quote.id).await?;
        Ok((vend.state() == VendState::Dispensed).then_some(()))
    })
    .await?;
    let pulses = federation.trace().pulses()?;
    ensure!(
        pulses.len() == before + 1,
        "one vend made {} pulses",
        pulses.len() - before
    );
    Ok(pulses[before].after_ms(paid_at_ms))
}

async fn restock(federation: &Federation) -> Result<()> {
    let slot = federation.client()?.slot(MACHINE, SLOT_SATS).await?;
    if slot.stock > 0 {
        return Ok(());
    }
    let added = slot.capacity.max(1).to_string();
    federation
        .cli()
        .json(&[
            "slots",
            "restock",
            "--machine",
            MACHINE,
            "--slot",
            SLOT_SATS,
            "--added",
            &added,
        ])
        .await
        .map(drop)
}
