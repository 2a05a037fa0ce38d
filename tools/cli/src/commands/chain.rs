//! `dctrl chain`: the simulated chain, never real money.

use clap::{Args, Subcommand};
use dctrl_proto::v1::{
    GetTipRequest, SimMineRequest, SimPayRequest, SimReorganiseRequest, SimReplaceRequest, SimTip,
    SimTransaction, simulated_chain_client::SimulatedChainClient,
};

use crate::{
    args::Global, context::settings, failure::Failure, nodes::channel, output::Output, text::sats,
};

/// Play with the simulated chain.
#[derive(Args, Debug)]
pub struct ChainCommand {
    /// URL of the simulated chain instead of the configured one
    #[arg(long, value_name = "URL")]
    chain_url: Option<String>,
    #[command(subcommand)]
    deed: Deed,
}

#[derive(Debug, Subcommand)]
enum Deed {
    /// Pay an address: the transaction enters the mempool
    Pay {
        /// The address
        address: String,
        /// Satoshi
        amount: u64,
    },
    /// Mine blocks with all of the mempool in the first
    Mine {
        /// How many
        #[arg(default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1000))]
        blocks: u32,
    },
    /// Replace an unconfirmed transaction by one that pays elsewhere
    Replace {
        /// Transaction to replace
        txid: String,
        /// Address that is paid instead
        address: String,
        /// Satoshi
        amount: u64,
    },
    /// Undo the newest blocks
    Reorg {
        /// How many
        #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
        depth: u32,
        /// Forget their transactions too, as when they were double-spent
        #[arg(long)]
        drop: bool,
    },
    /// The newest block
    Tip,
}

/// Runs `dctrl chain …`.
///
/// # Errors
/// A refusal, or that the chain does not answer.
pub async fn run(global: &Global, command: ChainCommand) -> Result<(), Failure> {
    let config = settings(global)?;
    let url = command.chain_url.or(config.chain_url).ok_or_else(|| {
        Failure::usage(
            "config.chain_url",
            "no simulated chain: name one with --chain-url",
        )
    })?;
    let mut chain = SimulatedChainClient::new(channel(&url, None)?);
    let mut out = Output::stdout(global.json);
    match command.deed {
        Deed::Pay { address, amount } => {
            let request = SimPayRequest {
                address,
                amount_sats: amount,
            };
            let paid = chain.pay(request).await?.into_inner();
            out.show(&paid, |paid| describe_transaction("pays", paid))
        }
        Deed::Replace {
            txid,
            address,
            amount,
        } => {
            let txid = parse_txid(&txid)?;
            let request = SimReplaceRequest {
                txid,
                address,
                amount_sats: amount,
            };
            let paid = chain.replace(request).await?.into_inner();
            out.show(&paid, |paid| describe_transaction("pays instead", paid))
        }
        Deed::Mine { blocks } => {
            let tip = chain.mine(SimMineRequest { blocks }).await?.into_inner();
            out.show(&tip, describe_tip)
        }
        Deed::Reorg { depth, drop } => {
            let request = SimReorganiseRequest {
                depth,
                drop_transactions: drop,
            };
            let tip = chain.reorganise(request).await?.into_inner();
            out.show(&tip, describe_tip)
        }
        Deed::Tip => {
            let tip = chain.get_tip(GetTipRequest {}).await?.into_inner();
            out.show(&tip, describe_tip)
        }
    }
}

fn parse_txid(text: &str) -> Result<Vec<u8>, Failure> {
    hex::decode(text)
        .ok()
        .filter(|bytes| bytes.len() == 32)
        .ok_or_else(|| Failure::usage("chain.txid", "a txid is 64 hexadecimal digits"))
}

fn describe_transaction(verb: &str, transaction: &SimTransaction) -> String {
    let amount = transaction
        .outputs
        .iter()
        .map(|output| output.amount_sats)
        .sum();
    format!(
        "{} {verb} {}\n",
        hex::encode(&transaction.txid),
        sats(amount)
    )
}

fn describe_tip(tip: &SimTip) -> String {
    format!("tip {} {}\n", tip.height, hex::encode(&tip.hash))
}
