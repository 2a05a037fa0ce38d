//! Signing, with a seed file here, a device, or any other signer.

use std::{
    io::{self, BufRead, IsTerminal},
    path::PathBuf,
};

use bitcoin::{
    Psbt,
    base64::{Engine, engine::general_purpose::STANDARD},
    secp256k1::Secp256k1,
};
use clap::Args;
use dctrl_proto::v1::{Payout, PayoutSign, PayoutState};
use dctrl_wallet::{Wallet, to_version_2};
use serde::Serialize;

use super::{
    WhichArgs, dossier,
    hwi::{self, SignerArgs},
    parts::{self, PartFormat},
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
    /// Whose seed,
    #[command(flatten)]
    seed: Option<SeedArgs>,
    /// or which device.
    #[command(flatten)]
    signer: Option<SignerArgs>,
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
    /// Draw the PSBT as QR codes, for a signer with a camera
    #[arg(long, value_enum, conflicts_with_all = ["psbt", "certified"])]
    qr: Option<PartFormat>,
    /// With --qr: print what the codes say, a line each
    #[arg(long, requires = "qr")]
    text: bool,
    /// Write version 2 (BIP-370) for a signer that wants it
    #[arg(long)]
    version_2: bool,
}

/// Options of `dctrl payout import`.
#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    /// The payout's id
    id: String,
    /// The PSBT that a signer gave back, or the parts of its QR codes, a line
    /// each; - for standard input
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
    if args.seed.is_some() == args.signer.is_some() {
        let message = "sign with --seed or with --signer-command";
        return Err(Failure::usage("payout.seed", message));
    }
    let dossier = dossier::open(context, &args.which).await?;
    let review = review(context.genesis()?, &dossier)?;
    may_be_signed(&dossier.payout)?;
    eprint!("{}", review.words());
    if !args.yes {
        confirm(&review)?;
    }
    let wallet = wallet(context.genesis()?)?;
    let ordered = ordered(&dossier.payout)?;
    let returned = match (&args.seed, &args.signer) {
        (Some(seed), _) => signed(&wallet, &ordered, &seed::open(seed)?)?,
        (None, Some(signer)) => hwi::sign(signer, &wallet, &ordered).await?,
        (None, None) => return Ok(()),
    };
    // Checked like anybody's.
    let (_, reduced) = psbt::taken(&ordered, &returned)?;
    match &args.out {
        Some(file) => psbt::write(file, &reduced.serialize()),
        None => hand_in(context, &dossier.payout.id, &reduced, &args.submit).await,
    }
}

/// The PSBT that would be signed now.
fn ordered(payout: &Payout) -> Result<Psbt, Failure> {
    let psbt = Psbt::deserialize(&newest(payout)?.psbt).map_err(anyhow::Error::from)?;
    Ok(psbt)
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

/// The ordered PSBT with the seed's signatures.
fn signed(wallet: &Wallet, ordered: &Psbt, seed: &seed::Seed) -> Result<Vec<u8>, Failure> {
    let curve = Secp256k1::new();
    let fingerprint = seed.master.fingerprint(&curve);
    let mut keys = wallet.keys().iter();
    if !keys.any(|key| key.fingerprint == fingerprint) {
        let message = format!("{fingerprint} is no key of the wallet");
        return Err(Failure::usage("payout.seed", message));
    }
    let mut psbt = ordered.clone();
    psbt.sign(&seed.master, &curve)
        .map_err(|(_, errors)| anyhow::anyhow!("the seed signs nothing: {errors:?}"))?;
    Ok(psbt.serialize())
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<String>,
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
    let ordered = ordered(&dossier.payout)?;
    let bytes = if args.version_2 {
        to_version_2(&ordered)
    } else {
        ordered.serialize()
    };
    let parts = match args.qr {
        Some(format) => parts::split(format, &bytes)?,
        None => Vec::new(),
    };
    let exported = Exported {
        payout: dossier.payout.id.clone(),
        txid: hex::encode(&newest(&dossier.payout)?.txid),
        psbt_base64: STANDARD.encode(&bytes),
        parts,
    };
    if args.qr.is_some() && !args.text && !context.out.is_json() {
        return parts::draw(&exported.parts);
    }
    if args.qr.is_some() || context.out.is_json() {
        let lines = |exported: &Exported| exported.parts.join("\n") + "\n";
        return context.out.show(&exported, lines);
    }
    psbt::write(&args.psbt, &bytes)
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
    let ordered = ordered(&dossier.payout)?;
    let (signatures, reduced) = psbt::taken(&ordered, &returned)?;
    let mut signers: Vec<String> = signatures
        .iter()
        .map(|one| one.fingerprint.to_string())
        .collect();
    signers.sort_unstable();
    signers.dedup();
    eprintln!("valid signatures of {}", signers.join(", "));
    hand_in(context, &dossier.payout.id, &reduced, &args.submit).await
}
