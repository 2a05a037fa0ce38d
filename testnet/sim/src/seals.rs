//! Every fault at every layer around a seal: crashes, lost disks, partitions
//! and floods that begin in each layer from some before the seal to some behind
//! it, into the next epoch.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::marks::{Mark, Marks};
use crate::report::Report;
use crate::rules::Rules;
use crate::scenario::{Blow, Scenario, Strike, places};
use crate::world::World;

/// What is to be run: all faults at all places, for each seed and number of
/// nodes.
#[derive(Debug, Clone)]
pub struct Seals {
    /// The first seed.
    pub first: u64,
    /// How many seeds.
    pub seeds: u64,
    /// Numbers of nodes, 1 to 16.
    pub nodes: Vec<usize>,
    /// Rules that are fixed for all runs.
    pub rules: Rules,
    /// Threads; the result does not depend on it.
    pub threads: usize,
}

/// One run of the sweep.
#[derive(Debug, Clone, Copy)]
struct Job {
    seed: u64,
    nodes: usize,
    blow: Blow,
    place: (u64, u64),
}

impl Job {
    fn run(self, rules: Rules) -> Report {
        let strike = Strike::of(self.seed, self.nodes, self.blow, self.place);
        let scenario = Scenario::at_a_seal(self.seed, self.nodes, strike);
        World::of(scenario, self.seed, rules).run(self.seed, rules)
    }
}

impl Seals {
    fn jobs(&self) -> Vec<Job> {
        let mut jobs = Vec::new();
        for seed in self.first..self.first.saturating_add(self.seeds) {
            for &nodes in &self.nodes {
                for blow in Blow::ALL {
                    for place in places() {
                        jobs.push(Job {
                            seed,
                            nodes,
                            blow,
                            place,
                        });
                    }
                }
            }
        }
        jobs
    }

    /// Runs all; gives the sum as one JSON object, and what failed.
    ///
    /// # Panics
    /// Where a run panicked.
    #[must_use]
    pub fn run(&self) -> (Value, Vec<String>) {
        let jobs = self.jobs();
        let next = AtomicUsize::new(0);
        let found = Mutex::new((Marks::default(), 0_u128, 0_u64, Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| {
                    while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let report = job.run(self.rules);
                        let mut found = found.lock().expect("no thread panics");
                        found.0.add(&report.marks);
                        found.1 += u128::from(report.simulated_ns);
                        found.2 += report.blocks;
                        for what in report.violations {
                            found.3.push(format!("{job:?}: {what}"));
                        }
                    }
                });
            }
        });
        let (marks, simulated_ns, blocks, mut failed) = found.into_inner().expect("none panicked");
        failed.sort();
        let sum = json!({
            "runs": jobs.len(),
            "places": places().len(),
            "faults": Blow::ALL.len(),
            "struck": marks.count(Mark::SealStruck),
            "epochs_sealed": marks.count(Mark::EpochSealed),
            "real_signatures": marks.count(Mark::RealSignatures),
            "simulated_s": u64::try_from(simulated_ns / 1_000_000_000).unwrap_or(u64::MAX),
            "blocks": blocks,
            "violations": failed.len(),
        });
        (sum, failed)
    }
}
