//! What became of every paid vend, asked of the federation and of the pins.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use dctrl_proto::v1::{ListRequest, Vend, VendState};

use crate::{
    chaos::{
        checks::{
            Findings,
            books::{self, Order, Pulses},
        },
        load::{Load, customer::has_ended},
    },
    client::Client,
    federation::Federation,
};

/// Rows of a page.
const ROWS: u32 = 1_000;

/// Most pages that are read.
const PAGES_MAX: usize = 1_000;

/// What the ledger writes where a receipt of the machine ends a vend.
const BY_RECEIPT: &str = "The machine reported DISPENSED";

/// What was found beyond the findings.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Paid vends that have not ended.
    pub(super) unresolved: usize,
    /// Pulses of all machines.
    pub(super) pulses: usize,
    /// Uncertain vends by what the ledger says of them.
    pub(super) reasons: BTreeMap<String, usize>,
    /// A second pulse that was written into a trace behind all checks was found.
    pub(super) planted_found: bool,
}

/// Judges each paid vend: dispensed with a receipt and one pulse, credited in
/// full and without a pulse, or on the operators' list of every node.
pub(super) async fn judge(
    federation: &Federation,
    load: &Load,
    findings: &mut Findings,
) -> Verdict {
    let mut verdict = Verdict::default();
    if let Err(error) = all(federation, load, findings, &mut verdict).await {
        findings.violation(format!("the vends cannot be judged: {error:#}"));
    }
    match planted(federation, load) {
        Ok(found) => verdict.planted_found = found,
        Err(error) => findings.violation(format!("nothing was planted: {error:#}")),
    }
    if !verdict.planted_found {
        findings.violation("a second pulse that was planted was not found");
    }
    verdict
}

async fn all(
    federation: &Federation,
    load: &Load,
    findings: &mut Findings,
    verdict: &mut Verdict,
) -> Result<()> {
    let pulses = books::pulses(federation, load)?;
    verdict.pulses = pulses.values().sum();
    let mut lists = Vec::new();
    for node in 0..federation.len() {
        lists.push(listed(&federation.client_of(node)).await?);
    }
    let client = federation.client()?;
    let sales = load.promises().sales.clone();
    let mut orders: BTreeSet<Order> = BTreeSet::new();
    for sale in sales {
        let vend = client.vend(&sale.vend).await?;
        if !has_ended(&vend) {
            verdict.unresolved += 1;
        }
        if let Err(error) = judged(&vend, &pulses, &lists) {
            findings.violation(format!("vend {}: {error:#}", vend.id));
        }
        if vend.state() == VendState::Uncertain {
            *verdict.reasons.entry(why(&vend)).or_default() += 1;
        }
        orders.insert((vend.machine_id, vend.incarnation, vend.sequence));
    }
    for order in pulses.keys().filter(|order| !orders.contains(*order)) {
        findings.violation(format!("nobody paid for the order {order:?}"));
    }
    Ok(())
}

/// Ids of the vends that a node lists for the operators.
async fn listed(client: &Client) -> Result<BTreeSet<String>> {
    let (mut ids, mut after) = (BTreeSet::new(), String::new());
    for _ in 0..PAGES_MAX {
        let request = ListRequest {
            limit: ROWS,
            after,
            machine_id: String::new(),
        };
        let page = client.grpc().list_uncertain(request).await?.into_inner();
        ids.extend(page.vends.into_iter().map(|vend| vend.id));
        after = page.next;
        if after.is_empty() {
            return Ok(ids);
        }
    }
    anyhow::bail!("the operators' list has no end")
}

/// Why nobody knows, as the ledger says it.
fn why(vend: &Vend) -> String {
    let steps = vend.history.iter().rev();
    let mut uncertain = steps.filter(|step| step.state() == VendState::Uncertain);
    uncertain
        .next()
        .map_or_else(String::new, |step| step.detail.clone())
}

fn judged(vend: &Vend, pulses: &Pulses, lists: &[BTreeSet<String>]) -> Result<()> {
    let moved = books::moved(vend, pulses);
    match vend.state() {
        VendState::Dispensed => {
            let last = vend.history.last().context("it has no history")?;
            ensure!(
                last.detail.starts_with(BY_RECEIPT),
                "dispensed without a receipt: {:?}",
                last.detail
            );
        }
        VendState::Credited => ensure!(
            moved == 0,
            "credited, and the machine moved {moved} times for it"
        ),
        VendState::Uncertain => {
            ensure!(!why(vend).is_empty(), "uncertain, and nobody says why");
            let missing = lists.iter().filter(|list| !list.contains(&vend.id)).count();
            ensure!(missing == 0, "{missing} nodes do not list it");
        }
        other => ensure!(false, "paid, and it rests as {other:?}"),
    }
    Ok(())
}

/// Whether the check of doubled pulses finds one that is written now.
fn planted(federation: &Federation, load: &Load) -> Result<bool> {
    for machine in load.machines() {
        let trace = federation.trace_of(machine);
        let Some(pulse) = trace.pulses()?.last().copied() else {
            continue;
        };
        let mut before = Findings::default();
        books::doubles(&books::pulses(federation, load)?, &mut before);
        trace.plant(pulse)?;
        let mut after = Findings::default();
        books::doubles(&books::pulses(federation, load)?, &mut after);
        return Ok(after.double_effects == before.double_effects + 1);
    }
    anyhow::bail!("no machine has moved")
}

#[cfg(test)]
mod tests {
    use dctrl_proto::v1::VendStep;

    use super::*;

    fn vend(state: VendState, detail: &str) -> Vend {
        let step = VendStep {
            state: state.into(),
            detail: detail.to_owned(),
            ..VendStep::default()
        };
        Vend {
            id: "v1".to_owned(),
            machine_id: "m1".to_owned(),
            incarnation: 1,
            sequence: 3,
            state: state.into(),
            history: vec![step],
            ..Vend::default()
        }
    }

    fn once() -> Pulses {
        Pulses::from([(("m1".to_owned(), 1, 3), 1)])
    }

    #[test]
    fn goods_and_money_for_one_vend_are_found() {
        let credited = vend(VendState::Credited, "The machine reported FAILED.");
        assert!(judged(&credited, &Pulses::new(), &[]).is_ok());
        assert!(judged(&credited, &once(), &[]).is_err());
    }

    #[test]
    fn a_vend_that_is_dispensed_by_somebody_else_than_the_machine_is_found() {
        let by_receipt = vend(VendState::Dispensed, "The machine reported DISPENSED.");
        assert!(judged(&by_receipt, &once(), &[]).is_ok());
        let by_word = vend(VendState::Dispensed, "An operator said so.");
        assert!(judged(&by_word, &once(), &[]).is_err());
    }

    #[test]
    fn an_uncertain_vend_that_a_node_does_not_list_is_found() {
        let uncertain = vend(VendState::Uncertain, "Nobody knows.");
        let listed = BTreeSet::from(["v1".to_owned()]);
        assert!(judged(&uncertain, &once(), std::slice::from_ref(&listed)).is_ok());
        assert!(judged(&uncertain, &once(), &[listed, BTreeSet::new()]).is_err());
        let silent = vend(VendState::Uncertain, "");
        assert!(judged(&silent, &once(), &[]).is_err());
    }

    #[test]
    fn a_paid_vend_that_rests_on_its_way_is_found() {
        assert!(judged(&vend(VendState::Dispatched, "x"), &once(), &[]).is_err());
    }
}
