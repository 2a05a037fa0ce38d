//! `dctrl wallet`: the federation's wallet in other programs' formats, and
//! how copayers put one together (BIP-129).
//!
//! The wallet itself stands in the genesis. What is exported comes from there;
//! what another program holds is compared with it, key by key and address by
//! address. No node is asked.

mod bsms;
mod compare;
mod formats;
mod json;
mod setup;

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use dctrl_wallet::Chain;
use serde::Serialize;

use self::{bsms::Token, compare::differences, formats::Format};
use super::payout::{wallet, write_new};
use crate::{args::Global, context::Context, failure::Failure, output::Output};

/// Longest file that is read, bytes; a wallet of 20 keys has about 5 KiB.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The federation's wallet for other programs.
#[derive(Debug, Subcommand)]
pub enum WalletCommand {
    /// Write the wallet in another program's format
    Export(ExportArgs),
    /// Say whether a file of another program describes the same wallet, and what differs
    #[command(visible_alias = "import")]
    Check(CheckArgs),
    /// Write a copayer's key record: round 1 of BIP-129
    Key(setup::KeyArgs),
    /// Check all key records and write the descriptor: round 2 of BIP-129
    Gather(setup::GatherArgs),
}

/// Options of `dctrl wallet export`.
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// For which program
    #[arg(long, value_enum)]
    format: Format,
    /// What that program calls it [default: the federation's name]
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Encrypt with the token in this file, as BIP-129 says; for `bsms` only
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Where it goes; a file that is there is not overwritten
    #[arg(long, value_name = "FILE", default_value = "-")]
    out: PathBuf,
}

/// Options of `dctrl wallet check`.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// The file, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Open it with the token in this file, as BIP-129 says
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Runs `dctrl wallet …`.
///
/// # Errors
/// A file that is no wallet, or another one.
pub fn run(global: &Global, command: WalletCommand) -> Result<(), Failure> {
    let mut out = Output::stdout(global.json);
    match command {
        WalletCommand::Export(args) => export(&mut Context::new(global)?, &args),
        WalletCommand::Check(args) => check(&mut Context::new(global)?, &args),
        WalletCommand::Key(args) => setup::key(&mut out, &args),
        WalletCommand::Gather(args) => setup::gather(&mut out, &args),
    }
}

#[derive(Serialize)]
struct Exported {
    format: Format,
    text: String,
}

fn export(context: &mut Context, args: &ExportArgs) -> Result<(), Failure> {
    let genesis = context.genesis()?;
    let wallet = wallet(genesis)?;
    let name = args.name.as_deref().unwrap_or(&genesis.name);
    let since_s = genesis.created_at_ms / 1000;
    let mut text = formats::write(args.format, &wallet, name, since_s)?;
    if let Some(file) = &args.token_file {
        if args.format != Format::Bsms {
            return Err(Failure::usage("wallet.token", "only `bsms` is encrypted"));
        }
        text = token(file)?.seal(&text) + "\n";
    }
    if args.out != Path::new("-") {
        return write_new(&args.out, text.as_bytes());
    }
    let format = args.format;
    let exported = Exported { format, text };
    context
        .out
        .show(&exported, |exported| exported.text.clone())
}

#[derive(Serialize)]
struct Checked {
    format: Format,
    same: bool,
    threshold: usize,
    fingerprints: Vec<String>,
    addresses_compared: u32,
    first_address: String,
}

fn check(context: &mut Context, args: &CheckArgs) -> Result<(), Failure> {
    let ours = wallet(context.genesis()?)?;
    let mut bytes = read(&args.file)?;
    if let Some(file) = &args.token_file {
        bytes = token(file)?.open(&bytes)?.into_bytes();
    }
    let found = formats::read(&bytes, ours.network())?;
    let differences = differences(&ours, &found);
    if !differences.is_empty() {
        return Err(Failure::Unverified {
            rule: "wallet.differs",
            message: differences.join("; "),
        });
    }
    let checked = Checked {
        format: found.format,
        same: true,
        threshold: ours.threshold(),
        fingerprints: ours
            .keys()
            .iter()
            .map(|key| key.fingerprint.to_string())
            .collect(),
        addresses_compared: 2 * compare::ADDRESSES,
        first_address: ours.address(Chain::Payments, 0).to_string(),
    };
    context.out.show(&checked, |checked| {
        format!(
            "the same wallet: {} of {} ({}), {} addresses compared, the first is {}\n",
            checked.threshold,
            checked.fingerprints.len(),
            checked.fingerprints.join(", "),
            checked.addresses_compared,
            checked.first_address
        )
    })
}

fn token(file: &Path) -> Result<Token, Failure> {
    let bytes = read(file)?;
    let text = String::from_utf8_lossy(&bytes);
    Token::parse(text.trim())
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let wrong =
        |message: String| Failure::usage("wallet.file", format!("{}: {message}", file.display()));
    let mut bytes = Vec::new();
    let limit = FILE_BYTES_MAX + 1;
    let read = if file == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        fs::File::open(file).and_then(|open| open.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| wrong(error.to_string()))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong(format!("more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}
