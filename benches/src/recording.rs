//! A federation of engines in one thread, and what one of them was told.
//!
//! The engine is pure, so the inputs of one node, replayed into a fresh
//! engine, make it do exactly the same work again: decode, insert, decide,
//! order, count signatures. That replay is what is measured; the other nodes
//! and the network between them cost nothing then.
//!
//! Signatures are left out on both sides: their cost per message is constant
//! and known, and nodes check them in other threads.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use bytes::Bytes;
use dctrl_consensus::{
    ClusterId, Config, Core, Digest, Input, Limits, NodeIndex, NullSigner, Ordering, Outcome,
    Output, Pace, PublicKey, Recipient, Roster, RosterMember, Scheme, Timestamp, crypto::sha256,
    message,
};

/// Nanoseconds in a microsecond.
const MICROSECOND: u64 = 1_000;

/// One way between two nodes, nanoseconds: a good link between two cities.
const LINK: u64 = 5_000 * MICROSECOND;

/// From a record to its being synced, nanoseconds.
const SYNC: u64 = 200 * MICROSECOND;

/// Between two transactions of the whole federation, nanoseconds.
const INTERVAL: u64 = 500 * MICROSECOND;

/// A common size of a signed action, bytes.
pub const TRANSACTION_BYTES: usize = 512;

/// The recorded time begins at a real date, so that times look real.
const BEGIN: u64 = 1_700_000_000_000_000_000;

/// Inputs of one federation at most: the bound of the loop.
const STEPS_MAX: usize = 20_000_000;

/// What a node was told; [`Input`] without what cannot be copied.
#[derive(Debug, Clone)]
enum Told {
    Submit(Bytes),
    Receive(NodeIndex, Bytes),
    Wake,
    Persisted(u64),
    Executed(u64),
}

/// Everything that node 0 of a federation was told, with the times.
#[derive(Debug)]
pub struct Recording {
    config: Config,
    told: Vec<(Timestamp, Told)>,
    /// Transactions that were ordered.
    pub transactions: u64,
    /// Events that the node knew at the end.
    pub events: u64,
}

impl Recording {
    /// Runs a federation until `transactions` are ordered at node 0.
    ///
    /// # Errors
    /// Where the federation makes no progress.
    pub fn make(nodes: u16, transactions: u64) -> Result<Self> {
        let mut world = World::new(nodes, transactions);
        for _ in 0..STEPS_MAX {
            if world.ordered >= transactions {
                break;
            }
            ensure!(world.happen(), "nothing is left to happen");
        }
        ensure!(
            world.ordered >= transactions,
            "only {} transactions were ordered",
            world.ordered
        );
        let events = world.cores[0].summary().events;
        Ok(Self {
            config: config(nodes, 0),
            told: world.told,
            transactions,
            events: u64::try_from(events)?,
        })
    }

    /// Tells a fresh engine the same, and gives how many transactions it
    /// ordered.
    ///
    /// # Errors
    /// Where a recorded message does not decode.
    pub fn replay(&self) -> Result<u64> {
        let mut core = core(&self.config, 0);
        let mut ordered = 0;
        for (at, told) in &self.told {
            for output in core.step(*at, input(told)?) {
                if let Output::Execute(block) = output {
                    ordered += block.transactions.len() as u64;
                }
            }
        }
        Ok(ordered)
    }
}

/// The federation while it is recorded.
struct World {
    now: u64,
    queue: BTreeMap<(u64, u64), (usize, Told)>,
    queued: u64,
    cores: Vec<Core>,
    wake_at: Vec<Option<u64>>,
    told: Vec<(Timestamp, Told)>,
    ordered: u64,
}

impl World {
    fn new(nodes: u16, transactions: u64) -> Self {
        let cores: Vec<Core> = (0..nodes).map(|me| core(&config(nodes, me), me)).collect();
        let mut world = Self {
            now: BEGIN,
            queue: BTreeMap::new(),
            queued: 0,
            wake_at: vec![None; cores.len()],
            cores,
            told: Vec::new(),
            ordered: 0,
        };
        for node in 0..world.cores.len() {
            world.at(BEGIN, node, Told::Wake);
        }
        let mut payload = vec![0; TRANSACTION_BYTES];
        for (number, node) in (0..transactions).zip((0..world.cores.len()).cycle()) {
            payload[..8].copy_from_slice(&number.to_be_bytes());
            let told = Told::Submit(Bytes::copy_from_slice(&payload));
            world.at(BEGIN + LINK + number * INTERVAL, node, told);
        }
        world
    }

    fn at(&mut self, time: u64, node: usize, told: Told) {
        self.queued += 1;
        self.queue.insert((time, self.queued), (node, told));
    }

    /// The next thing happens; false where there is none.
    fn happen(&mut self) -> bool {
        let Some(((time, _), (node, told))) = self.queue.pop_first() else {
            return false;
        };
        self.now = time;
        if matches!(told, Told::Wake) && self.wake_at[node].is_some_and(|due| due > time) {
            // The engine has asked for a later time since.
            return true;
        }
        let at = Timestamp(time);
        let Ok(input) = input(&told) else {
            return true;
        };
        if node == 0 {
            self.told.push((at, told));
        }
        for output in self.cores[node].step(at, input) {
            self.perform(node, output);
        }
        true
    }

    fn perform(&mut self, node: usize, output: Output) {
        match output {
            Output::Persist(record) => {
                self.at(self.now + SYNC, node, Told::Persisted(record.number));
            }
            Output::Send { to, message } => {
                let from = index(node);
                for target in 0..self.cores.len() {
                    let meant = match to {
                        Recipient::All => target != node,
                        Recipient::One(one) => one == key(target),
                    };
                    if meant {
                        let told = Told::Receive(from, message.clone());
                        self.at(self.now + LINK, target, told);
                    }
                }
            }
            Output::Execute(block) => {
                if node == 0 {
                    self.ordered += block.transactions.len() as u64;
                }
                self.at(self.now + SYNC, node, Told::Executed(block.index));
            }
            Output::WakeAt(time) => {
                self.wake_at[node] = Some(time.0);
                self.at(time.0.max(self.now + 1), node, Told::Wake);
            }
            // Nobody lies here, so the rest tells nothing.
            _ => {}
        }
    }
}

fn input(told: &Told) -> Result<Input> {
    Ok(match told {
        Told::Submit(bytes) => Input::Submit(bytes.clone()),
        Told::Receive(from, bytes) => Input::Receive {
            from: key(usize::from(from.0)),
            message: message::decode(bytes, &Limits::STANDARD)?.assume_verified(),
        },
        Told::Wake => Input::Wake,
        Told::Persisted(through) => Input::Persisted { through: *through },
        Told::Executed(index) => Input::Executed {
            index: *index,
            // Equal on all nodes, which is all that the engine cares for.
            outcome: Outcome {
                state_digest: sha256(b"dctrl-bench-state\0", &[&index.to_be_bytes()]),
                outputs_root: Digest::ZERO,
                next_roster: None,
            },
        },
    })
}

fn index(node: usize) -> NodeIndex {
    NodeIndex(u16::try_from(node).unwrap_or(u16::MAX))
}

fn key(node: usize) -> PublicKey {
    PublicKey(sha256(b"dctrl-bench-key\0", &[&index(node).0.to_be_bytes()]).0)
}

fn core(config: &Config, node: u16) -> Core {
    Core::new(config.clone(), Box::new(NullSigner(key(usize::from(node)))))
}

fn config(nodes: u16, me: u16) -> Config {
    let members = (0..nodes)
        .map(|node| RosterMember::new(format!("node-{node}"), key(usize::from(node))))
        .collect();
    Config {
        cluster: ClusterId(sha256(b"dctrl-bench\0", &[])),
        roster: Roster { number: 0, members },
        instance: 0,
        coin_seed: sha256(b"dctrl-bench-coin\0", &[&me.to_be_bytes()]).0,
        limits: Limits::STANDARD,
        pace: Pace::default(),
        ordering: Ordering::default(),
        scheme: Scheme::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_orders_what_was_recorded() {
        let recording = Recording::make(4, 50).expect("progress");
        assert_eq!(recording.replay().expect("decodes"), 50);
        assert!(recording.events > 0);
    }
}
