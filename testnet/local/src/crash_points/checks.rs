//! What must be true when everybody is well again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use dctrl_proto::v1::VendState;
use serde::Serialize;

use super::dying::{ENDS, SLOT_COUNTED};
use crate::{
    cli::Cli,
    federation::{Federation, MACHINE},
    wait::until,
};

/// How long the nodes may take to agree.
const LIMIT: Duration = Duration::from_secs(90);

/// What was compared.
#[derive(Debug, Serialize)]
pub(super) struct Checked {
    /// Blocks with equal states on all nodes, up to this height.
    height: u64,
    /// Vends that were paid, by how they ended.
    paid: BTreeMap<String, usize>,
    /// Final actions that had one effect each, on every node.
    counted: u64,
    pulses: usize,
    /// Lines of the event logs that all nodes have alike.
    log_lines: usize,
}

/// Checks everything and stops everything.
pub(super) async fn all(
    federation: &mut Federation,
    paid: &[String],
    counted: u64,
) -> Result<Checked> {
    let height = equal_states(federation).await?;
    for node in 0..federation.len() {
        let client = federation.client_of(node);
        let (accounts, sum) = client.balances().await?;
        ensure!(
            sum == 0,
            "the books of node {node} sum to {sum}: {accounts:?}"
        );
        for slot in client.machine(MACHINE).await?.slots {
            let out = u64::from(slot.stock) + u64::from(slot.held) + slot.sold + slot.shrinkage;
            ensure!(slot.received == out, "node {node} misses goods: {slot:?}");
        }
        let received = client.slot(MACHINE, SLOT_COUNTED).await?.received;
        ensure!(
            received == counted,
            "{counted} final actions put in {received} units on node {node}"
        );
    }
    let ended = ended(federation, paid).await?;
    let pulses = pulses(federation, &ended)?;
    federation.stop().await;
    let log_lines = equal_logs(federation).await?;
    let mut by_state = BTreeMap::new();
    for state in &ended {
        *by_state.entry(format!("{state:?}")).or_insert(0) += 1;
    }
    Ok(Checked {
        height,
        paid: by_state,
        counted,
        pulses,
        log_lines,
    })
}

async fn equal_states(federation: &Federation) -> Result<u64> {
    let last = federation.client()?.status().await?.final_height;
    let (height, digests) = until(LIMIT, format!("all nodes at {last}"), async || {
        let (height, digests) = federation.digests().await?;
        let all = digests.len() == federation.len() && height >= last;
        Ok(all.then_some((height, digests)))
    })
    .await?;
    let different: BTreeSet<_> = digests.values().collect();
    ensure!(
        different.len() == 1,
        "the states differ at height {height}: {digests:?}"
    );
    Ok(height)
}

/// How every paid vend has ended, alike on every node.
async fn ended(federation: &Federation, paid: &[String]) -> Result<Vec<VendState>> {
    let mut ended = Vec::new();
    for vend in paid {
        let mut states = BTreeSet::new();
        for node in 0..federation.len() {
            states.insert(federation.client_of(node).vend(vend).await?.state() as i32);
        }
        let state = federation.client()?.vend(vend).await?.state();
        ensure!(states.len() == 1, "the nodes differ on the vend {vend}");
        ensure!(ENDS.contains(&state), "the vend {vend} is {state:?}");
        ended.push(state);
    }
    Ok(ended)
}

/// At most one pulse for each order, and one for each vend that was dispensed.
fn pulses(federation: &Federation, ended: &[VendState]) -> Result<usize> {
    let pulses = federation.trace().pulses()?.len();
    let dispensed = ended.iter().filter(|state| **state == VendState::Dispensed);
    let dispensed = dispensed.count();
    let unknown = ended
        .iter()
        .filter(|state| matches!(state, VendState::Uncertain | VendState::Credited));
    ensure!(
        (dispensed..=dispensed + unknown.count()).contains(&pulses),
        "{pulses} pulses for {dispensed} dispensed of {} paid vends",
        ended.len()
    );
    Ok(pulses)
}

/// The event log of every node: its chain holds, and no line is missing, twice
/// or different in any of them.
async fn equal_logs(federation: &Federation) -> Result<usize> {
    let program = Cli::new(federation.programs().node());
    let mut logs = Vec::new();
    for node in 0..federation.len() {
        let folder = federation.node_dir(node).join("log/events");
        let said = program
            .run(&["verify-log".as_ref(), folder.as_os_str()])
            .await?;
        said.ok()
            .with_context(|| format!("the event log of node {node}"))?;
        logs.push(lines(&folder)?);
    }
    let shortest = logs.iter().map(Vec::len).min().unwrap_or(0);
    ensure!(shortest > 0, "a node has logged nothing");
    for (node, log) in logs.iter().enumerate() {
        let different = (0..shortest).find(|at| log[*at] != logs[0][*at]);
        if let Some(at) = different {
            anyhow::bail!("line {} of node {node}'s event log is another", at + 1);
        }
    }
    Ok(shortest)
}

fn lines(folder: &Path) -> Result<Vec<String>> {
    let mut files: Vec<_> = fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|it| it == "jsonl"))
        .collect();
    files.sort();
    let mut lines = Vec::new();
    for file in files {
        lines.extend(fs::read_to_string(&file)?.lines().map(str::to_owned));
    }
    Ok(lines)
}
