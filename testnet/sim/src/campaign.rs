//! Many runs on all cores, with one result however many cores there are.

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use dctrl_consensus::Digest;
use dctrl_consensus::crypto::sha256;
use serde_json::{Value, json};

use crate::marks::{Group, Marks};
use crate::report::Report;
use crate::rules::Rules;
use crate::simulate;

/// Runs below which nobody can expect that every mark was met.
pub const RUNS_FOR_COVERAGE: u64 = 800;
/// One run of so many is done twice, to see that it happens the same way.
const REPEAT_EVERY: u64 = 16;
/// Runs that a thread takes at once.
const CHUNK: usize = 16;

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// The first seed.
    pub first: u64,
    /// How many seeds, for each number of nodes.
    pub seeds: u64,
    /// Numbers of nodes, 1 to 16.
    pub nodes: Vec<usize>,
    /// Rules that are fixed for all runs.
    pub rules: Rules,
    /// Threads.
    pub threads: usize,
}

/// The sum of many runs.
#[derive(Debug, Clone, Default)]
pub struct Total {
    runs: u64,
    violations: u64,
    simulated_ns: u128,
    submitted: u64,
    actions: u64,
    blocks: u64,
    marks: Marks,
    digest: Digest,
    first_failing: Option<(u64, usize)>,
}

impl Campaign {
    /// Runs all, and hands each report over in the order of the seeds.
    ///
    /// # Panics
    /// Where a thread of the campaign panicked.
    pub fn run(&self, mut each: impl FnMut(&Report)) -> Total {
        let jobs: Vec<(u64, usize)> = (self.first..self.first.saturating_add(self.seeds))
            .flat_map(|seed| self.nodes.iter().map(move |nodes| (seed, *nodes)))
            .collect();
        let mut total = Total::default();
        // A batch at a time, so that memory does not grow with the campaign.
        for batch in jobs.chunks(CHUNK * 64) {
            for report in self.run_batch(batch) {
                each(&report);
                total.add(&report);
            }
        }
        total
    }

    fn run_batch(&self, jobs: &[(u64, usize)]) -> Vec<Report> {
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::with_capacity(jobs.len()));
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| {
                    loop {
                        let begin = next.fetch_add(CHUNK, Ordering::Relaxed);
                        if begin >= jobs.len() {
                            break;
                        }
                        let end = (begin + CHUNK).min(jobs.len());
                        let reports: Vec<_> = (begin..end)
                            .map(|job| (job, self.run_and_repeat(jobs[job])))
                            .collect();
                        done.lock().expect("no thread panics").extend(reports);
                    }
                });
            }
        });
        let mut done = done.into_inner().expect("no thread panicked");
        done.sort_by_key(|(job, _)| *job);
        done.into_iter().map(|(_, report)| report).collect()
    }

    /// Runs one seed, and some of them twice.
    fn run_and_repeat(&self, (seed, nodes): (u64, usize)) -> Report {
        let run = || simulate(seed, nodes, self.rules);
        let mut report = catch_unwind(run)
            .unwrap_or_else(|panic| Report::of_panic(seed, nodes, self.rules, &*panic));
        let again = seed % REPEAT_EVERY == 0 && report.violations.is_empty();
        if again && simulate(seed, nodes, self.rules).digest != report.digest {
            let what = "the same seed happened another way".to_owned();
            report.violations.push(what);
        }
        report
    }
}

impl Total {
    /// Adds a run.
    pub fn add(&mut self, report: &Report) {
        self.runs += 1;
        self.violations += report.violations.len() as u64;
        self.simulated_ns += u128::from(report.simulated_ns);
        self.submitted += report.submitted;
        self.actions += report.actions;
        self.blocks += report.blocks;
        self.marks.add(&report.marks);
        self.digest = sha256(b"dctrl-sim-runs\0", &[&self.digest.0, &report.digest.0]);
        if !report.violations.is_empty() && self.first_failing.is_none() {
            self.first_failing = Some((report.seed, report.nodes));
        }
    }

    /// What was met.
    #[must_use]
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// What was never met, where enough was run to expect it.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        if self.runs < RUNS_FOR_COVERAGE {
            Vec::new()
        } else {
            self.marks.missing()
        }
    }

    /// Whether nothing went wrong in any run.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violations == 0
    }

    /// The sum as one JSON object. Nothing in it depends on the machine.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "seeds": self.runs,
            "violations": self.violations,
            "simulated_s": u64::try_from(self.simulated_ns / 1_000_000_000).unwrap_or(u64::MAX),
            "submitted": self.submitted,
            "actions": self.actions,
            "blocks": self.blocks,
            "faults": self.marks.by_name(&[Group::Fault, Group::Lie]),
            "coverage": self.marks.by_name(&[Group::Branch, Group::Luck]),
            "never_met": self.marks.missing(),
            "first_failing_seed": self.first_failing.map(|(seed, _)| seed),
            "first_failing_nodes": self.first_failing.map(|(_, nodes)| nodes),
            "runs_digest": self.digest.to_string(),
        })
    }
}
