//! Virtual time, the network between the nodes, and the checks.
//!
//! Two copies of the twin node run with one key; each talks to one half of the
//! others and is shown nothing that the other copy made. Neither counts as honest.

mod checks;
mod network;
mod perform;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use dctrl_consensus::crypto::{Ed25519Signer, Signer, sha256};
use dctrl_consensus::message::{Known, Message};
use dctrl_consensus::{Digest, Input, NodeIndex, Roster, RosterMember};

use crate::node::{Node, transaction};
use crate::prng::Prng;
use crate::report::Report;
use crate::scenario::{MILLISECOND, SECOND, Scenario};

/// Steps of one run at most: the bound of the simulator's own loop.
const STEPS_MAX: u64 = 3_000_000;

#[derive(Debug)]
enum Happening {
    Deliver {
        from: usize,
        to: usize,
        incarnation: u64,
        bytes: Bytes,
    },
    Wake {
        node: usize,
        incarnation: u64,
    },
    Synced {
        node: usize,
        incarnation: u64,
        through: usize,
    },
    Submit {
        node: usize,
        number: usize,
    },
    Crash {
        node: usize,
    },
    Restart {
        node: usize,
    },
}

/// One federation under one seed.
pub(crate) struct World {
    scenario: Scenario,
    chance: Prng,
    now: u64,
    queue: BTreeMap<(u64, u64), Happening>,
    queued: u64,
    /// The roster's nodes, and behind them the copy of the twin, if any.
    nodes: Vec<Node>,
    /// The order that the first node to get there has found.
    agreed: Vec<Digest>,
    /// Per process, which transactions it has executed.
    ordered: Vec<BTreeSet<Bytes>>,
    /// Transactions of honest nodes' users, by node.
    submitted: Vec<BTreeSet<usize>>,
    trace: Digest,
    report: Report,
}

impl World {
    pub(crate) fn new(seed: u64, nodes: usize) -> Self {
        let scenario = Scenario::of(seed, nodes);
        let roster = roster(nodes);
        let mut processes: Vec<Node> = (0..nodes).map(|me| Node::new(&roster, me)).collect();
        processes.extend(scenario.twin.map(|twin| Node::new(&roster, twin)));
        let count = processes.len();
        let report = Report::new(seed, nodes);
        let mut world = Self {
            chance: Prng::new(!seed),
            now: 0,
            queue: BTreeMap::new(),
            queued: 0,
            nodes: processes,
            agreed: Vec::new(),
            ordered: vec![BTreeSet::new(); count],
            submitted: vec![BTreeSet::new(); nodes],
            trace: Digest::ZERO,
            report,
            scenario,
        };
        world.plan();
        world
    }

    fn plan(&mut self) {
        for node in 0..self.nodes.len() {
            self.at(
                0,
                Happening::Wake {
                    node,
                    incarnation: 0,
                },
            );
        }
        for (number, (time, node)) in self.scenario.submissions.clone().into_iter().enumerate() {
            self.at(time, Happening::Submit { node, number });
        }
        for crash in self.scenario.crashes.clone() {
            self.at(crash.at, Happening::Crash { node: crash.node });
            self.at(crash.back_at, Happening::Restart { node: crash.node });
        }
    }

    /// The twin does not ask whether its key is in use: each copy believes a
    /// made-up answer of every other node.
    fn blind_the_twin(&mut self) {
        let Some(twin) = self.scenario.twin else {
            return;
        };
        for copy in [twin, self.scenario.nodes] {
            for peer in self.honest() {
                let counts = vec![0; self.scenario.nodes];
                let known = Message::Known(Known {
                    counts,
                    ..Known::default()
                });
                let from = self.nodes[peer].config.me;
                self.step(
                    copy,
                    Input::Receive {
                        from,
                        message: known.assume_verified(),
                    },
                );
            }
        }
    }

    /// Runs until all is well and quiet, or until the patience is at its end.
    pub(crate) fn run(mut self) -> Report {
        let patience = self.scenario.heal_at + 60 * SECOND;
        let mut steps = 0;
        self.blind_the_twin();
        while let Some(((time, _), happening)) = self.queue.pop_first() {
            steps += 1;
            self.now = time;
            self.happen(happening);
            let healed = self.now >= self.scenario.heal_at;
            if !self.report.violations.is_empty() || (healed && steps % 64 == 0 && self.settled()) {
                break;
            }
            if self.now > patience || steps > STEPS_MAX {
                self.violation(format!(
                    "not settled after {} ms: {}",
                    self.now / MILLISECOND,
                    self.progress()
                ));
            }
        }
        if self.report.violations.is_empty() {
            self.check_quiet();
        }
        self.report.simulated_ns = self.now;
        self.report.blocks = self.agreed.len() as u64;
        self.report.digest = self.trace;
        self.report
    }

    fn honest(&self) -> impl Iterator<Item = usize> + use<> {
        let twin = self.scenario.twin;
        (0..self.scenario.nodes).filter(move |node| Some(*node) != twin)
    }

    fn at(&mut self, time: u64, happening: Happening) {
        self.queued += 1;
        self.queue
            .insert((time.max(self.now), self.queued), happening);
    }

    fn note(&mut self, kind: u8, parts: &[&[u8]]) {
        let now = self.now.to_be_bytes();
        let mut all: Vec<&[u8]> = vec![&self.trace.0, &now];
        let kind = [kind];
        all.push(&kind);
        all.extend_from_slice(parts);
        self.trace = sha256(b"dctrl-sim-trace\0", &all);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Deliver {
                from,
                to,
                incarnation,
                bytes,
            } => self.deliver(from, to, incarnation, &bytes),
            Happening::Wake { node, incarnation } => {
                let due = self.nodes[node].wake_at.is_none_or(|time| time <= self.now);
                if self.nodes[node].incarnation == incarnation && due {
                    self.step(node, Input::Wake);
                }
            }
            Happening::Synced {
                node,
                incarnation,
                through,
            } => {
                if self.nodes[node].incarnation == incarnation {
                    self.nodes[node].disk.synced = self.nodes[node].disk.synced.max(through);
                    self.step(
                        node,
                        Input::Persisted {
                            through: through as u64,
                        },
                    );
                }
            }
            Happening::Submit { node, number } => {
                self.report.actions += 1;
                self.submitted[node].insert(number);
                self.step(node, Input::Submit(transaction(number)));
            }
            Happening::Crash { node } => {
                if self.nodes[node].core.is_some() {
                    self.report.faults.crashes += 1;
                    self.note(1, &[&node.to_be_bytes()]);
                    self.nodes[node].crash();
                }
            }
            Happening::Restart { node } => self.restart(node),
        }
    }
}

fn roster(nodes: usize) -> Roster {
    let member = |index: usize| {
        let seed = [u8::try_from(index + 1).unwrap_or(0); 32];
        let name = NodeIndex(u16::try_from(index).unwrap_or(0)).to_string();
        RosterMember {
            name,
            key: Ed25519Signer::from_seed(&seed).public_key(),
        }
    };
    let Ok(roster) = Roster::new(0, (0..nodes).map(member).collect()) else {
        unreachable!("keys made from distinct seeds are acceptable and distinct")
    };
    roster
}
