//! Many runs of payouts, with one result however many threads there are.

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use dctrl_consensus::Digest;
use dctrl_consensus::crypto::sha256;
use serde_json::{Value, json};

use super::{PAYOUTS_PER_RUN, PayoutReport, simulate_payouts};

/// Payouts below which nobody can expect that everything was met.
const PAYOUTS_FOR_COVERAGE: u64 = 20_000;
/// Runs that are handed to the threads at once.
const BATCH: usize = 64;
/// One run of so many is done twice, to see that it happens the same way.
const REPEAT_EVERY: u64 = 64;
/// What a campaign must meet, or it has not tested it.
const MUST_MEET: &[&str] = &[
    "attack_changed_output",
    "attack_incomplete",
    "attack_other_input",
    "attack_replayed",
    "attack_robbery",
    "attack_sighash",
    "backend_down",
    "backend_lagging",
    "broadcast",
    "broadcast_conflicts",
    "broadcast_known",
    "child PAYOUT_STATE_CONFIRMED",
    "child PAYOUT_STATE_INVALIDATED",
    "consolidation PAYOUT_STATE_CONFIRMED",
    "evicted",
    "executor_killed_at_rest",
    "executor_killed_before_broadcast",
    "executor_killed_behind_broadcast",
    "executor_killed_behind_saying",
    "fee_lies",
    "finished_outside",
    "ledger_rebuilt",
    "malicious_approvals",
    "observation_refused",
    "observations_lost",
    "older_version_mined",
    "payment_lies",
    "payment_taken_back",
    "payout_lies",
    "payout_without_its_coin",
    "proposed_twice",
    "refund_asked",
    "refund_paid",
    "reorganised",
    "reorganised_deeply",
    "refused payout.propose payout.allow_delay",
    "refused payout.propose payout.dust",
    "refused payout.propose payout.tier",
    "sent_by_others",
    "state PAYOUT_STATE_CANCELLED",
    "state PAYOUT_STATE_CONFIRMED",
    "state PAYOUT_STATE_EXPIRED",
    "state PAYOUT_STATE_INVALIDATED",
    "state PAYOUT_STATE_REJECTED",
    "stolen",
    "taken_over",
    "tip_lies",
];

/// What is to be run.
#[derive(Debug, Clone)]
pub struct PayoutCampaign {
    /// The first run's seed; the others follow.
    pub first: u64,
    /// Payouts of all runs together.
    pub payouts: u64,
    /// Threads.
    pub threads: usize,
}

/// The sum of many runs.
#[derive(Debug, Clone, Default)]
pub struct PayoutTotal {
    runs: u64,
    wanted: u64,
    violations: u64,
    taken: u64,
    paid: u64,
    versions: u64,
    blocks: u64,
    actions: u64,
    seen: BTreeMap<String, u64>,
    digest: Digest,
    first_failing: Option<u64>,
}

impl PayoutCampaign {
    /// Runs all, and hands each report over in the order of the seeds.
    ///
    /// # Panics
    /// Where a thread of the campaign panicked.
    pub fn run(&self, mut each: impl FnMut(&PayoutReport)) -> PayoutTotal {
        let runs = self.payouts.div_ceil(PAYOUTS_PER_RUN);
        let jobs: Vec<(u64, u64)> = (0..runs)
            .map(|run| {
                let left = self.payouts - run * PAYOUTS_PER_RUN;
                (self.first + run, left.min(PAYOUTS_PER_RUN))
            })
            .collect();
        let mut total = PayoutTotal::default();
        for batch in jobs.chunks(BATCH) {
            for report in self.run_batch(batch) {
                each(&report);
                total.add(&report);
            }
        }
        total
    }

    fn run_batch(&self, jobs: &[(u64, u64)]) -> Vec<PayoutReport> {
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::with_capacity(jobs.len()));
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some((seed, payouts)) = jobs.get(at) else {
                            break;
                        };
                        let report = run_and_repeat(*seed, *payouts);
                        done.lock().expect("no thread panics").push((at, report));
                    }
                });
            }
        });
        let mut done = done.into_inner().expect("no thread panicked");
        done.sort_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, report)| report).collect()
    }
}

fn run_and_repeat(seed: u64, payouts: u64) -> PayoutReport {
    let run = || simulate_payouts(seed, payouts);
    let mut report = catch_unwind(run).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let text = text.unwrap_or("without a word");
        PayoutReport::failed(seed, payouts, format!("a panic: {text}"))
    });
    let again = seed.is_multiple_of(REPEAT_EVERY) && report.violations.is_empty();
    if again && run().digest != report.digest {
        let what = "the same seed happened another way".to_owned();
        report.violations.push(what);
    }
    report
}

impl PayoutTotal {
    /// Adds a run.
    pub fn add(&mut self, report: &PayoutReport) {
        self.runs += 1;
        self.wanted += report.payouts;
        self.violations += report.violations.len() as u64;
        self.taken += report.taken;
        self.paid += report.paid;
        self.versions += report.versions;
        self.blocks += report.blocks;
        self.actions += report.actions;
        for (what, count) in &report.seen {
            *self.seen.entry(what.clone()).or_default() += count;
        }
        let parts = [&self.digest.0[..], &report.digest.0];
        self.digest = sha256(b"dctrl-sim-payout-runs\0", &parts);
        if !report.violations.is_empty() && self.first_failing.is_none() {
            self.first_failing = Some(report.seed);
        }
    }

    /// How often something was met.
    #[must_use]
    pub fn seen(&self, what: &str) -> u64 {
        self.seen.get(what).copied().unwrap_or(0)
    }

    /// Whether nothing went wrong in any run.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violations == 0
    }

    /// What was never met, where enough was run to expect it.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        if self.wanted < PAYOUTS_FOR_COVERAGE {
            return Vec::new();
        }
        let unmet = MUST_MEET.iter().filter(|what| self.seen(what) == 0);
        unmet.copied().collect()
    }

    /// The sum as one JSON object. Nothing in it depends on the machine.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "world": "payouts",
            "runs": self.runs,
            "payouts": self.wanted,
            "violations": self.violations,
            "taken": self.taken,
            "paid": self.paid,
            "transactions": self.versions,
            "blocks": self.blocks,
            "actions": self.actions,
            "met": self.seen,
            "never_met": self.missing(),
            "first_failing_seed": self.first_failing,
            "runs_digest": self.digest.to_string(),
        })
    }
}
