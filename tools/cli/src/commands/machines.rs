//! `dctrl machines`

use clap::Subcommand;
use dctrl_proto::v1::{Machine, MachineList, MachineReset, MachineSet};

use super::{find_row, status::yes};
use crate::{
    args::{PageArgs, more},
    commands::key::KeyArg,
    context::Context,
    failure::Failure,
    submit::{SubmitArgs, submit_and_show},
    table::Table,
    text::{or_dash, short_text, time},
};

/// Machines and what they hold.
#[derive(Debug, Subcommand)]
pub enum MachinesCommand {
    /// Machines with their slots
    List(PageArgs),
    /// Register a machine, or change what is named here and keep the rest
    Set {
        /// The machine's id
        id: String,
        /// Where it stands
        #[arg(long)]
        site: Option<String>,
        /// The agent's public key; a key file brings its curve key too
        #[arg(long, value_name = "HEX|KEYFILE")]
        public_key: Option<KeyArg>,
        /// The agent's curve key, where the public key is given in hexadecimal
        #[arg(long, value_name = "HEX|KEYFILE")]
        curve_key: Option<KeyArg>,
        /// Whether it may be sold from
        #[arg(long, value_name = "true|false")]
        enabled: Option<bool>,
        /// How to submit.
        #[command(flatten)]
        submit: SubmitArgs,
    },
    /// Start a new incarnation of a machine that lost its journal
    Reset {
        /// The machine's id
        id: String,
        /// The agent's new public key, where it lost that too
        #[arg(long, value_name = "HEX|KEYFILE")]
        public_key: Option<KeyArg>,
        /// How to submit.
        #[command(flatten)]
        submit: SubmitArgs,
    },
}

/// Runs `dctrl machines …`.
///
/// # Errors
/// A refusal, or no node.
pub async fn run(context: &mut Context, command: MachinesCommand) -> Result<(), Failure> {
    match command {
        MachinesCommand::List(page) => {
            let answer = context
                .nodes
                .query(async |mut client| client.list_machines(page.request()).await)
                .await?;
            context.out.answer(&answer, human)
        }
        MachinesCommand::Set {
            id,
            site,
            public_key,
            curve_key,
            enabled,
            submit,
        } => {
            let mut machine = find(context, &id).await?.unwrap_or_else(|| Machine {
                id,
                enabled: true,
                ..Machine::default()
            });
            machine.site = site.unwrap_or(machine.site);
            if let Some(key) = public_key {
                machine.key = key.public.to_vec();
                machine.curve_key = key.curve.map_or(machine.curve_key, |curve| curve.to_vec());
            }
            if let Some(key) = curve_key {
                machine.curve_key = key.curve.unwrap_or(key.public).to_vec();
            }
            machine.enabled = enabled.unwrap_or(machine.enabled);
            submit_and_show(
                context,
                &submit,
                &MachineSet {
                    machine: Some(machine),
                },
            )
            .await
        }
        MachinesCommand::Reset {
            id,
            public_key,
            submit,
        } => {
            let key = public_key
                .map(|key| key.public.to_vec())
                .unwrap_or_default();
            submit_and_show(
                context,
                &submit,
                &MachineReset {
                    machine_id: id,
                    key,
                },
            )
            .await
        }
    }
}

async fn find(context: &Context, id: &str) -> Result<Option<Machine>, Failure> {
    let view = find_row!(context.nodes, list_machines, machines, |view| {
        view.machine
            .as_ref()
            .is_some_and(|machine| machine.id == id)
    });
    Ok(view.and_then(|view| view.machine))
}

fn human(list: &MachineList) -> String {
    let mut machines = Table::new(&[
        "MACHINE",
        "SITE",
        "SELLS",
        "HEARTBEAT",
        "VEND",
        ">QUEUE",
        ">RUN",
    ]);
    let mut slots = Table::new(&[
        "MACHINE",
        "SLOT",
        "PRODUCT",
        ">STOCK",
        ">HELD",
        ">SOLD",
        ">SHRINKAGE",
        ">OF",
    ]);
    for view in &list.machines {
        let Some(machine) = &view.machine else {
            continue;
        };
        let sells = match view.not_sellable.as_str() {
            "" => yes(true),
            why => format!("no: {why}"),
        };
        machines.row([
            machine.id.clone(),
            or_dash(&machine.site).to_owned(),
            sells,
            time(machine.heartbeat_at_ms),
            short_text(&machine.outstanding_vend),
            machine.queue.len().to_string(),
            machine.incarnation.to_string(),
        ]);
        for slot in &view.slots {
            slots.row([
                slot.machine_id.clone(),
                slot.slot.clone(),
                or_dash(&slot.product_id).to_owned(),
                slot.stock.to_string(),
                slot.held.to_string(),
                slot.sold.to_string(),
                slot.shrinkage.to_string(),
                slot.capacity.to_string(),
            ]);
        }
    }
    format!(
        "{machines}\n{slots}at height {}\n{}",
        list.height,
        more(&list.next)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use dctrl_proto::v1::{MachineView, Slot};

    #[test]
    fn a_machine_that_cannot_sell_says_why() {
        let list = MachineList {
            height: 9,
            machines: vec![MachineView {
                machine: Some(Machine {
                    id: "m1".into(),
                    site: "alpha".into(),
                    incarnation: 1,
                    ..Machine::default()
                }),
                slots: vec![Slot {
                    machine_id: "m1".into(),
                    slot: "A1".into(),
                    product_id: "club-mate".into(),
                    capacity: 20,
                    stock: 19,
                    sold: 1,
                    received: 20,
                    ..Slot::default()
                }],
                not_sellable: "no heartbeat".into(),
            }],
            next: "m1".into(),
        };
        let expected = "\
MACHINE  SITE   SELLS             HEARTBEAT  VEND  QUEUE  RUN
m1       alpha  no: no heartbeat  -          -         0    1

MACHINE  SLOT  PRODUCT    STOCK  HELD  SOLD  SHRINKAGE  OF
m1       A1    club-mate     19     0     1          0  20
at height 9
more with --after m1
";
        assert_eq!(human(&list), expected);
    }
}
