//! `dctrl payments`

use clap::Subcommand;
use dctrl_proto::v1::{Payment, PaymentList};

use crate::{
    args::{PageArgs, more},
    context::Context,
    failure::Failure,
    table::Table,
    text::{grouped, payment_state, short, short_text},
};

/// Payments seen by the federation.
#[derive(Debug, Subcommand)]
pub enum PaymentsCommand {
    /// Payments in order of their outpoints
    List(PageArgs),
}

/// Runs `dctrl payments …`.
///
/// # Errors
/// No node.
pub async fn run(context: &mut Context, command: PaymentsCommand) -> Result<(), Failure> {
    let PaymentsCommand::List(page) = command;
    let answer = context
        .nodes
        .query(async |mut client| client.list_payments(page.request()).await)
        .await?;
    context.out.answer(&answer, human)
}

fn human(list: &PaymentList) -> String {
    let mut table = Table::new(&["OUTPOINT", ">SATS", "STATE", ">BLOCK", "VEND"]);
    for payment in &list.payments {
        table.row([
            outpoint(payment),
            grouped(i64::try_from(payment.amount_sats).unwrap_or(i64::MAX)),
            payment_state(payment.state(), payment.confirmations),
            match payment.block_height {
                0 => "-".to_owned(),
                height => height.to_string(),
            },
            short_text(&payment.vend_id),
        ]);
    }
    format!("{table}at height {}\n{}", list.height, more(&list.next))
}

fn outpoint(payment: &Payment) -> String {
    payment.outpoint.as_ref().map_or_else(
        || "-".to_owned(),
        |one| format!("{}:{}", short(&one.txid), one.vout),
    )
}
