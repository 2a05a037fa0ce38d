//! `dctrl claim`

use clap::{Args, Subcommand};
use dctrl_proto::{
    claim::{redeem_bytes, refund_bytes},
    genesis::cluster_id,
    v1::{ClaimRedeem, RefundRequest},
};

use crate::{
    claim::ClaimCode,
    context::Context,
    failure::Failure,
    submit::{SubmitArgs, submit_and_show},
};

/// What a guest's vend left over.
#[derive(Debug, Subcommand)]
pub enum ClaimCommand {
    /// Put it onto the own tab
    Redeem {
        /// Whose vend it was.
        #[command(flatten)]
        claim: ClaimArgs,
        /// The member who signs, whose tab it goes to
        #[arg(long, value_name = "ID")]
        member: String,
        /// How to submit.
        #[command(flatten)]
        submit: SubmitArgs,
    },
    /// Ask to have it paid to an address
    Refund {
        /// Whose vend it was.
        #[command(flatten)]
        claim: ClaimArgs,
        /// How much
        #[arg(long)]
        sats: u64,
        /// Where to
        #[arg(long)]
        address: String,
        /// How to submit.
        #[command(flatten)]
        submit: SubmitArgs,
    },
}

/// A claim and the right to it.
#[derive(Args, Debug)]
pub struct ClaimArgs {
    /// The vend's id
    vend: String,
    /// The claim code; not needed by the member who asked for the quote
    #[arg(long, value_name = "HEX")]
    code: Option<ClaimCode>,
}

impl ClaimArgs {
    fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
        match &self.code {
            Some(code) => Ok(code.key()?.sign(bytes)),
            None => Ok(Vec::new()),
        }
    }
}

/// Runs `dctrl claim …`.
///
/// # Errors
/// A refusal, or no node.
pub async fn run(context: &mut Context, command: ClaimCommand) -> Result<(), Failure> {
    let cluster = cluster_id(context.genesis()?);
    match command {
        ClaimCommand::Redeem {
            claim,
            member,
            submit,
        } => {
            let signature = claim.sign(&redeem_bytes(&cluster, &claim.vend, &member))?;
            let payload = ClaimRedeem {
                vend_id: claim.vend,
                signature,
            };
            submit_and_show(context, &submit, &payload).await
        }
        ClaimCommand::Refund {
            claim,
            sats,
            address,
            submit,
        } => {
            let bytes = refund_bytes(&cluster, &claim.vend, sats, &address);
            let signature = claim.sign(&bytes)?;
            let payload = RefundRequest {
                vend_id: claim.vend,
                sats,
                address,
                signature,
            };
            submit_and_show(context, &submit, &payload).await
        }
    }
}
