//! Virtual time, the network between the nodes, and the checks.
//!
//! Two copies of the twin node run with one key; each talks to one half of the
//! others and is shown nothing that the other copy made. Neither counts as honest.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use dctrl_consensus::crypto::{Ed25519Signer, Signer, sha256};
use dctrl_consensus::message::{self, Known, Message};
use dctrl_consensus::{
    Block, Digest, Input, Limits, NodeIndex, Output, Recipient, Roster, RosterMember,
};

use crate::node::{Node, digest_of, transaction};
use crate::prng::Prng;
use crate::report::{Faults, Report};
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

    /// Once all is ordered, nobody makes another event.
    fn check_quiet(&mut self) {
        // What was under way may still arrive and be answered.
        self.run_until(self.now + 4 * SECOND);
        let before = self.events();
        self.run_until(self.now + 10 * SECOND);
        if self.events() != before {
            self.violation("an idle federation makes events".to_owned());
        }
    }

    fn run_until(&mut self, end: u64) {
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
    fn events(&self) -> Vec<Option<u64>> {
        let made = |node: usize| {
            self.nodes[node]
                .core
                .as_ref()
                .and_then(|core| core.summary().known[node])
        };
        self.honest().map(made).collect()
    }

    fn honest(&self) -> impl Iterator<Item = usize> + use<> {
        let twin = self.scenario.twin;
        (0..self.scenario.nodes).filter(move |node| Some(*node) != twin)
    }

    fn settled(&self) -> bool {
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

    fn progress(&self) -> String {
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

    fn violation(&mut self, what: String) {
        self.report.violations.push(what);
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

    fn restart(&mut self, node: usize) {
        if self.nodes[node].core.is_some() {
            return;
        }
        match self.nodes[node].restart(self.now) {
            Ok(outputs) => self.perform(node, outputs),
            Err(error) => self.violation(format!("node {node} does not restart: {error}")),
        }
        // What was not in a synced event is lost; its users submit it again.
        for number in self.submitted[node].clone() {
            if !self.ordered[node].contains(&transaction(number)) {
                self.step(node, Input::Submit(transaction(number)));
            }
        }
    }

    fn deliver(&mut self, from: usize, to: usize, incarnation: u64, bytes: &Bytes) {
        if self.nodes[to].incarnation != incarnation {
            return;
        }
        self.note(2, &[&from.to_be_bytes(), &to.to_be_bytes(), bytes]);
        let mut message = match message::decode(bytes, &Limits::STANDARD) {
            Ok(message) => message,
            Err(error) => {
                return self.violation(format!("node {from} sent what does not decode: {error}"));
            }
        };
        let me = self.nodes[to].config.me;
        if let (true, Message::Events(events)) =
            (Some(me.position()) == self.scenario.twin, &mut message)
        {
            events.retain(|event| event.header().creator != me);
        }
        let from = self.nodes[from].config.me;
        self.step(
            to,
            Input::Receive {
                from,
                message: message.assume_verified(),
            },
        );
    }

    fn step(&mut self, node: usize, input: Input) {
        let outputs = self.nodes[node].step(self.now, input);
        self.perform(node, outputs);
    }

    fn perform(&mut self, node: usize, outputs: Vec<Output>) {
        let mut recorded = false;
        let mut answers = Vec::new();
        for output in outputs {
            match output {
                Output::Persist(record) => {
                    recorded = true;
                    self.nodes[node].disk.records.push(record.bytes);
                    if record.number != self.nodes[node].disk.records.len() as u64 {
                        self.violation(format!("node {node} left a gap in its records"));
                    }
                }
                Output::Send { to, message } => self.send(node, to, &message),
                Output::Execute(block) => answers.push(self.execute(node, &block)),
                Output::Final(certificate) => {
                    self.nodes[node].final_index = certificate.header.index
                }
                Output::Evidence(_) => self.report.faults.forks_proven += 1,
                Output::Diverged { index, .. } if self.is_honest(node) => {
                    self.violation(format!("honest node {node} diverged at {index}"));
                }
                Output::Amnesia { seq } if self.is_honest(node) => {
                    self.violation(format!("honest node {node} forgot its event {seq}"));
                }
                Output::Diverged { .. } | Output::Amnesia { .. } | Output::Refused { .. } => {}
                Output::WakeAt(time) => {
                    let time = time.0.saturating_sub(crate::node::at(0).0);
                    self.nodes[node].wake_at = Some(time);
                    let incarnation = self.nodes[node].incarnation;
                    self.at(
                        time.max(self.now + 1),
                        Happening::Wake { node, incarnation },
                    );
                }
            }
        }
        if recorded {
            let delay = self
                .chance
                .between(MILLISECOND / 20, self.scenario.sync_max);
            let (incarnation, through) = (
                self.nodes[node].incarnation,
                self.nodes[node].disk.records.len(),
            );
            self.at(
                self.now + delay,
                Happening::Synced {
                    node,
                    incarnation,
                    through,
                },
            );
        }
        for answer in answers {
            self.step(node, answer);
        }
    }

    fn is_honest(&self, node: usize) -> bool {
        node < self.scenario.nodes && Some(node) != self.scenario.twin
    }

    fn execute(&mut self, node: usize, block: &Block) -> Input {
        let digest = digest_of(block);
        if self.is_honest(node) {
            let place = usize::try_from(block.index).unwrap_or(usize::MAX) - 1;
            match self.agreed.get(place) {
                None if place == self.agreed.len() => self.agreed.push(digest),
                None => self.violation(format!("node {node} skipped to block {}", block.index)),
                Some(agreed) if *agreed != digest => {
                    self.violation(format!("node {node} has another block {}", block.index));
                }
                Some(_) => {}
            }
        }
        self.note(3, &[&node.to_be_bytes(), &digest.0]);
        self.ordered[node].extend(
            block
                .transactions
                .iter()
                .map(|transaction| transaction.bytes.clone()),
        );
        self.nodes[node].execute(block).0
    }

    fn send(&mut self, from: usize, to: Recipient, bytes: &Bytes) {
        let me = self.nodes[from].config.me;
        for target in 0..self.nodes.len() {
            let index = self.nodes[target].config.me;
            let meant = match to {
                Recipient::All => index != me,
                Recipient::One(one) => index == one,
            };
            if meant && self.talks(from, target) {
                self.transmit(from, target, bytes);
            }
        }
    }

    /// The twin's first copy talks to the even nodes, the second to the odd ones.
    fn talks(&self, from: usize, to: usize) -> bool {
        let copy = self.scenario.nodes;
        let half = |node: usize, other: usize| {
            if node == copy {
                other % 2 == 1
            } else {
                Some(node) != self.scenario.twin || other.is_multiple_of(2)
            }
        };
        half(from, to) && half(to, from)
    }

    fn transmit(&mut self, from: usize, to: usize, bytes: &Bytes) {
        let (a, b) = (
            self.nodes[from].config.me.position(),
            self.nodes[to].config.me.position(),
        );
        let healed = self.now >= self.scenario.heal_at;
        let faults: &mut Faults = &mut self.report.faults;
        let apart = |side: u32| (side >> a) & 1 != (side >> b) & 1;
        let cut = self
            .scenario
            .partitions
            .iter()
            .any(|p| (p.from..p.until).contains(&self.now) && apart(p.side));
        if cut {
            faults.cut += 1;
            return;
        }
        if !healed && self.chance.chance(self.scenario.loss_per_mille) {
            faults.lost += 1;
            return;
        }
        let mut copies = 1;
        if !healed && self.chance.chance(self.scenario.duplicate_per_mille) {
            faults.duplicated += 1;
            copies = 2;
        }
        let (shortest, jitter) = self.scenario.delays[a][b];
        for _ in 0..copies {
            let delay = shortest + self.chance.below(jitter + 1);
            let incarnation = self.nodes[to].incarnation;
            let bytes = bytes.clone();
            self.at(
                self.now + delay,
                Happening::Deliver {
                    from,
                    to,
                    incarnation,
                    bytes,
                },
            );
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
