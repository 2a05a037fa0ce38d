//! Which steps agents died at, and what was strange.

use std::collections::BTreeMap;

use super::{super::checks::Findings, steps};
use crate::random::Random;

/// A step that is often not met is chosen less: so many failures weigh like
/// one death.
const MISSES_PER_DEATH: u64 = 3;

/// From so many vends per step on, each step has to have been met.
const VENDS_PER_STEP: u64 = 3;

/// How often a campaign may try for each vend that it wants.
const TRIES_PER_VEND: u64 = 4;

/// Strange things that are kept as text.
const PROBLEMS_MAX: usize = 40;

/// The count of one campaign.
#[derive(Debug)]
pub(super) struct Tally {
    wanted: u64,
    claimed: u64,
    tries: u64,
    /// Vends in which the agent died.
    pub(super) harmed: u64,
    /// Machines that were reset, for a new incarnation.
    pub(super) resets: u64,
    /// Deaths by step.
    pub(super) met: BTreeMap<&'static str, u64>,
    /// Attempts that are on their way.
    pending: BTreeMap<&'static str, u64>,
    missed: BTreeMap<&'static str, u64>,
    problems: Vec<String>,
    problem_count: usize,
}

impl Tally {
    pub(super) fn new(wanted: u64) -> Self {
        Self {
            wanted,
            claimed: 0,
            tries: 0,
            harmed: 0,
            resets: 0,
            met: BTreeMap::new(),
            pending: BTreeMap::new(),
            missed: BTreeMap::new(),
            problems: Vec::new(),
            problem_count: 0,
        }
    }

    /// Whether another vend is wanted, which is then the caller's to make.
    pub(super) fn claim(&mut self) -> bool {
        let wanted = self.claimed < self.wanted && self.tries < self.wanted * TRIES_PER_VEND;
        if wanted {
            self.claimed += 1;
            self.tries += 1;
        }
        wanted
    }

    /// A vend is over.
    pub(super) fn vended(&mut self, harmed: bool) {
        if harmed {
            self.harmed += 1;
        } else {
            self.claimed -= 1;
        }
    }

    /// The step that was met least, of those that this agent comes to.
    pub(super) fn choose(&mut self, begins_files: bool, random: &mut Random) -> &'static str {
        let weight = |name| {
            let of = |counts: &BTreeMap<&'static str, u64>| counts.get(name).copied().unwrap_or(0);
            of(&self.met) + of(&self.pending) + of(&self.missed) / MISSES_PER_DEATH
        };
        let eligible: Vec<(u64, &'static str)> = steps::names()
            .filter(|name| steps::is_met_by(name, begins_files))
            .map(|name| (weight(name), name))
            .collect();
        let least = eligible.iter().map(|(weight, _)| *weight).min();
        let rarest: Vec<&'static str> = eligible
            .into_iter()
            .filter(|(weight, _)| Some(*weight) == least)
            .map(|(_, name)| name)
            .collect();
        let name = *random.pick(&rarest);
        *self.pending.entry(name).or_default() += 1;
        name
    }

    /// The attempt for a step is over: the agent died there, or not.
    pub(super) fn tried(&mut self, name: &'static str, met: bool) {
        if let Some(pending) = self.pending.get_mut(name) {
            *pending = pending.saturating_sub(1);
        }
        if !met {
            *self.missed.entry(name).or_default() += 1;
        }
    }

    /// An agent died at a step.
    pub(super) fn died(&mut self, name: &'static str) {
        *self.met.entry(name).or_default() += 1;
    }

    /// Something that must not be.
    pub(super) fn problem(&mut self, what: String) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(what);
        }
    }

    pub(super) fn kills(&self) -> u64 {
        self.met.values().sum()
    }

    pub(super) fn never_met(&self) -> Vec<&'static str> {
        steps::names()
            .filter(|name| !self.met.contains_key(name))
            .collect()
    }

    /// How often the rarest step was met.
    pub(super) fn least(&self) -> u64 {
        let met = |name| self.met.get(name).copied().unwrap_or(0);
        steps::names().map(met).min().unwrap_or(0)
    }

    pub(super) fn progress(&self) -> String {
        format!(
            "{} of {} vends, {} kills, each step {} times at least",
            self.harmed,
            self.wanted,
            self.kills(),
            self.least()
        )
    }

    /// What was strange, and steps that a campaign of this size has to meet.
    pub(super) fn judge(&self, findings: &mut Findings) {
        for problem in &self.problems {
            findings.violation(problem.clone());
        }
        findings.violation_count += self.problem_count - self.problems.len();
        if self.harmed < self.wanted {
            let (harmed, wanted) = (self.harmed, self.wanted);
            findings.violation(format!("the agent died in {harmed} vends of {wanted} only"));
        }
        let never = self.never_met();
        let all = steps::names().count() as u64;
        if !never.is_empty() && self.wanted >= all * VENDS_PER_STEP {
            findings.violation(format!("no agent ever died at {never:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_steps_are_met_in_turn() {
        let (mut tally, mut random) = (Tally::new(1_000), Random::new(7));
        for vend in 0..1_000 {
            let name = tally.choose(vend % 3 == 0, &mut random);
            tally.tried(name, true);
            tally.died(name);
        }
        assert!(tally.never_met().is_empty());
        assert!(tally.least() >= 25, "{:?}", tally.met);
    }

    #[test]
    fn a_step_that_no_agent_comes_to_fails_a_long_campaign_and_not_a_short_one() {
        let judged = |wanted| {
            let mut tally = Tally::new(wanted);
            tally.harmed = wanted;
            tally.died("agent.pulse_high");
            let mut findings = Findings::default();
            tally.judge(&mut findings);
            findings.violation_count
        };
        assert_eq!((judged(16), judged(2_000)), (0, 1));
    }

    #[test]
    fn a_vend_without_a_death_is_made_again() {
        let mut tally = Tally::new(1);
        assert!(tally.claim() && !tally.claim());
        tally.vended(false);
        assert!(tally.claim());
        tally.vended(true);
        assert!(!tally.claim());
    }
}
