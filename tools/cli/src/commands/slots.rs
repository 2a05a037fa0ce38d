//! `dctrl slots`

use clap::Subcommand;
use dctrl_proto::v1::{SlotRestock, SlotSet};

use crate::{
    context::Context,
    failure::Failure,
    submit::{SubmitArgs, submit_and_show},
};

/// The slots of machines.
#[derive(Debug, Subcommand)]
pub enum SlotsCommand {
    /// Book goods put in, or found missing
    Restock {
        /// The machine
        #[arg(long, value_name = "ID")]
        machine: String,
        /// The slot
        #[arg(long)]
        slot: String,
        /// Units put in
        #[arg(long, default_value = "0")]
        added: u32,
        /// Units found missing or spoilt
        #[arg(long, default_value = "0", requires = "reason")]
        shrinkage: u32,
        /// Why units are missing
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
        /// How to submit.
        #[command(flatten)]
        submit: SubmitArgs,
    },
    /// Say which product a slot sells
    Set {
        /// The machine
        #[arg(long, value_name = "ID")]
        machine: String,
        /// The slot
        #[arg(long)]
        slot: String,
        /// The product
        #[arg(long, value_name = "ID")]
        product: String,
        /// Units that fit
        #[arg(long)]
        capacity: u32,
        /// How to submit.
        #[command(flatten)]
        submit: SubmitArgs,
    },
}

/// Runs `dctrl slots …`.
///
/// # Errors
/// A refusal, or no node.
pub async fn run(context: &mut Context, command: SlotsCommand) -> Result<(), Failure> {
    match command {
        SlotsCommand::Restock {
            machine,
            slot,
            added,
            shrinkage,
            reason,
            submit,
        } => {
            let payload = SlotRestock {
                machine_id: machine,
                slot,
                added,
                shrinkage,
                reason,
            };
            submit_and_show(context, &submit, &payload).await
        }
        SlotsCommand::Set {
            machine,
            slot,
            product,
            capacity,
            submit,
        } => {
            let payload = SlotSet {
                machine_id: machine,
                slot,
                product_id: product,
                capacity,
            };
            submit_and_show(context, &submit, &payload).await
        }
    }
}
