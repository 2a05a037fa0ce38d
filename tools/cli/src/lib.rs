//! The command line of operators, copayers and members.
//!
//! Every query asks the configured nodes in order until one answers, and says
//! which. What a node calls final is checked against the genesis file's
//! roster. Results go to standard output, for people or as one JSON object a
//! line; everything else goes to standard error.
//!
//! Amounts are satoshi, times ISO 8601 in UTC.
//! Deliberately absent: state of its own, and any decision of the ledger.

pub mod args;
pub mod claim;
pub mod commands;
pub mod config;
pub mod context;
pub mod failure;
pub mod follow;
pub mod invoice;
pub mod nodes;
pub mod output;
mod prove;
pub mod quote;
mod rosters;
pub mod submit;
pub mod table;
pub mod testnet;
pub mod text;
pub mod top_up;
pub mod verify;

use args::{Cli, Command};
use clap::CommandFactory;
use context::Context;
use failure::Failure;
use output::Output;

/// Runs one command line.
///
/// # Errors
/// Why it did not do what it was asked.
pub async fn run(cli: Cli) -> Result<(), Failure> {
    use commands::{
        action, actions, balance, block, chain, claim, dag, db, events, export, key, machines,
        members, nodes, payments, payout, products, slots, status, tab, vend, vends, wallet,
    };
    let global = cli.global;
    let asked = match cli.command {
        Command::Actions => return actions::run(&mut Output::stdout(global.json)),
        Command::Key(command) => return key::run(&mut Output::stdout(global.json), &command),
        Command::Testnet(command) => {
            return testnet::run(&mut Output::stdout(global.json), &command);
        }
        Command::Chain(command) => return chain::run(&global, command).await,
        Command::Dag(command) => return dag::run(&global, command).await,
        Command::Db(command) => return db::run(&command, global.json),
        Command::Wallet(command) => return wallet::run(&global, command),
        Command::Completions { shell } => return completions(shell),
        asked => asked,
    };
    let mut context = Context::new(&global)?;
    let context = &mut context;
    match asked {
        Command::Status => status::run(context).await,
        Command::Members(command) => members::run(context, command).await,
        Command::Nodes(command) => nodes::run(context, command).await,
        Command::Products(command) => products::run(context, command).await,
        Command::Machines(command) => machines::run(context, command).await,
        Command::Slots(command) => slots::run(context, command).await,
        Command::Vend(command) => vend::run(context, command).await,
        Command::Vends(command) => vends::run(context, command).await,
        Command::Payments(command) => payments::run(context, command).await,
        Command::Payout(command) => payout::run(context, command).await,
        Command::Tab(command) => tab::run(context, command).await,
        Command::Claim(command) => claim::run(context, command).await,
        Command::Export(command) => export::run(context, command).await,
        Command::Events(args) => events::run(context, args).await,
        Command::Balance(args) => balance::run(context, args).await,
        Command::Block(args) => block::run(context, args).await,
        Command::Action(args) => action::run(context, args).await,
        Command::Actions
        | Command::Key(_)
        | Command::Testnet(_)
        | Command::Chain(_)
        | Command::Dag(_)
        | Command::Db(_)
        | Command::Wallet(_)
        | Command::Completions { .. } => Ok(()),
    }
}

/// Written through a buffer, because the generator panics on a closed pipe.
fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "dctrl", &mut script);
    std::io::Write::write_all(&mut std::io::stdout(), &script)?;
    Ok(())
}
