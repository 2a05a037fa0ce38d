//! Many runs of the whole world on all cores, with one result however many
//! cores there are.

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use dctrl_consensus::Digest;
use dctrl_consensus::crypto::sha256;
use serde_json::{Value, json};

use super::plan::{Plan, Strike};
use super::points;
use super::seen::{BRANCHES, FAULTS, Seen};
use super::{FullReport, Size, run, simulate_full};
use crate::marks::{Group, Marks};
use crate::prng::Prng;
use crate::rules::Rules;

/// Runs below which nobody can expect that everything was met.
const RUNS_FOR_COVERAGE: u64 = 200;
/// One run of so many is done twice, to see that it happens the same way.
const REPEAT_EVERY: u64 = 64;

/// What is to be run.
#[derive(Debug, Clone)]
pub struct FullCampaign {
    /// The first seed.
    pub first: u64,
    /// How many seeds, for each number of nodes.
    pub seeds: u64,
    /// Numbers of nodes, 1 to 16.
    pub nodes: Vec<usize>,
    /// How much each run holds.
    pub size: Size,
    /// Rules that are fixed for all runs.
    pub rules: Rules,
    /// Threads.
    pub threads: usize,
    /// In place of a seed's own faults, a kill at each named crash point: at
    /// its first passing, and at some later one that the seed draws.
    pub sweep: bool,
}

/// One run of a campaign.
#[derive(Debug, Clone, Copy)]
struct Job {
    seed: u64,
    nodes: usize,
    strike: Option<Strike>,
}

/// The sum of many runs.
#[derive(Debug, Clone, Default)]
pub struct FullTotal {
    runs: u64,
    /// Whether each crash point was to be struck.
    sweeps: bool,
    violations: u64,
    simulated_ns: u128,
    vends: u64,
    pulses: u64,
    actions: u64,
    blocks: u64,
    marks: Marks,
    seen: Seen,
    passed: Vec<&'static str>,
    struck: Vec<&'static str>,
    digest: Digest,
    first_failing: Option<(u64, usize)>,
}

impl FullCampaign {
    /// Runs all, and hands each report over in the order of the seeds.
    ///
    /// # Panics
    /// Where a thread of the campaign panicked.
    pub fn run(&self, mut each: impl FnMut(&FullReport)) -> FullTotal {
        let jobs: Vec<Job> = (self.first..self.first.saturating_add(self.seeds))
            .flat_map(|seed| self.nodes.iter().map(move |nodes| (seed, *nodes)))
            .flat_map(|(seed, nodes)| self.jobs(seed, nodes))
            .collect();
        let mut total = FullTotal {
            sweeps: self.sweep,
            ..FullTotal::default()
        };
        for batch in jobs.chunks(64) {
            for report in self.run_batch(batch) {
                each(&report);
                total.add(&report);
            }
        }
        total
    }

    fn jobs(&self, seed: u64, nodes: usize) -> Vec<Job> {
        let job = |strike| Job {
            seed,
            nodes,
            strike,
        };
        if !self.sweep {
            return vec![job(None)];
        }
        let mut chance = Prng::new(seed);
        points::all()
            .into_iter()
            .flat_map(|point| {
                let later = u32::try_from(chance.between(2, 12)).unwrap_or(2);
                [1, later].map(|passing| job(Some(Strike { point, passing })))
            })
            .collect()
    }

    fn run_batch(&self, jobs: &[Job]) -> Vec<FullReport> {
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::with_capacity(jobs.len()));
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(job) = jobs.get(at) else { break };
                        let report = self.run_and_repeat(*job);
                        done.lock().expect("no thread panics").push((at, report));
                    }
                });
            }
        });
        let mut done = done.into_inner().expect("no thread panicked");
        done.sort_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, report)| report).collect()
    }

    fn run_and_repeat(&self, job: Job) -> FullReport {
        let Job {
            seed,
            nodes,
            strike,
        } = job;
        let run = || match strike {
            None => simulate_full(seed, nodes, self.size, self.rules),
            Some(strike) => run(Plan::struck(seed, nodes, strike), seed, self.rules),
        };
        let mut report = catch_unwind(run).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            FullReport::of_panic(
                (seed, nodes, self.size),
                self.rules,
                text.unwrap_or("without a word"),
            )
        });
        let again = seed.is_multiple_of(REPEAT_EVERY) && report.violations.is_empty();
        if again && run().digest != report.digest {
            let what = "the same seed happened another way".to_owned();
            report.violations.push(what);
        }
        report
    }
}

impl FullTotal {
    /// Adds a run.
    pub fn add(&mut self, report: &FullReport) {
        self.runs += 1;
        self.violations += report.violations.len() as u64;
        self.simulated_ns += u128::from(report.simulated_ns);
        self.vends += report.vends;
        self.pulses += report.pulses;
        self.actions += report.actions;
        self.blocks += report.blocks;
        self.marks.add(&report.marks);
        self.seen.add(&report.seen);
        for point in &report.passed {
            if !self.passed.contains(point) {
                self.passed.push(point);
            }
        }
        for point in &report.struck {
            if !self.struck.contains(point) {
                self.struck.push(point);
            }
        }
        let parts = [&self.digest.0[..], &report.digest.0];
        self.digest = sha256(b"dctrl-sim-runs\0", &parts);
        if !report.violations.is_empty() && self.first_failing.is_none() {
            self.first_failing = Some((report.seed, report.nodes));
        }
    }

    /// What was met of something, by its name.
    #[must_use]
    pub fn seen(&self, what: &str) -> u64 {
        self.seen.count(what)
    }

    /// Faults and branches that were never met, where enough was run to expect
    /// them.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        if self.sweeps {
            let mut all = points::all();
            all.retain(|point| !self.struck.contains(point));
            return all;
        }
        if self.runs < RUNS_FOR_COVERAGE {
            return Vec::new();
        }
        let all = FAULTS.iter().chain(BRANCHES);
        let unmet = all.filter(|name| self.seen.count(name) == 0);
        unmet.copied().collect()
    }

    /// Whether nothing went wrong in any run.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violations == 0
    }

    /// The sum as one JSON object. Nothing in it depends on the machine.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut faults = self.seen.of(FAULTS);
        let shared = self.marks.by_name(&[Group::Fault]);
        faults.extend(shared.into_iter().filter(|(_, count)| *count > 0));
        let total = points::all().len();
        let struck = format!("{}/{total}", self.struck.len());
        json!({
            "world": "full",
            "seeds": self.runs,
            "violations": self.violations,
            "simulated_s": u64::try_from(self.simulated_ns / 1_000_000_000).unwrap_or(u64::MAX),
            "vends": self.vends,
            "outcomes": self.seen.under("outcome_"),
            "pulses": self.pulses,
            "actions": self.actions,
            "blocks": self.blocks,
            "faults": faults,
            "coverage": self.seen.of(BRANCHES),
            "never_met": self.missing(),
            "crash_points": struck,
            "crash_points_passed": format!("{}/{total}", self.passed.len()),
            "first_failing_seed": self.first_failing.map(|(seed, _)| seed),
            "first_failing_nodes": self.first_failing.map(|(_, nodes)| nodes),
            "runs_digest": self.digest.to_string(),
        })
    }
}
