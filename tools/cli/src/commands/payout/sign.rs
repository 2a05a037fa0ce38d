//! Signing, with a seed file here or with any other signer.

use std::{
    io::{self, BufRead, IsTerminal},
    path::PathBuf,
};

use bitcoin::{Psbt, secp256k1::Secp256k1};
use clap::Args;
use dctrl_proto::v1::{Genesis, Payout, PayoutSign, PayoutState};
use serde::Serialize;

use super::{
    WhichArgs,
    dossier::{self, Dossier},
    psbt,
    review::{Review, newest, review, wallet},
    seed::{self, SeedArgs},
};
use crate::{
    context::Context,
    failure::Failure,
    submit::{SubmitArgs, submit_and_show},
};

/// Options of `dctrl payout sign`.
#[derive(Args, Clone, Debug)]
pub struct SignArgs {
    /// Which.
    #[command(flatten)]
    which: WhichArgs,
    /// Whose seed.
    #[command(flatten)]
    seed: SeedArgs,
    /// Write the signed PSBT to this file, or - for standard output, and hand nothing in
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Sign without asking; the review is shown all the same
    #[arg(long)]
    yes: bool,
    /// How to submit.
    #[command(flatten)]
    submit: SubmitArgs,
}

/// Options of `dctrl payout export`.
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// Its id
    id: String,
    /// Where the PSBT goes: bytes into a file, base64 to standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    psbt: PathBuf,
    /// Write the certified payout instead, for `--file` on a machine without network
    #[arg(long, value_name = "FILE")]
    certified: Option<PathBuf>,
}

/// Options of `dctrl payout import`.
#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    /// The payout's id
    id: String,
    /// The PSBT that a signer gave back, or - for standard input
    #[arg(value_name = "FILE")]
    psbt: PathBuf,
    /// How to submit.
    #[command(flatten)]
    submit: SubmitArgs,
}

/// Runs `dctrl payout sign`.
///
/// # Errors
/// It is not to be signed, or the seed is no key of the wallet.
pub(super) async fn sign(context: &mut Context, args: SignArgs) -> Result<(), Failure> {
    let dossier = dossier::open(context, &args.which).await?;
    let review = review(context.genesis()?, &dossier)?;
    may_be_signed(&dossier.payout)?;
    eprint!("{}", review.words());
    if !args.yes {
        confirm(&review)?;
    }
    let seed = seed::open(&args.seed)?;
    let signed = signed(context.genesis()?, &dossier, &seed)?;
    match &args.out {
        Some(file) => psbt::write(file, &signed),
        None => hand_in(context, &dossier.payout.id, &signed, &args.submit).await,
    }
}

/// Refuses what nobody should sign yet or any more.
fn may_be_signed(payout: &Payout) -> Result<(), Failure> {
    let why = match payout.state() {
        _ if payout.sign_from_ms == 0 => "it is not approved",
        PayoutState::Confirmed | PayoutState::Invalidated | PayoutState::Cancelled => {
            "its inputs are spent"
        }
        _ if payout.frozen => "people must look at it first",
        _ if !newest(payout)?.transaction.is_empty() => "it has all its signatures",
        _ => return Ok(()),
    };
    Err(Failure::usage(
        "payout.sign",
        format!("nothing is signed: {why}"),
    ))
}

fn confirm(review: &Review) -> Result<(), Failure> {
    let no = |message: &str| Err(Failure::usage("payout.sign", message));
    let mut answer = String::new();
    if !io::stdin().is_terminal() {
        return no("say --yes where nobody can be asked");
    }
    let _ = review;
    eprint!("Sign this? Write yes: ");
    io::stdin().lock().read_line(&mut answer)?;
    if answer.trim() == "yes" {
        Ok(())
    } else {
        no("not signed")
    }
}

/// The ordered PSBT with the seed's signatures, checked like anybody's.
fn signed(genesis: &Genesis, dossier: &Dossier, seed: &seed::Seed) -> Result<Psbt, Failure> {
    let curve = Secp256k1::new();
    let fingerprint = seed.master.fingerprint(&curve);
    let wallet = wallet(genesis)?;
    if !wallet
        .keys()
        .iter()
        .any(|key| key.fingerprint == fingerprint)
    {
        let message = format!("{fingerprint} is no key of the wallet");
        return Err(Failure::usage("payout.seed", message));
    }
    let version = newest(&dossier.payout)?;
    let ordered = Psbt::deserialize(&version.psbt).map_err(anyhow::Error::from)?;
    let mut psbt = ordered.clone();
    psbt.sign(&seed.master, &curve)
        .map_err(|(_, errors)| anyhow::anyhow!("the seed signs nothing: {errors:?}"))?;
    let (_, reduced) = psbt::taken(&ordered, &psbt.serialize())?;
    Ok(reduced)
}

async fn hand_in(
    context: &mut Context,
    id: &str,
    signed: &Psbt,
    submit: &SubmitArgs,
) -> Result<(), Failure> {
    let sign = PayoutSign {
        payout_id: id.to_owned(),
        psbt: signed.serialize(),
    };
    submit_and_show(context, submit, &sign).await
}

#[derive(Serialize)]
struct Exported {
    payout: String,
    txid: String,
    psbt_base64: String,
}

/// Runs `dctrl payout export`.
///
/// # Errors
/// What the nodes show does not verify, or the file is there already.
pub(super) async fn export(context: &mut Context, args: ExportArgs) -> Result<(), Failure> {
    let which = WhichArgs {
        id: Some(args.id),
        file: None,
    };
    let dossier = dossier::open(context, &which).await?;
    let review = review(context.genesis()?, &dossier)?;
    eprint!("{}", review.words());
    if let Some(file) = &args.certified {
        return psbt::write_new(file, dossier.to_json()?.as_bytes());
    }
    let version = newest(&dossier.payout)?;
    let psbt = Psbt::deserialize(&version.psbt).map_err(anyhow::Error::from)?;
    if context.out.is_json() {
        let exported = Exported {
            payout: dossier.payout.id.clone(),
            txid: hex::encode(&version.txid),
            psbt_base64: psbt.to_string(),
        };
        return context.out.show(&exported, |_| String::new());
    }
    psbt::write(&args.psbt, &psbt)
}

/// Runs `dctrl payout import`.
///
/// # Errors
/// The PSBT deviates from what was ordered, or the federation refuses it.
pub(super) async fn import(context: &mut Context, args: ImportArgs) -> Result<(), Failure> {
    let returned = psbt::read(&args.psbt)?;
    let which = WhichArgs {
        id: Some(args.id),
        file: None,
    };
    let dossier = dossier::open(context, &which).await?;
    review(context.genesis()?, &dossier)?;
    let version = newest(&dossier.payout)?;
    let ordered = Psbt::deserialize(&version.psbt).map_err(anyhow::Error::from)?;
    let (signatures, reduced) = psbt::taken(&ordered, &returned)?;
    let mut signers: Vec<String> = signatures
        .iter()
        .map(|one| one.fingerprint.to_string())
        .collect();
    signers.dedup();
    signers.sort_unstable();
    signers.dedup();
    eprintln!("valid signatures of {}", signers.join(", "));
    hand_in(context, &dossier.payout.id, &reduced, &args.submit).await
}
