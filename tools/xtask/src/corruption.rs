//! The campaign that damages files of a node and of an agent.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{build, place::Place};

/// What the campaign prints before its result.
const RESULT: &str = "campaign: ";

/// Its arguments.
#[derive(Debug, Args)]
pub(crate) struct Corruption {
    /// Damages, each to one file.
    #[arg(long, default_value_t = 10_000)]
    cases: u64,
    /// What they are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print nothing but one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

impl Corruption {
    /// Builds and runs it. The last line is its result.
    ///
    /// # Errors
    /// Where the build fails, or any damage was taken for good or not healed.
    pub(crate) fn run(&self, place: &Place) -> Result<()> {
        let mut command = build::cargo(place);
        // The development profile: it optimises RocksDB too, and is built.
        command
            .args(["test", "--quiet", "--package", "dctrl-node"])
            .args(["--test", "corruption", "--"])
            .args(["--ignored", "--nocapture", "corruption_campaign"])
            .env("DCTRL_CAMPAIGN_CASES", self.cases.to_string())
            .env("DCTRL_CAMPAIGN_SEED", self.seed.to_string())
            .stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start cargo")?;
        let mut result = None;
        if let Some(output) = child.stdout.take() {
            for line in BufReader::new(output).lines() {
                let line = line?;
                match line.split_once(RESULT) {
                    Some((_, found)) => result = Some(found.to_owned()),
                    None if !self.json => println!("{line}"),
                    None => {}
                }
            }
        }
        let status = child.wait()?;
        if let Some(result) = &result {
            println!("{result}");
        }
        if !status.success() || result.is_none() {
            bail!("the campaign ended with {status}");
        }
        Ok(())
    }
}
