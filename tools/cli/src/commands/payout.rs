//! `dctrl payout`: money that leaves the federation's wallet.
//!
//! Nothing is approved or signed on a node's word: what is shown comes from a
//! frame that a quorum of nodes has signed, and its PSBT is made anew here from
//! the genesis's descriptor and compared byte for byte.

mod dossier;
mod hwi;
mod parts;
mod psbt;
mod refunds;
mod review;
mod seed;
mod show;
mod sign;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use dctrl_proto::v1::{
    GetPayoutRequest, Payout, PayoutAllow, PayoutApprove, PayoutBump, PayoutCancel, PayoutLift,
    PayoutPropose, PayoutRecipient, PayoutReject,
};

use crate::{
    args::PageArgs,
    context::Context,
    failure::Failure,
    submit::{SubmitArgs, submit_and_show},
};
pub(crate) use psbt::write_new;
pub(crate) use review::wallet;
pub(crate) use seed::{SeedArgs, open_master as open_seed};
pub(crate) use show::{kind, line, state};

/// Money that leaves the federation's wallet.
#[derive(Debug, Subcommand)]
pub enum PayoutCommand {
    /// Propose to pay; the federation builds the transaction
    Propose {
        /// Who gets what, as ADDRESS=SATS; may be repeated
        #[arg(long = "to", value_name = "ADDRESS=SATS", value_parser = recipient)]
        #[arg(required_unless_present_any = ["refunds", "split", "consolidate"])]
        recipients: Vec<PayoutRecipient>,
        /// Pay the refunds that have waited longest, to the addresses that payers signed for
        #[arg(long, conflicts_with_all = ["recipients", "split"])]
        refunds: bool,
        /// Pay the accrued shares of the revenue, to the addresses in the genesis
        #[arg(long, conflicts_with = "recipients")]
        split: bool,
        /// Pay nobody: make one coin of the smallest ones, as many as one transaction may spend
        #[arg(long, conflicts_with_all = ["recipients", "refunds", "split", "most"])]
        consolidate: bool,
        /// Of refunds or shares, pay at most so many satoshi together
        #[arg(
            long,
            default_value = "0",
            hide_default_value = true,
            conflicts_with = "recipients"
        )]
        most: u64,
        /// What for, for people
        #[arg(long, default_value = "", hide_default_value = true)]
        purpose: String,
        /// How to submit.
        #[command(flatten)]
        submit: SubmitArgs,
    },
    /// Payouts, the newest first
    List(PageArgs),
    /// Refunds that payers have asked for on the chain, by id
    Refunds(PageArgs),
    /// One payout, who has decided and who is awaited
    Show {
        /// Its id
        id: String,
    },
    /// Say in words what would be signed, after checking all of it
    Review(WhichArgs),
    /// Approve a payout with a copayer's member key
    Approve {
        /// Which.
        #[command(flatten)]
        which: WhichArgs,
        /// How to submit.
        #[command(flatten)]
        submit: SubmitArgs,
    },
    /// Reject a proposal with a copayer's member key
    Reject {
        /// Its id
        id: String,
        /// Why, for people
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
        /// How to submit.
        #[command(flatten)]
        submit: SubmitArgs,
    },
    /// Sign with a seed file, and hand the signatures in or write them to a file
    Sign(sign::SignArgs),
    /// Write the PSBT for another signer, or the certified payout for a machine without network
    Export(sign::ExportArgs),
    /// Check what a signer gave back, and hand its signatures in
    Import(sign::ImportArgs),
    /// The same payout with a higher fee, to be signed anew
    Bump {
        /// Its id
        id: String,
        /// Satoshi for 1000 virtual bytes; 0 for what the nodes find right
        #[arg(long, default_value = "0")]
        fee_rate: u64,
        /// Lift what waits by a child that spends its change back to the wallet
        #[arg(long)]
        child: bool,
        /// How to submit.
        #[command(flatten)]
        submit: SubmitArgs,
    },
    /// Drop a payout; once approved, by a transaction back to the wallet
    Cancel {
        /// Its id
        id: String,
        /// Why, for people
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
        /// How to submit.
        #[command(flatten)]
        submit: SubmitArgs,
    },
    /// Put an address onto the list of those that may be paid
    Allow {
        /// The address
        address: String,
        /// Whose it is
        #[arg(long, default_value = "", hide_default_value = true)]
        name: String,
        /// Take it off the list instead
        #[arg(long)]
        remove: bool,
        /// How to submit.
        #[command(flatten)]
        submit: SubmitArgs,
    },
    /// Encrypt a copayer's seed file with a passphrase
    Seal(seed::SealArgs),
    /// The wallet's descriptor of both chains (BIP-389), for other wallets
    Wallet,
}

/// Which payout, and where it is read.
#[derive(Args, Clone, Debug)]
pub struct WhichArgs {
    /// Its id
    #[arg(required_unless_present = "file")]
    pub(crate) id: Option<String>,
    /// Read the certified payout from this file of `export --certified`: no node is asked
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

fn recipient(text: &str) -> Result<PayoutRecipient, String> {
    let wrong = || "write ADDRESS=SATS".to_owned();
    let (address, sats) = text.split_once('=').ok_or_else(wrong)?;
    let amount_sats = sats.replace('_', "").parse().map_err(|_| wrong())?;
    Ok(PayoutRecipient {
        address: address.to_owned(),
        amount_sats,
    })
}

/// Runs `dctrl payout …`.
///
/// # Errors
/// A refusal, no node, or what is shown is not what the federation certified.
pub async fn run(context: &mut Context, command: PayoutCommand) -> Result<(), Failure> {
    match command {
        PayoutCommand::Propose {
            recipients,
            refunds,
            split,
            consolidate,
            most,
            purpose,
            submit,
        } => {
            let propose = PayoutPropose {
                recipients,
                purpose,
                refunds,
                split,
                sats_max: most,
                consolidate,
            };
            submit_and_show(context, &submit, &propose).await
        }
        PayoutCommand::List(page) => {
            let answer = context
                .nodes
                .query(async |mut client| client.list_payouts(page.request()).await)
                .await?;
            context.out.answer(&answer, show::list)
        }
        PayoutCommand::Refunds(page) => {
            let answer = context
                .nodes
                .query(async |mut client| client.list_refunds(page.request()).await)
                .await?;
            context.out.answer(&answer, refunds::list)
        }
        PayoutCommand::Show { id } => {
            let request = GetPayoutRequest { id };
            let answer = context
                .nodes
                .query(async |mut client| client.get_payout(request.clone()).await)
                .await?;
            context.out.answer(&answer, |reply| {
                reply.payout.as_ref().map_or_else(String::new, show::one)
            })
        }
        PayoutCommand::Review(which) => {
            let dossier = dossier::open(context, &which).await?;
            let review = review::review(context.genesis()?, &dossier)?;
            context.out.show(&review, review::Review::words)
        }
        PayoutCommand::Sign(args) => sign::sign(context, args).await,
        PayoutCommand::Export(args) => sign::export(context, args).await,
        PayoutCommand::Import(args) => sign::import(context, args).await,
        PayoutCommand::Seal(args) => seed::seal(context, &args),
        PayoutCommand::Wallet => {
            let descriptor = review::wallet(context.genesis()?)?.multipath();
            context.out.show(&descriptor, |descriptor| {
                format!(
                    "{}\n",
                    descriptor.as_deref().unwrap_or("no chain for change")
                )
            })
        }
        decision => decide(context, decision).await,
    }
}

/// The commands that are one action.
async fn decide(context: &mut Context, command: PayoutCommand) -> Result<(), Failure> {
    match command {
        PayoutCommand::Approve { which, submit } => {
            let dossier = dossier::open(context, &which).await?;
            let review = review::review(context.genesis()?, &dossier)?;
            eprint!("{}", review.words());
            let approve = PayoutApprove {
                payout_id: dossier.payout.id.clone(),
                txid: review::newest(&dossier.payout)?.txid.clone(),
            };
            submit_and_show(context, &submit, &approve).await
        }
        PayoutCommand::Reject { id, reason, submit } => {
            let payout_id = id;
            submit_and_show(context, &submit, &PayoutReject { payout_id, reason }).await
        }
        PayoutCommand::Bump {
            id,
            fee_rate,
            child,
            submit,
        } => {
            let payout_id = id;
            if child {
                let lift = PayoutLift {
                    payout_id,
                    fee_rate,
                };
                return submit_and_show(context, &submit, &lift).await;
            }
            let bump = PayoutBump {
                payout_id,
                fee_rate,
            };
            submit_and_show(context, &submit, &bump).await
        }
        PayoutCommand::Cancel { id, reason, submit } => {
            let payout_id = id;
            submit_and_show(context, &submit, &PayoutCancel { payout_id, reason }).await
        }
        PayoutCommand::Allow {
            address,
            name,
            remove,
            submit,
        } => {
            let allow = PayoutAllow {
                address,
                name,
                remove,
            };
            submit_and_show(context, &submit, &allow).await
        }
        _ => Ok(()),
    }
}

/// The payout as a node shows it, not yet certified.
async fn ask(context: &Context, id: &str) -> Result<Payout, Failure> {
    let request = GetPayoutRequest { id: id.to_owned() };
    let answer = context
        .nodes
        .query(async |mut client| client.get_payout(request.clone()).await)
        .await?;
    answer
        .reply
        .payout
        .ok_or_else(|| Failure::not_found("payout.id", format!("there is no payout {id}")))
}
