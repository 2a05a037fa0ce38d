//! Twins (Bano et al. 2020): one node runs twice under one key, and in every
//! round the network is cut into groups, in all ways there are.
//!
//! With four nodes the campaign is exhaustive: five processes, all cuts of them
//! into at most two (or three) groups, for each of up to four rounds. Then the
//! network is whole, and the three honest nodes must have the same blocks, all
//! that was submitted to them, and certificates for it.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering as Memory};

use bytes::Bytes;
use dctrl_consensus::{Block, Message, OrderRule, Ordering, Profile};
use serde_json::{Value, json};

use crate::actors::blinded;
use crate::engine::index;
use crate::lab::{Experiment, Lab};
use crate::scenario::MILLISECOND;

/// The nodes of the federation.
const NODES: usize = 4;
/// The processes, by the seat of each: the last node runs twice.
const SEATS: [usize; 5] = [0, 1, 2, 3, 3];
/// Honest processes are the first.
const HONEST: usize = 3;
/// A message's way.
const DELAY: u64 = 10 * MILLISECOND;
/// Virtual time within which all must be well after the last round.
const PATIENCE: u64 = 20_000 * MILLISECOND;
/// Failing cases that are kept for the report.
const KEPT_MAX: usize = 8;

/// A campaign over all cuts.
#[derive(Debug, Clone, Copy)]
pub struct Twins {
    /// Rounds with a cut each, 1 to 4.
    pub rounds: u32,
    /// Groups of one cut at most, 1 to 5.
    pub groups: u8,
    /// The rules.
    pub ordering: Ordering,
    /// Threads; the result does not depend on it.
    pub threads: usize,
}

/// One cut: the group of each process.
type Cut = [u8; 5];

/// One case: a cut for every round.
struct Case {
    cuts: Vec<Cut>,
    round_length: u64,
    blocks: u64,
    /// What the first process has executed.
    seen: BTreeSet<Bytes>,
}

impl Experiment for Case {
    fn delay(&mut self, from: usize, to: usize, now: u64) -> Option<u64> {
        let round = usize::try_from(now / self.round_length).unwrap_or(usize::MAX);
        let cut = self.cuts.get(round);
        cut.is_none_or(|cut| cut[from] == cut[to]).then_some(DELAY)
    }

    fn heard(&self, process: usize, message: &Rc<Message>) -> Message {
        let message = Message::clone(message);
        if process < HONEST {
            message
        } else {
            blinded(message, |_| Some(index(SEATS[process])))
        }
    }

    fn executed(&mut self, process: usize, _now: u64, block: &Block) {
        self.blocks += u64::from(process < HONEST);
        if process == 0 {
            let executed = block.transactions.iter();
            self.seen.extend(executed.map(|one| one.bytes.clone()));
        }
    }
}

/// All cuts of five processes into at most `groups` groups. Each is written
/// with groups numbered in order of their first member, so none comes twice.
fn cuts(groups: u8) -> Vec<Cut> {
    let mut all = vec![([0; 5], 0)];
    for process in 0..SEATS.len() {
        let grow = |(cut, used): (Cut, u8)| {
            (0..=used.min(groups - 1)).map(move |group| {
                let mut cut = cut;
                cut[process] = group;
                (cut, used.max(group + 1))
            })
        };
        all = all.into_iter().flat_map(grow).collect();
    }
    all.into_iter().map(|(cut, _)| cut).collect()
}

impl Twins {
    /// How many cases there are.
    #[must_use]
    pub fn cases(&self) -> u64 {
        (cuts(self.groups).len() as u64).pow(self.rounds)
    }

    /// Runs every case; gives the sum as one JSON object, and what failed.
    ///
    /// # Panics
    /// Where a thread of the campaign panicked.
    #[must_use]
    pub fn run(&self) -> (Value, Vec<String>) {
        let (cuts, cases) = (cuts(self.groups), self.cases());
        let next = AtomicU64::new(0);
        let found = Mutex::new((0_u64, 0_u64, Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| {
                    loop {
                        let case = next.fetch_add(1, Memory::Relaxed);
                        if case >= cases {
                            return;
                        }
                        let (blocks, violation) = self.one(&cuts, case);
                        let mut found = found.lock().expect("no thread panics");
                        found.0 += blocks;
                        found.1 += u64::from(violation.is_some());
                        found.2.extend(violation.map(|what| (case, what)));
                    }
                });
            }
        });
        let (blocks, violations, mut failed) = found.into_inner().expect("no thread panicked");
        failed.sort();
        failed.truncate(KEPT_MAX);
        let sum = json!({
            "cases": cases,
            "rounds": self.rounds,
            "groups": self.groups,
            "rules": format!("{:?}", self.ordering),
            "violations": violations,
            "blocks": blocks,
            "first_failing_case": failed.first().map(|(case, _)| *case),
        });
        let failed = failed.into_iter();
        let failed = failed.map(|(case, what)| format!("case {case}: {what}"));
        (sum, failed.collect())
    }

    /// Runs one case: which cut each round has is a digit of its number.
    fn one(&self, cuts: &[Cut], mut case: u64) -> (u64, Option<String>) {
        let mut chosen = Vec::new();
        for _ in 0..self.rounds {
            let count = cuts.len() as u64;
            chosen.push(cuts[usize::try_from(case % count).unwrap_or(0)]);
            case /= count;
        }
        // A round of the classic profile lasts two message delays, and a layer
        // one; a little more, for what is answered.
        let layers = match self.ordering.profile {
            Profile::Classic => 2,
            Profile::Layered => 1,
        };
        let round_length = layers * (DELAY + 2 * MILLISECOND);
        let shown = format!("{chosen:?}");
        let experiment = Case {
            cuts: chosen,
            round_length,
            blocks: 0,
            seen: BTreeSet::new(),
        };
        let mut lab = Lab::new(NODES, &SEATS, &[false; 5], self.ordering, experiment);
        for round in 0..u64::from(self.rounds) {
            for process in 0..SEATS.len() {
                lab.submit(round * round_length, process, payload(round, process));
            }
        }
        let begin = u64::from(self.rounds) * round_length;
        let mut end = begin;
        while end < begin + PATIENCE {
            end += 500 * MILLISECOND;
            lab.run_until(end);
            if settled(&lab, u64::from(self.rounds)) {
                return (lab.experiment.blocks, disagreement(&lab, &shown));
            }
        }
        let what = format!("not settled after {shown}");
        (lab.experiment.blocks, Some(what))
    }
}

fn payload(round: u64, process: usize) -> Bytes {
    Bytes::from(format!("{round} at {process}"))
}

/// Whether the honest processes have all that was submitted to them, and
/// certificates for it.
fn settled(lab: &Lab<Case>, rounds: u64) -> bool {
    let honest = || 0..HONEST;
    let most = honest()
        .map(|process| lab.puppet(process).app.index())
        .max();
    let seen = |payload| lab.experiment.seen.contains(&payload);
    (0..rounds).all(|round| honest().all(|process| seen(payload(round, process))))
        && honest().all(|process| Some(lab.puppet(process).summary().final_index) == most)
}

fn disagreement(lab: &Lab<Case>, shown: &str) -> Option<String> {
    let first = &lab.puppet(0).app;
    let other = (1..HONEST).find(|process| lab.puppet(*process).app != *first);
    other.map(|other| format!("process {other} has another state than process 0, after {shown}"))
}

/// The rules that a campaign runs under where none are given.
#[must_use]
pub fn standard_rules() -> Vec<Ordering> {
    let layered = |order, unanimity| Ordering {
        profile: Profile::Layered,
        order,
        unanimity,
        coin_frequency: Ordering::STANDARD.coin_frequency,
    };
    vec![
        layered(OrderRule::Received, false),
        layered(OrderRule::Received, true),
        layered(OrderRule::Direct, true),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_are_counted_by_the_numbers_of_stirling() {
        assert_eq!(cuts(1).len(), 1);
        assert_eq!(cuts(2).len(), 16);
        assert_eq!(cuts(3).len(), 41);
        assert_eq!(cuts(5).len(), 52);
    }

    #[test]
    fn all_cuts_of_two_rounds_lead_to_one_order() {
        for ordering in standard_rules() {
            let twins = Twins {
                rounds: 2,
                groups: 2,
                ordering,
                threads: 2,
            };
            let (sum, failed) = twins.run();
            assert!(failed.is_empty(), "{failed:?}");
            assert_eq!(sum["cases"], 256);
        }
    }
}
