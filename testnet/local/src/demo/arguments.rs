//! What the demonstration can be asked for.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;

use crate::{chain::ChainKind, federation::Options};

/// Largest price that the demonstration sells on an unconfirmed payment: none,
/// so that a person sees the block come.
const ZERO_CONF_SATS_MAX: u64 = 0;

/// Arguments of `dctrl-testnet demo`.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Stop after the first vend instead of waiting for Ctrl-C
    #[arg(long)]
    pub once: bool,
    /// Print the result as one JSON object on the last line
    #[arg(long)]
    pub json: bool,
    /// Where bitcoin comes from
    #[arg(long, value_enum, default_value = "simulated")]
    pub chain: ChainKind,
    /// How many nodes
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(4..=10))]
    pub nodes: u16,
    /// Kill this many nodes before the payment
    #[arg(long, default_value_t = 0)]
    pub kill: u16,
    /// Make the federation in this folder and keep it
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// Folder of `bitcoind` and `bitcoin-cli`
    #[arg(long, value_name = "FOLDER")]
    pub bitcoind: Option<PathBuf>,
}

impl Arguments {
    /// Refuses what cannot work.
    ///
    /// # Errors
    /// More nodes to kill than the federation can do without.
    pub(super) fn check(&self) -> Result<()> {
        let faults = (self.nodes - 1) / 3;
        ensure!(
            self.kill <= faults,
            "a federation of {} nodes goes on without {faults} of them, not without {}",
            self.nodes,
            self.kill
        );
        Ok(())
    }

    pub(super) fn options(&self) -> Options {
        Options {
            nodes: self.nodes,
            chain: self.chain,
            zero_conf_sats_max: ZERO_CONF_SATS_MAX,
            zero_conf_wait_ms: None,
            bitcoind: self.bitcoind.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parse(line: &[&str]) -> Arguments {
        let words = std::iter::once("demo").chain(line.iter().copied());
        Line::try_parse_from(words).expect("parses").arguments
    }

    #[test]
    fn more_faults_than_a_third_are_refused_with_the_reason() {
        assert!(parse(&["--kill", "1"]).check().is_ok());
        assert!(parse(&["--nodes", "7", "--kill", "2"]).check().is_ok());
        let text = parse(&["--nodes", "6", "--kill", "2"])
            .check()
            .expect_err("6 nodes bear 1 fault")
            .to_string();
        assert!(text.contains("without 1 of them, not without 2"), "{text}");
    }

    #[test]
    fn fewer_than_four_nodes_are_no_federation() {
        assert!(Line::try_parse_from(["demo", "--nodes", "3"]).is_err());
        assert!(Line::try_parse_from(["demo", "--nodes", "11"]).is_err());
    }
}
