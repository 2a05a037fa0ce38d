//! Money and goods: every paid sale has an end, one pulse at most, and the
//! books say what the chain says.

use std::{collections::BTreeMap, time::Instant};

use anyhow::{Context, Result, ensure};
use dctrl_proto::v1::{Vend, VendState};

use super::{Findings, settle};
use crate::{
    chaos::{
        load::{Load, customer::has_ended},
        manifest::SLOT_COUNTED,
        promises::Sale,
    },
    federation::{Federation, MACHINE},
};

/// The accounts of what was counted: in the chain, and waiting for a block.
const COUNTED: [&str; 2] = ["asset:bitcoin", "asset:unconfirmed"];

/// Units that were put into the counting slot, as a node says.
///
/// # Errors
/// No answer.
pub(super) async fn counted(federation: &Federation, node: usize) -> Result<u64> {
    let client = federation.client_of(node);
    Ok(client.slot(MACHINE, SLOT_COUNTED).await?.received)
}

pub(super) async fn check(federation: &Federation, load: &Load, findings: &mut Findings) {
    let sales = load.promises().sales.clone();
    findings.vends = sales.len();
    if let Err(error) = vends(federation, load, &sales, findings).await {
        findings.violation(format!("paid sales without an end: {error:#}"));
    }
    match pulses(federation, load) {
        Ok(pulses) => doubles(&pulses, findings),
        Err(error) => findings.violation(format!("the trace cannot be read: {error:#}")),
    }
    for node in 0..federation.len() {
        if let Err(error) = books(federation, load, node, &sales).await {
            findings.violation(format!("node {node}: {error:#}"));
        }
    }
}

/// Waits until every paid sale has ended, and asks how.
async fn vends(
    federation: &Federation,
    load: &Load,
    sales: &[Sale],
    findings: &mut Findings,
) -> Result<()> {
    let since = Instant::now();
    let mut ended = Vec::new();
    for sale in sales {
        let client = federation.client()?;
        let vend = settle(since, "a paid vend to end", async || {
            let vend = client.vend(&sale.vend).await?;
            Ok(has_ended(&vend).then_some(vend))
        })
        .await;
        let vend = match vend {
            Ok(vend) => vend,
            Err(error) => {
                let now = client.vend(&sale.vend).await;
                let now = now.map(|vend| format!("{:?}", vend.history.last()));
                findings.violation(format!("vend {}: {error:#}: {now:?}", sale.vend));
                continue;
            }
        };
        ended.push(vend);
    }
    // Read when all have ended: a pulse comes before its receipt.
    let pulses = pulses(federation, load)?;
    for vend in ended {
        *findings
            .vends_by_end
            .entry(vend.state().as_str_name().to_lowercase())
            .or_default() += 1;
        if let Err(error) = judged(&vend, &pulses) {
            findings.violation(format!("vend {}: {error:#}", vend.id));
        }
    }
    Ok(())
}

/// An order: machine, incarnation and number.
pub(in crate::chaos) type Order = (String, u32, u64);

/// How often the pin of its machine went high for each order.
pub(in crate::chaos) type Pulses = BTreeMap<Order, usize>;

/// What all machines did.
///
/// # Errors
/// Where a trace cannot be read.
pub(in crate::chaos) fn pulses(federation: &Federation, load: &Load) -> Result<Pulses> {
    let mut by_order = Pulses::new();
    for machine in load.machines() {
        for pulse in federation.trace_of(machine).pulses()? {
            let order = (machine.clone(), pulse.incarnation, pulse.sequence);
            *by_order.entry(order).or_default() += 1;
        }
    }
    Ok(by_order)
}

/// How often the machine moved for a vend.
pub(in crate::chaos) fn moved(vend: &Vend, pulses: &Pulses) -> usize {
    let order = (vend.machine_id.clone(), vend.incarnation, vend.sequence);
    pulses.get(&order).copied().unwrap_or(0)
}

pub(in crate::chaos) fn doubles(pulses: &Pulses, findings: &mut Findings) {
    for ((machine, incarnation, order), times) in pulses.iter().filter(|(_, times)| **times > 1) {
        findings.double_effects += times - 1;
        findings.violation(format!(
            "order {order} of run {incarnation} moved the machine {machine} {times} times"
        ));
    }
}

/// A sale that was dispensed moved the machine once; one that was credited
/// gives back what was paid.
fn judged(vend: &Vend, pulses: &Pulses) -> Result<()> {
    let moved = moved(vend, pulses);
    match vend.state() {
        VendState::Dispensed => ensure!(
            moved == 1 && vend.sequence > 0,
            "dispensed, and the machine moved {moved} times"
        ),
        VendState::Credited | VendState::PaidLate => ensure!(
            vend.credited_sats >= vend.price_sats,
            "{} of {} satoshi are credited",
            vend.credited_sats,
            vend.price_sats
        ),
        // On the list of those that an operator decides.
        VendState::Uncertain => {}
        other => ensure!(false, "it rests as {other:?}"),
    }
    Ok(())
}

async fn books(federation: &Federation, load: &Load, node: usize, sales: &[Sale]) -> Result<()> {
    let client = federation.client_of(node);
    let paid: i64 = sales.iter().map(|sale| sale.sats as i64).sum();
    let since = Instant::now();
    settle(since, "the books to hold what was paid", async || {
        let (accounts, sum) = client.balances().await?;
        ensure!(sum == 0, "the books sum to {sum}");
        let counted = accounts
            .iter()
            .filter(|(name, _)| COUNTED.contains(&name.as_str()));
        let bitcoin: i64 = counted.map(|(_, balance)| balance).sum();
        ensure!(
            bitcoin == paid,
            "{bitcoin} satoshi are booked of {paid} paid"
        );
        Ok(Some(()))
    })
    .await?;
    for machine in load.machines() {
        let machine = client.machine(machine).await.context("no machine")?;
        for slot in machine.slots {
            let out = u64::from(slot.stock) + u64::from(slot.held) + slot.sold + slot.shrinkage;
            ensure!(slot.received == out, "goods are missing: {slot:?}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vend(state: VendState) -> Vend {
        Vend {
            state: state.into(),
            machine_id: MACHINE.to_owned(),
            incarnation: 1,
            sequence: 3,
            price_sats: 1_500,
            ..Vend::default()
        }
    }

    fn pulses(times: &[(u64, usize)]) -> Pulses {
        let of = |(order, times): &(u64, usize)| ((MACHINE.to_owned(), 1, *order), *times);
        times.iter().map(of).collect()
    }

    #[test]
    fn a_second_pulse_for_one_order_is_a_double_effect() {
        let mut findings = Findings::default();
        doubles(&pulses(&[(1, 1), (2, 1)]), &mut findings);
        assert_eq!(findings.double_effects, 0);
        doubles(&pulses(&[(1, 1), (2, 3)]), &mut findings);
        assert_eq!((findings.double_effects, findings.violation_count), (2, 1));
    }

    #[test]
    fn a_vend_that_says_dispensed_without_a_pulse_is_found() {
        let dispensed = vend(VendState::Dispensed);
        assert!(judged(&dispensed, &pulses(&[(3, 1)])).is_ok());
        assert!(judged(&dispensed, &Pulses::new()).is_err());
        assert!(judged(&dispensed, &pulses(&[(3, 2)])).is_err());
    }

    #[test]
    fn a_paid_vend_that_is_neither_dispensed_nor_credited_is_found() {
        assert!(judged(&vend(VendState::Credited), &Pulses::new()).is_err());
        let credited = Vend {
            credited_sats: 1_500,
            ..vend(VendState::Credited)
        };
        assert!(judged(&credited, &Pulses::new()).is_ok());
        assert!(judged(&vend(VendState::Expired), &Pulses::new()).is_err());
        assert!(judged(&vend(VendState::Uncertain), &Pulses::new()).is_ok());
    }
}
