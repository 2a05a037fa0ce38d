//! `dctrl vends`

use clap::Subcommand;
use dctrl_proto::v1::{HeldReason, VendList};

use crate::{
    args::{PageArgs, more},
    context::Context,
    failure::Failure,
    table::Table,
    text::{grouped, or_dash, time, vend_state},
};

/// All vends.
#[derive(Debug, Subcommand)]
pub enum VendsCommand {
    /// Vends, the newest first
    List(PageArgs),
    /// Vends whose end nobody knows, and why their price is held
    Uncertain(PageArgs),
}

/// Runs `dctrl vends …`.
///
/// # Errors
/// No node.
pub async fn run(context: &mut Context, command: VendsCommand) -> Result<(), Failure> {
    match command {
        VendsCommand::List(page) => {
            let answer = context
                .nodes
                .query(async |mut client| client.list_vends(page.request()).await)
                .await?;
            context.out.answer(&answer, human)
        }
        VendsCommand::Uncertain(page) => {
            let answer = context
                .nodes
                .query(async |mut client| client.list_uncertain(page.request()).await)
                .await?;
            context.out.answer(&answer, uncertain)
        }
    }
}

fn uncertain(list: &VendList) -> String {
    let mut table = Table::new(&[
        "ID", "MACHINE", "MEMBER", ">SATS", "SINCE", "HELD", "REASON",
    ]);
    for vend in &list.vends {
        table.row([
            vend.id.clone(),
            vend.machine_id.clone(),
            or_dash(&vend.member_id).to_owned(),
            grouped(i64::try_from(vend.price_sats).unwrap_or(i64::MAX)),
            time(vend.history.last().map_or(0, |step| step.time_ms)),
            held(vend.held_reason()).to_owned(),
            or_dash(&vend.reason).to_owned(),
        ]);
    }
    format!("{table}at height {}\n{}", list.height, more(&list.next))
}

/// Why the price is held, for people.
fn held(reason: HeldReason) -> &'static str {
    match reason {
        HeldReason::Unspecified => "-",
        HeldReason::HeldWaits => "until its time",
        HeldReason::HeldPayerCap => "payer's cap",
        HeldReason::HeldMachineCap => "machine's cap",
    }
}

fn human(list: &VendList) -> String {
    let mut table = Table::new(&[
        "ID", "MACHINE", "SLOT", "PRODUCT", "MEMBER", ">SATS", "STATE", "SINCE",
    ]);
    for vend in &list.vends {
        let amount = i64::try_from(vend.price_sats).unwrap_or(i64::MAX);
        table.row([
            // Whole, because other commands take it.
            vend.id.clone(),
            vend.machine_id.clone(),
            vend.slot.clone(),
            vend.product_id.clone(),
            or_dash(&vend.member_id).to_owned(),
            grouped(amount),
            vend_state(vend.state()),
            time(vend.history.last().map_or(0, |step| step.time_ms)),
        ]);
    }
    format!("{table}at height {}\n{}", list.height, more(&list.next))
}
