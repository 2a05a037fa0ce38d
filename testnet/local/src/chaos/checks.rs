//! What must hold at the end, asked through the doors that everybody has.

pub(super) mod books;
mod states;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use dctrl_proto::v1::Receipt;
use prost::Message;
use serde::Serialize;
use tokio::task::JoinSet;

use super::{
    load::Load,
    promises::{Id, Work, compare, miscounted},
};
use crate::{federation::Federation, story::Story, wait::until};

/// How long the nodes may take to come to one height when nobody hands in
/// anything any more, and open actions to be answered.
const SETTLE_LIMIT: Duration = Duration::from_secs(240);

/// How long each thing is waited for in any case.
const SETTLE_LEAST: Duration = Duration::from_secs(2);

/// Findings that are told as text.
const FINDINGS_MAX: usize = 60;

/// What was found.
#[derive(Debug, Default, Serialize)]
pub(super) struct Findings {
    /// Everything that must not be, in words.
    pub(super) violations: Vec<String>,
    /// How many.
    pub(super) violation_count: usize,
    /// Final answers that were remembered.
    pub(super) final_actions: usize,
    /// Of those, on each node: not found, or not with the same receipt.
    pub(super) lost_final: usize,
    /// Effects too many.
    pub(super) double_effects: usize,
    /// Actions that were handed in and never answered, also not at the end.
    pub(super) unanswered: usize,
    /// Certificates of blocks with promised actions that were verified.
    pub(super) certificates: usize,
    /// Paid sales, and how they ended.
    pub(super) vends: usize,
    pub(super) vends_by_end: BTreeMap<String, usize>,
    /// Heights at which the states of all nodes were compared.
    pub(super) heights_compared: usize,
    /// Whether they were equal at all of them.
    pub(super) digests_equal: bool,
}

impl Findings {
    /// Notes what must not be.
    pub(super) fn violation(&mut self, what: impl Into<String>) {
        self.violation_count += 1;
        if self.violations.len() < FINDINGS_MAX {
            self.violations.push(what.into());
        }
    }
}

/// Asks everything of a federation that is healed and left in peace.
pub(super) async fn all(federation: &Federation, load: &Arc<Load>, story: &Story) -> Findings {
    let mut findings = Findings::default();
    let begun = Instant::now();
    let told = |what: &str, findings: &Findings| {
        let (seconds, wrong) = (begun.elapsed().as_secs_f64(), findings.violation_count);
        story.tell(format!(
            "{what}: {wrong} violations until here, {seconds:.1} s"
        ));
    };
    answer_open(load, federation.len(), &mut findings).await;
    if let Err(error) = states::settled(federation).await {
        findings.violation(format!("the nodes do not come together: {error:#}"));
    }
    told("all nodes hold the same last block", &findings);
    promises(federation, load, &mut findings).await;
    told("every node was asked for every final answer", &findings);
    states::check(federation, load, &mut findings).await;
    told("states and certificates are compared", &findings);
    books::check(federation, load, &mut findings).await;
    told("every paid vend and all books are looked at", &findings);
    let (wrong, count) = {
        let promises = load.promises();
        let (wrong, count) = promises.wrongs();
        (wrong.to_vec(), count)
    };
    for what in wrong {
        findings.violation(what);
        findings.lost_final += 1;
    }
    findings.violation_count += count.saturating_sub(findings.violations.len());
    findings
}

/// Actions that people gave up on: they took effect or not, and every node
/// has to say the same.
async fn answer_open(load: &Load, nodes: usize, findings: &mut Findings) {
    let open = load.promises().open();
    for id in open {
        for node in 0..nodes {
            if let Ok(receipt) = load.ask(node, id, 1).await {
                load.promises().told(id, node, &receipt, Instant::now());
            }
        }
    }
    findings.unanswered = load.promises().open().len();
}

/// Every final answer must be found on every node, and the counted ones must
/// have had one effect each.
async fn promises(federation: &Federation, load: &Arc<Load>, findings: &mut Findings) {
    let promised = load.promises().finals().clone();
    findings.final_actions = promised.len();
    let mut asked = JoinSet::new();
    for node in 0..federation.len() {
        let (load, ids) = (load.clone(), promised.keys().copied().collect::<Vec<_>>());
        asked.spawn(async move {
            let mut found = BTreeMap::new();
            let mut missed = 0;
            for id in ids {
                // Who has lost much would be waited for until tomorrow.
                let patient = missed < FINDINGS_MAX;
                match found_on(&load, node, id, patient).await {
                    Some(receipt) => drop(found.insert(id, receipt.encode_to_vec())),
                    None => missed += 1,
                }
            }
            (node, found)
        });
    }
    for (node, found) in asked.join_all().await {
        let compared = compare(&promised, &found);
        findings.lost_final += compared.lost.len() + compared.changed.len();
        for (ids, how) in [(compared.lost, "lost"), (compared.changed, "changed")] {
            for id in ids {
                let id = hex::encode(id);
                findings.violation(format!("node {node} has {how} the final action {id}"));
            }
        }
    }
    let applied = |receipt: &[u8]| Receipt::decode(receipt).is_ok_and(|it| it.refusal.is_none());
    let counted = promised.values();
    let counted = counted.filter(|it| it.work == Work::Count && applied(&it.receipt));
    let applied = counted.count() as u64;
    for node in 0..federation.len() {
        match books::counted(federation, node).await {
            Ok(received) => {
                if let Some(difference) = miscounted(applied, received) {
                    let times = usize::try_from(difference.unsigned_abs()).unwrap_or(usize::MAX);
                    // Fewer than promised is a loss, more is a second effect.
                    if difference > 0 {
                        findings.double_effects += times;
                    } else {
                        findings.lost_final += times;
                    }
                    findings.violation(format!(
                        "node {node}: {applied} actions put in {received} units"
                    ));
                }
            }
            Err(error) => findings.violation(format!("node {node} does not count: {error:#}")),
        }
    }
}

/// An answer that does not come may come the next time; one that is wrong
/// stays wrong.
async fn found_on(load: &Load, node: usize, id: Id, patient: bool) -> Option<Receipt> {
    let (times, wait_ms) = if patient { (3, 2_000) } else { (1, 1) };
    for _ in 0..times {
        if let Ok(receipt) = load.ask(node, id, wait_ms).await {
            return Some(receipt);
        }
    }
    None
}

/// Waits with the patience of the end, which `since` has used up in part; at
/// least for a moment.
async fn settle<T>(
    since: Instant,
    what: &str,
    look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let left = SETTLE_LIMIT.saturating_sub(since.elapsed());
    until(left.max(SETTLE_LEAST), what, look).await
}
