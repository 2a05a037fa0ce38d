//! Performing what the engines ask for, as a driver would.

use bytes::Bytes;
use dctrl_consensus::message::{self, Message};
use dctrl_consensus::{Block, Input, Limits, Output};

use super::{Happening, World};
use crate::node::{digest_of, transaction};
use crate::scenario::MILLISECOND;

impl World {
    pub(super) fn restart(&mut self, node: usize) {
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

    pub(super) fn deliver(&mut self, from: usize, to: usize, incarnation: u64, bytes: &Bytes) {
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

    pub(super) fn step(&mut self, node: usize, input: Input) {
        let outputs = self.nodes[node].step(self.now, input);
        self.perform(node, outputs);
    }

    pub(super) fn perform(&mut self, node: usize, outputs: Vec<Output>) {
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

    pub(super) fn is_honest(&self, node: usize) -> bool {
        node < self.scenario.nodes && Some(node) != self.scenario.twin
    }

    pub(super) fn execute(&mut self, node: usize, block: &Block) -> Input {
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
}
