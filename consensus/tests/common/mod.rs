//! Real engines on a perfect network of one millisecond, with real keys.

#![allow(dead_code, reason = "each test file uses its own part of this")]
#![allow(unreachable_pub, reason = "a module shared by test crates")]

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use dctrl_consensus::crypto::sha256;
use dctrl_consensus::{
    Block, BlockHeader, Certificate, ClusterId, Config, Core, Digest, Ed25519Signer, Executed,
    Input, Limits, NodeIndex, Ordering, Output, Pace, Recipient, RefusalReason, Roster,
    RosterMember, Signer, Timestamp, message,
};

pub const MILLISECOND: u64 = 1_000_000;

pub fn signer(node: usize) -> Ed25519Signer {
    Ed25519Signer::from_seed(&[u8::try_from(node + 1).unwrap(); 32])
}

pub fn roster(nodes: usize) -> Roster {
    let member = |node| RosterMember {
        name: format!("node-{node}"),
        key: signer(node).public_key(),
    };
    Roster::new(0, (0..nodes).map(member).collect()).unwrap()
}

pub fn cluster() -> ClusterId {
    ClusterId(sha256(b"test", &[]))
}

pub fn config(nodes: usize, me: usize) -> Config {
    Config {
        cluster: cluster(),
        roster: roster(nodes),
        me: NodeIndex(u16::try_from(me).unwrap()),
        coin_seed: [7; 32],
        limits: Limits::STANDARD,
        pace: Pace::default(),
        ordering: Ordering::default(),
    }
}

pub fn clock(now: u64) -> Timestamp {
    Timestamp(1_700_000_000_000_000_000 + now)
}

/// What one node has put out.
#[derive(Default)]
pub struct Seen {
    pub log: Vec<Vec<u8>>,
    pub executed: Executed,
    pub state: Digest,
    pub blocks: Vec<Block>,
    pub finals: Vec<Certificate>,
    pub refused: Vec<RefusalReason>,
    pub diverged: Vec<u64>,
    pub amnesia: Vec<u64>,
    pub sent: usize,
}

enum Item {
    Message(usize, usize, Bytes),
    Wake(usize),
    Synced(usize, u64),
}

/// A federation whose time moves only when told.
pub struct Federation {
    pub cores: Vec<Core>,
    pub seen: Vec<Seen>,
    pub down: BTreeSet<usize>,
    /// Nodes whose execution goes wrong.
    pub wrong: BTreeSet<usize>,
    pub now: u64,
    queue: BTreeMap<(u64, u64), Item>,
    count: u64,
}

impl Federation {
    pub fn new(nodes: usize) -> Self {
        let core = |me| Core::new(config(nodes, me), Box::new(signer(me)));
        let mut federation = Self {
            cores: (0..nodes).map(core).collect(),
            seen: (0..nodes).map(|_| Seen::default()).collect(),
            down: BTreeSet::new(),
            wrong: BTreeSet::new(),
            now: 0,
            queue: BTreeMap::new(),
            count: 0,
        };
        (0..nodes).for_each(|node| federation.later(0, Item::Wake(node)));
        federation
    }

    fn later(&mut self, at: u64, item: Item) {
        self.count += 1;
        self.queue.insert((at.max(self.now), self.count), item);
    }

    pub fn submit(&mut self, node: usize, bytes: &'static str) {
        self.step(node, Input::Submit(Bytes::from(bytes)));
    }

    pub fn step(&mut self, node: usize, input: Input) {
        let outputs = self.cores[node].step(clock(self.now), input);
        self.perform(node, outputs);
    }

    /// Lets this much time pass.
    pub fn run(&mut self, nanos: u64) {
        let end = self.now + nanos;
        while let Some(entry) = self
            .queue
            .first_entry()
            .filter(|entry| entry.key().0 <= end)
        {
            self.now = entry.key().0;
            let item = entry.remove();
            match item {
                Item::Message(from, to, bytes) if !self.down.contains(&to) => {
                    let config = config(self.cores.len(), to);
                    let message = message::decode(&bytes, &config.limits).unwrap();
                    let message = message.verify(&config.roster, &config.cluster).unwrap();
                    let from = NodeIndex(u16::try_from(from).unwrap());
                    self.step(to, Input::Receive { from, message });
                }
                Item::Wake(node) if !self.down.contains(&node) => self.step(node, Input::Wake),
                Item::Synced(node, through) => self.step(node, Input::Persisted { through }),
                Item::Message(..) | Item::Wake(_) => {}
            }
        }
        self.now = end;
    }

    /// The node forgets everything but the first `records` of its log.
    pub fn restore(&mut self, node: usize, records: usize, executed: Executed) {
        self.seen[node].log.truncate(records);
        self.seen[node].executed = executed.clone();
        let log = self.seen[node].log.clone();
        let config = config(self.cores.len(), node);
        let (core, outputs) = Core::restore(
            config,
            Box::new(signer(node)),
            log,
            executed,
            clock(self.now),
        )
        .unwrap();
        self.cores[node] = core;
        self.down.remove(&node);
        self.perform(node, outputs);
        self.later(self.now, Item::Wake(node));
    }

    pub fn perform(&mut self, node: usize, outputs: Vec<Output>) {
        let mut blocks = Vec::new();
        for output in outputs {
            let seen = &mut self.seen[node];
            match output {
                Output::Persist(record) => {
                    seen.log.push(record.bytes);
                    assert_eq!(record.number, seen.log.len() as u64);
                    self.later(
                        self.now + MILLISECOND / 10,
                        Item::Synced(node, record.number),
                    );
                }
                Output::Send { to, message } => {
                    seen.sent += 1;
                    for other in (0..self.cores.len()).filter(|&other| other != node) {
                        let meant = match to {
                            Recipient::All => true,
                            Recipient::One(one) => one.position() == other,
                        };
                        if meant && !self.down.contains(&node) && !self.down.contains(&other) {
                            self.later(
                                self.now + MILLISECOND,
                                Item::Message(node, other, message.clone()),
                            );
                        }
                    }
                }
                Output::Execute(block) => blocks.push(block),
                Output::Final(certificate) => seen.finals.push(certificate),
                Output::Refused { reason, .. } => seen.refused.push(reason),
                Output::Diverged { index, .. } => seen.diverged.push(index),
                Output::Amnesia { seq } => seen.amnesia.push(seq),
                Output::Evidence(_) => {}
                Output::WakeAt(at) => {
                    let at = at.0 - clock(0).0;
                    self.later(at.max(self.now + 1), Item::Wake(node));
                }
            }
        }
        blocks
            .into_iter()
            .for_each(|block| self.execute(node, block));
    }

    fn execute(&mut self, node: usize, block: Block) {
        let mistake: &[u8] = if self.wrong.contains(&node) {
            b"wrong"
        } else {
            b""
        };
        let seen = &mut self.seen[node];
        let state_digest = sha256(b"state", &[&seen.state.0, &block.payload_root.0, mistake]);
        let previous = seen
            .executed
            .last_header
            .as_ref()
            .map_or(Digest::ZERO, BlockHeader::hash);
        let roster = roster(self.cores.len());
        let header = block.header(
            &cluster(),
            &roster,
            previous,
            state_digest,
            Digest::ZERO,
            Digest::ZERO,
        );
        seen.state = state_digest;
        seen.executed = Executed {
            index: block.index,
            last_header: Some(header),
        };
        let index = block.index;
        seen.blocks.push(block);
        self.step(
            node,
            Input::Executed {
                index,
                state_digest,
                outputs_root: Digest::ZERO,
            },
        );
    }

    pub fn payload(&self, node: usize) -> Vec<String> {
        let blocks = &self.seen[node].blocks;
        let transactions = blocks.iter().flat_map(|block| &block.transactions);
        transactions
            .map(|transaction| String::from_utf8(transaction.bytes.to_vec()).unwrap())
            .collect()
    }

    pub fn events(&self, node: usize) -> usize {
        self.cores[node].summary().events
    }
}
