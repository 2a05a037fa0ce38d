//! `demo-payout`: money comes in, and goes out again when copayers have signed.
//!
//! One copayer signs with our own command line, another with Electrum where it
//! is installed: an implementation that shares no line with ours.

mod moves;
mod outcome;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, ensure};
use clap::Args;
use dctrl_proto::v1::{Payout, PayoutState};

use self::outcome::Outcome;
use crate::{
    chain::ChainKind,
    federation::{Federation, Options},
    programs::Programs,
    story::Story,
};

/// What the demonstration's customer pays: enough for two recipients.
const EARNED_SATS: u64 = 200_000;
/// What each of the two recipients gets, satoshi.
const PAID_SATS: [u64; 2] = [50_000, 30_000];
/// From here on the books count it.
const SETTLED_DEPTH: u32 = 6;

/// Arguments of `dctrl-testnet demo-payout`.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Stop after the payout; the only way there is, for the same line as `demo`
    #[arg(long)]
    pub once: bool,
    /// Print the result as one JSON object on the last line
    #[arg(long)]
    pub json: bool,
    /// Where bitcoin comes from
    #[arg(long, value_enum, default_value = "simulated")]
    pub chain: ChainKind,
    /// Make the federation in this folder and keep it
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// Folder of `bitcoind` and `bitcoin-cli`
    #[arg(long, value_name = "FOLDER")]
    pub bitcoind: Option<PathBuf>,
    /// Python that can import Electrum; without it our command line signs twice
    #[arg(long, value_name = "PROGRAM")]
    pub electrum: Option<PathBuf>,
}

/// Runs the demonstration to its end; whatever was started is stopped.
///
/// # Errors
/// Where not even a folder for it can be made.
pub async fn run(arguments: Arguments, programs: Programs) -> Result<ExitCode> {
    let mut story = Story::new(arguments.json);
    let temporary = tempfile::Builder::new().prefix("dctrl-payout-").tempdir()?;
    let kept = arguments.dir.clone();
    let dir = kept.unwrap_or_else(|| temporary.path().join("federation"));
    let options = Options {
        chain: arguments.chain,
        bitcoind: arguments.bitcoind.clone(),
        ..Options::default()
    };
    story.step("Making a federation of 4 operators and 3 copayers, of whom 2 sign");
    let ended = match Federation::init(options, programs, &dir).await {
        Ok(mut federation) => {
            let ended = play(&arguments, &mut federation, &mut story).await;
            story.step("Stopping everything");
            federation.stop().await;
            ended
        }
        Err(error) => Err(error),
    };
    let outcome = ended.unwrap_or_else(|error| {
        story.tell(format!("FAILED: {error:#}"));
        let logs = temporary.keep();
        story.tell(format!("the logs are kept in {}", logs.display()));
        Outcome::failed(arguments.chain, &error)
    });
    if arguments.json {
        story.result(&outcome);
    }
    Ok(if outcome.ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn play(
    arguments: &Arguments,
    federation: &mut Federation,
    story: &mut Story,
) -> Result<Outcome> {
    story.step("Starting the chain, the nodes and the machine's agent");
    federation.start().await?;

    story.step(format!(
        "A customer pays {EARNED_SATS} sats, six blocks deep"
    ));
    federation.earn(EARNED_SATS).await?;

    story.step("Copayer 1 proposes to pay two recipients");
    let payout = federation.propose_payout(&PAID_SATS).await?;
    story.tell(format!(
        "payout {}; it waits for {}",
        payout.id, payout.awaits
    ));

    story.step("Copayer 2 reviews and approves");
    let words = federation.review_payout(&payout.id).await?;
    story.tell(&words);
    federation.approve_payout(&payout.id, 2).await?;

    story.step("Copayer 1 signs with our command line");
    federation.sign_payout(&payout.id, 1).await?;
    let mut signers = vec!["dctrl".to_owned()];
    match &arguments.electrum {
        Some(electrum) => {
            story.step("Copayer 2 signs with Electrum");
            let said = federation
                .sign_with_electrum(&payout.id, 2, electrum)
                .await?;
            story.tell(said);
            signers.push("electrum".to_owned());
        }
        None => {
            story.step("Copayer 2 signs with our command line: no Electrum is installed");
            federation.sign_payout(&payout.id, 2).await?;
            signers.push("dctrl".to_owned());
        }
    }

    story.step("The node whose turn it is broadcasts");
    let payout = federation
        .payout_reaches(&payout.id, &[PayoutState::Broadcast])
        .await?;
    let again = federation.broadcast_again(&payout).await?;
    story.tell(format!("the same transaction once more: {again}"));

    story.step("Six blocks bury it");
    federation.mine(SETTLED_DEPTH).await?;
    let payout = federation.payout_settles(&payout.id).await?;
    tell_history(story, &payout);
    let books_balanced = federation.books_balance(&payout).await?;
    finish(
        federation,
        arguments.chain,
        &payout,
        signers,
        books_balanced,
    )
}

fn tell_history(story: &Story, payout: &Payout) {
    for step in &payout.history {
        let state = step.state().as_str_name().replace("PAYOUT_STATE_", "");
        story.tell(format!(
            "{state:10} in block {:4}  {}",
            step.height, step.detail
        ));
    }
}

fn finish(
    federation: &Federation,
    chain: ChainKind,
    payout: &Payout,
    signers: Vec<String>,
    books_balanced: bool,
) -> Result<Outcome> {
    let confirmations = payout.seen.as_ref().map_or(0, |seen| seen.confirmations);
    let broadcasts = federation.broadcasts(payout)?;
    ensure!(payout.settled, "the payout is not settled");
    Ok(Outcome {
        ok: books_balanced && broadcasts == 1 && confirmations >= SETTLED_DEPTH,
        chain,
        txid: hex::encode(&payout.settled_txid),
        signers,
        confirmations,
        broadcasts,
        books_balanced,
        reason: None,
    })
}
