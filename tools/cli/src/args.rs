//! The command line as one table: parser, help and completions come from it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use dctrl_proto::v1::ListRequest;

use crate::{
    commands::{
        action::ActionArgs, balance::BalanceArgs, block::BlockArgs, chain::ChainCommand,
        claim::ClaimCommand, dag::DagCommand, db::DbCommand, events::EventsArgs,
        export::ExportCommand, key::KeyCommand, machines::MachinesCommand, members::MembersCommand,
        nodes::NodesCommand, payments::PaymentsCommand, payout::PayoutCommand,
        products::ProductsCommand, slots::SlotsCommand, tab::TabCommand, vend::VendCommand,
        vends::VendsCommand, wallet::WalletCommand,
    },
    failure::EXIT_CODES,
    testnet::TestnetCommand,
};

/// The command line of a DCTRL federation: ask nodes, sign actions, verify answers.
#[derive(Debug, Parser)]
#[command(name = "dctrl", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Args, Clone, Debug, Default)]
pub struct Global {
    /// Settings file [default: ./dctrl.toml, then ./testnet-data/dctrl.toml]
    #[arg(long, global = true, value_name = "FILE", env = "DCTRL_CONFIG")]
    pub config: Option<PathBuf>,
    /// Node to ask instead of the configured ones; may be repeated
    #[arg(long, global = true, value_name = "URL")]
    pub node: Vec<String>,
    /// Key file that signs, instead of the configured one
    #[arg(long, global = true, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Print one JSON object a result; of a stream, one a line
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// How a node and the federation are
    Status,
    /// Members and their roles
    #[command(subcommand)]
    Members(MembersCommand),
    /// Who the nodes are, and how that changes
    #[command(subcommand)]
    Nodes(NodesCommand),
    /// The catalogue
    #[command(subcommand)]
    Products(ProductsCommand),
    /// Machines and what they hold
    #[command(subcommand)]
    Machines(MachinesCommand),
    /// The slots of machines
    #[command(subcommand)]
    Slots(SlotsCommand),
    /// Buy, watch or decide one vend
    #[command(subcommand)]
    Vend(VendCommand),
    /// All vends
    #[command(subcommand)]
    Vends(VendsCommand),
    /// Payments seen by the federation
    #[command(subcommand)]
    Payments(PaymentsCommand),
    /// Money that leaves the wallet: propose, check, sign
    #[command(subcommand)]
    Payout(PayoutCommand),
    /// The wallet for other programs, and how copayers put one together
    #[command(subcommand)]
    Wallet(WalletCommand),
    /// Members' balances: top up, transfer, cash, limits
    #[command(subcommand)]
    Tab(TabCommand),
    /// What a guest's vend left over
    #[command(subcommand)]
    Claim(ClaimCommand),
    /// The books for other programs, as CSV or JSON
    #[command(subcommand)]
    Export(ExportCommand),
    /// Certified events, each verified against the genesis
    Events(EventsArgs),
    /// The books: accounts and their sum, which is 0
    Balance(BalanceArgs),
    /// One block and who signed it
    Block(BlockArgs),
    /// What became of an action that was handed in, checked
    Action(ActionArgs),
    /// What consensus decides about a graph of events, and pictures of it
    #[command(subcommand)]
    Dag(DagCommand),
    /// The data of a stopped node on this machine
    #[command(subcommand)]
    Db(DbCommand),
    /// Play with the simulated chain
    Chain(ChainCommand),
    /// The actions that can be signed, and what they carry
    Actions,
    /// Keys of operators, members and agents
    #[command(subcommand)]
    Key(KeyCommand),
    /// A federation on this machine, to try and to test
    #[command(subcommand)]
    Testnet(TestnetCommand),
    /// Completions for a shell, on standard output
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Which page of a list to show.
#[derive(Args, Clone, Debug)]
pub struct PageArgs {
    /// Rows of the page
    #[arg(long, default_value = "100", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    /// Start after this cursor, which the page before has printed
    #[arg(
        long,
        value_name = "CURSOR",
        default_value = "",
        hide_default_value = true
    )]
    pub after: String,
    /// Only rows of this machine
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub machine: String,
}

impl PageArgs {
    /// The request for this page.
    #[must_use]
    pub fn request(&self) -> ListRequest {
        ListRequest {
            limit: self.limit,
            after: self.after.clone(),
            machine_id: self.machine.clone(),
        }
    }
}

/// What is said under a page that is not the last.
#[must_use]
pub fn more(next: &str) -> String {
    if next.is_empty() {
        String::new()
    } else {
        format!("more with --after {next}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_table_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_after_the_command() {
        for line in [
            ["dctrl", "--node", "http://a", "status", "--json"],
            ["dctrl", "status", "--json", "--node", "http://a"],
        ] {
            let cli = Cli::try_parse_from(line).unwrap();
            assert_eq!(cli.global.node, ["http://a"]);
            assert!(cli.global.json);
        }
    }
}
