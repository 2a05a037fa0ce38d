//! What must be true once faults have ended.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::World;
use crate::node::transaction;
use crate::scenario::SECOND;

impl World {
    /// Once all is ordered, nobody makes another event.
    pub(super) fn check_quiet(&mut self) {
        // What was under way may still arrive and be answered.
        self.run_until(self.now + 4 * SECOND);
        let before = self.events();
        self.run_until(self.now + 10 * SECOND);
        if self.events() != before {
            self.violation("an idle federation makes events".to_owned());
        }
    }

    pub(super) fn run_until(&mut self, end: u64) {
        while self
            .queue
            .first_key_value()
            .is_some_and(|((time, _), _)| *time <= end)
        {
            if let Some(((time, _), happening)) = self.queue.pop_first() {
                self.now = time;
                self.happen(happening);
            }
        }
        self.now = end;
    }

    /// How many events each honest node has made.
    pub(super) fn events(&self) -> Vec<Option<u64>> {
        let made = |node: usize| {
            self.nodes[node]
                .core
                .as_ref()
                .and_then(|core| core.summary().known[node])
        };
        self.honest().map(made).collect()
    }

    pub(super) fn settled(&self) -> bool {
        let wanted: BTreeSet<Bytes> = self
            .honest()
            .flat_map(|node| self.submitted[node].iter().copied())
            .map(transaction)
            .collect();
        let all = self.agreed.len() as u64;
        self.honest().all(|node| {
            let Some(core) = &self.nodes[node].core else {
                return false;
            };
            let summary = core.summary();
            summary.executed == all
                && summary.final_index == all
                && summary.pool_transactions == 0
                && wanted.is_subset(&self.ordered[node])
        })
    }

    pub(super) fn progress(&self) -> String {
        let line = |node: usize| {
            let state = self.nodes[node]
                .core
                .as_ref()
                .map(dctrl_consensus::Core::summary);
            format!(
                "\n  {node}: {} ordered, {state:?}",
                self.ordered[node].len()
            )
        };
        self.honest().map(line).collect()
    }

    pub(super) fn violation(&mut self, what: String) {
        self.report.violations.push(what);
    }
}
