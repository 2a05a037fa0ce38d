//! `reorgs`: blocks of a real bitcoind are undone (`invalidateblock`) at each step
//! of vends and payouts, and no satoshi is counted, credited or paid twice.
//!
//! One federation lives through a round for each depth. In a round customers stand
//! at every step of a vend, twice at each ([`round`]): of each two payments, one
//! comes back in another block and one is replaced by a transaction that gives
//! the same coin back to its payer. Beside them payouts wait in the mempool, are in
//! the newest block, and in the oldest one that is undone. Behind each round the
//! books are compared with the coins that bitcoind itself finds for the wallet's
//! descriptor ([`checks`]).
//!
//! Deliberately absent: payouts that spend a payment which is final and then is
//! replaced, because six blocks deep the federation relies on it; and reorganisations
//! of more than six blocks, which regtest cannot script fast enough: `dctrl-sim`
//! makes those, up to a hundred.

mod checks;
mod customers;
mod payouts;
mod round;

use std::{process::ExitCode, time::Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::json;

use crate::{
    chain::ChainKind,
    federation::{Federation, Options},
    programs::Programs,
    story::Story,
};
use round::{Campaign, Round};

/// What the federation takes as final.
const DEPTH_MAX: u32 = 6;

/// Arguments of `dctrl-testnet reorgs`.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Print the result as one JSON object on the last line
    #[arg(long)]
    pub json: bool,
    /// How many blocks are undone in each round
    #[arg(long, value_delimiter = ',', default_value = "1,2,3,4,5,6")]
    pub depths: Vec<u32>,
}

/// Undoes blocks and checks, and prints the result.
///
/// # Errors
/// Where the federation cannot be made; what goes wrong then is in the result, and
/// in the exit code.
pub async fn run(arguments: Arguments, programs: Programs) -> Result<ExitCode> {
    for depth in &arguments.depths {
        ensure!(
            (1..=DEPTH_MAX).contains(depth),
            "a depth is from 1 to {DEPTH_MAX}, not {depth}"
        );
    }
    let mut story = Story::new(arguments.json);
    let begun = Instant::now();
    let folder = tempfile::Builder::new().prefix("dctrl-reorgs-").tempdir()?;
    let dir = folder.path().join("federation");
    let options = Options {
        chain: ChainKind::Bitcoind,
        ..Options::default()
    };
    let mut federation = Federation::init(options, programs, &dir).await?;
    let played = play(&mut federation, &arguments.depths, &mut story).await;
    federation.stop().await;
    let (ok, violation) = match &played {
        Ok(_) => (true, None),
        Err(error) => (false, Some(format!("{error:#}"))),
    };
    story.result(&json!({
        "ok": ok,
        "campaign": "reorgs",
        "depths": arguments.depths,
        "violation": violation,
        "checked": played.ok(),
        "seconds": begun.elapsed().as_secs(),
    }));
    if !ok {
        eprintln!("the logs are kept in {}", folder.keep().display());
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

async fn play(
    federation: &mut Federation,
    depths: &[u32],
    story: &mut Story,
) -> Result<checks::Checked> {
    story.step("Starting bitcoind, four nodes and a machine whose slot A3 jams");
    customers::lets_a_slot_jam(federation)?;
    federation.start().await?;
    let mut campaign = Campaign::begin(federation, depths.len()).await?;
    let mut checked = checks::Checked::default();
    for (number, depth) in depths.iter().enumerate() {
        story.step(format!("{depth} blocks are undone"));
        // In each second round the waiting payout is proposed last; but not where
        // it could spend a payment that is final by then and is to be replaced.
        let late = number % 2 == 1 && *depth < DEPTH_MAX;
        let round = Round {
            depth: *depth,
            late,
        };
        campaign
            .play(round)
            .await
            .with_context(|| format!("at depth {depth}"))?;
        checked = campaign.check().await?;
        story.tell(serde_json::to_string(&checked)?);
    }
    Ok(checked)
}
