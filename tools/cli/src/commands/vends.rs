//! `dctrl vends`

use clap::Subcommand;
use dctrl_proto::v1::VendList;

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
}

/// Runs `dctrl vends …`.
///
/// # Errors
/// No node.
pub async fn run(context: &mut Context, command: VendsCommand) -> Result<(), Failure> {
    let VendsCommand::List(page) = command;
    let answer = context
        .nodes
        .query(async |mut client| client.list_vends(page.request()).await)
        .await?;
    context.out.answer(&answer, human)
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
