//! Real engines on a perfect network of one millisecond, with real keys.
//!
//! Execution hashes what it is given. A transaction `members 0 1 2` makes those
//! nodes the next roster; `3:7` is node 3 on its disk 7.

#![allow(dead_code, reason = "each test file uses its own part of this")]
#![allow(unreachable_pub, reason = "a module shared by test crates")]

pub mod states;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use dctrl_consensus::crypto::sha256;
use dctrl_consensus::{
    Block, BlockHeader, Certificate, ClusterId, Config, Core, Digest, Ed25519Signer, EpochStart,
    Executed, FinalBlock, Input, Limits, Ordering, Outcome, Output, Pace, PublicKey, Recipient,
    Record, RefusalReason, Roster, RosterMember, Scheme, Signer, Timestamp, message,
};

pub const MILLISECOND: u64 = 1_000_000;

pub fn signer(node: usize) -> Ed25519Signer {
    Ed25519Signer::from_seed(&[u8::try_from(node + 1).unwrap(); 32])
}

pub fn key(node: usize) -> PublicKey {
    signer(node).public_key()
}

pub fn roster(nodes: usize) -> Roster {
    roster_of(0, &(0..nodes).collect::<Vec<_>>())
}

pub fn roster_of(number: u64, nodes: &[usize]) -> Roster {
    let nodes: Vec<(usize, u64)> = nodes.iter().map(|&node| (node, 0)).collect();
    roster_on(number, &nodes)
}

/// Nodes, each with the disk that it speaks from.
pub fn roster_on(number: u64, nodes: &[(usize, u64)]) -> Roster {
    let member = |&(node, instance): &(usize, u64)| {
        let mut member = RosterMember::new(format!("node-{node}"), key(node));
        member.instance = instance;
        member
    };
    Roster::new(number, nodes.iter().map(member).collect()).unwrap()
}

pub fn cluster() -> ClusterId {
    ClusterId(sha256(b"test", &[]))
}

pub fn config(nodes: usize) -> Config {
    Config {
        cluster: cluster(),
        roster: roster(nodes),
        instance: 0,
        coin_seed: [7; 32],
        limits: Limits::STANDARD,
        pace: Pace::default(),
        ordering: Ordering::default(),
        scheme: Scheme::Ed25519,
    }
}

/// The epoch that a federation of these nodes begins with.
pub fn first_epoch(nodes: usize) -> EpochStart {
    EpochStart {
        epoch: 0,
        anchor: cluster().0,
        roster: roster(nodes),
        me: None,
    }
}

pub fn clock(now: u64) -> Timestamp {
    Timestamp(1_700_000_000_000_000_000 + now)
}

/// What one node has put out, and its disk.
#[derive(Default)]
pub struct Seen {
    pub log: Vec<Record>,
    pub executed: Executed,
    pub state: Digest,
    pub blocks: Vec<Block>,
    pub finals: BTreeMap<u64, Certificate>,
    pub epochs: Vec<EpochStart>,
    pub refused: Vec<RefusalReason>,
    pub diverged: Vec<u64>,
    pub amnesia: Vec<u64>,
    pub entrusted: Vec<Bytes>,
    pub sent: usize,
    pub states: states::States,
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
    /// Directed links that carry nothing.
    pub cut: BTreeSet<(usize, usize)>,
    /// Nodes from which everything takes three times as long.
    pub slow: BTreeSet<usize>,
    /// Nodes whose execution goes wrong.
    pub wrong: BTreeSet<usize>,
    /// Nodes whose blocks, as they serve them, are changed.
    pub forges: BTreeSet<usize>,
    /// The disks of nodes that do not speak from their first one.
    pub instances: BTreeMap<usize, u64>,
    /// What nodes do to their answers about states.
    pub lies: BTreeMap<usize, states::Lie>,
    /// Whether nodes forget the blocks before the seals that they keep.
    pub prunes: bool,
    /// A node that stops at its next so many steps of a take-over.
    pub crash: Option<(usize, usize)>,
    pub now: u64,
    pub config: Config,
    queue: BTreeMap<(u64, u64), Item>,
    count: u64,
}

impl Federation {
    pub fn new(nodes: usize) -> Self {
        Self::with(config(nodes), nodes)
    }

    /// `processes` nodes, of which the roster names the first ones.
    pub fn with(config: Config, processes: usize) -> Self {
        let core = |me| Core::new(config.clone(), Box::new(signer(me)));
        let mut federation = Self {
            cores: (0..processes).map(core).collect(),
            seen: (0..processes).map(|_| Seen::default()).collect(),
            down: BTreeSet::new(),
            cut: BTreeSet::new(),
            slow: BTreeSet::new(),
            wrong: BTreeSet::new(),
            forges: BTreeSet::new(),
            instances: BTreeMap::new(),
            lies: BTreeMap::new(),
            prunes: false,
            crash: None,
            now: 0,
            config,
            queue: BTreeMap::new(),
            count: 0,
        };
        (0..processes).for_each(|node| federation.later(0, Item::Wake(node)));
        federation
    }

    fn later(&mut self, at: u64, item: Item) {
        self.count += 1;
        self.queue.insert((at.max(self.now), self.count), item);
    }

    pub fn submit(&mut self, node: usize, bytes: &str) {
        self.step(node, Input::Submit(Bytes::from(bytes.to_owned())));
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
                    let message = message::decode(&bytes, &self.config.limits).unwrap();
                    // What is about another epoch is dropped, as a driver does.
                    if let Ok(message) = message.verify(self.cores[to].epoch()) {
                        let from = key(from);
                        self.step(to, Input::Receive { from, message });
                    }
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
        let mut config = self.config.clone();
        config.instance = self.instances.get(&node).copied().unwrap_or_default();
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

    /// Stops the node and starts it again with all that it has written.
    pub fn restart(&mut self, node: usize) {
        let records = self.seen[node].log.len();
        let executed = self.seen[node].executed.clone();
        self.restore(node, records, executed);
    }

    /// The node starts again with an empty disk.
    pub fn wipe(&mut self, node: usize) {
        self.seen[node] = Seen::default();
        self.restart(node);
    }

    pub fn perform(&mut self, node: usize, outputs: Vec<Output>) {
        let mut blocks = Vec::new();
        let mut progress = Vec::new();
        for output in outputs {
            let seen = &mut self.seen[node];
            match output {
                Output::Persist(record) => {
                    if let Some(last) = seen.log.last() {
                        assert_eq!(record.number, last.number + 1);
                    }
                    let number = record.number;
                    seen.log.push(record);
                    self.later(self.now + MILLISECOND / 10, Item::Synced(node, number));
                }
                Output::Send { to, message } => self.send(node, to, &message),
                Output::Execute(block) => blocks.push(block),
                Output::Final(certificate) => {
                    seen.states.certified(&certificate);
                    if self.prunes {
                        seen.finals = seen.finals.split_off(&seen.states.first());
                    }
                    seen.finals.insert(certificate.header.index, certificate);
                }
                Output::Epoch(start) => {
                    seen.states.begun(&start);
                    seen.epochs.push(start);
                }
                Output::Prune { through } => seen.log.retain(|record| record.number > through),
                Output::ServeBlocks { to, index, offset } => {
                    let answer = self.blocks_answer(node, index, offset);
                    self.send(node, Recipient::One(to), &answer);
                }
                Output::ServeState { to, question } => {
                    for answer in self.state_answers(node, question) {
                        let message = message::Message::State(answer).encode();
                        self.send(node, Recipient::One(to), &message);
                    }
                }
                Output::Install(step) => {
                    if self.crashes(node) {
                        return self.restart(node);
                    }
                    progress.extend(self.install(node, step));
                    if self.seen[node].states.is_idle() && self.crashes(node) {
                        return self.restart(node);
                    }
                }
                Output::Refused { reason, .. } => seen.refused.push(reason),
                Output::Diverged { index, .. } => seen.diverged.push(index),
                Output::Amnesia { seq } => seen.amnesia.push(seq),
                Output::Entrusted { transaction, .. } => {
                    seen.entrusted.push(transaction.clone());
                    self.step(node, Input::Submit(transaction));
                }
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
        progress
            .into_iter()
            .for_each(|input| self.step(node, input));
    }

    fn send(&mut self, node: usize, to: Recipient, message: &Bytes) {
        self.seen[node].sent += 1;
        for other in (0..self.cores.len()).filter(|&other| other != node) {
            let meant = match to {
                // To the members that the sender knows.
                Recipient::All => self.cores[node]
                    .epoch()
                    .roster
                    .index_of(&key(other))
                    .is_some(),
                Recipient::One(one) => one == key(other),
            };
            let up = !self.down.contains(&node) && !self.down.contains(&other);
            if meant && up && !self.cut.contains(&(node, other)) {
                let delays = if self.slow.contains(&node) { 3 } else { 1 };
                self.later(
                    self.now + delays * MILLISECOND,
                    Item::Message(node, other, message.clone()),
                );
            }
        }
    }

    fn blocks_answer(&self, node: usize, index: u64, offset: u64) -> Bytes {
        let seen = &self.seen[node];
        let first = seen.finals.first_key_value().map_or(1, |(first, _)| *first);
        let taken = seen.states.taken;
        if index < first.max(taken + 1) {
            return message::Message::BlocksGone(message::BlocksGone { index, first }).encode();
        }
        let blocks = seen.finals.range(index..).map(|(&index, certificate)| {
            let position = usize::try_from(index - 1 - taken).unwrap();
            let transactions = &seen.blocks[position].transactions;
            let mut transactions: Vec<Bytes> = transactions
                .iter()
                .map(|transaction| transaction.bytes.clone())
                .collect();
            if self.forges.contains(&node) {
                transactions[0] = Bytes::from_static(b"forged");
            }
            FinalBlock {
                certificate: certificate.clone(),
                transactions,
            }
        });
        message::blocks_answer(index, offset, blocks, &self.config.limits)
    }

    fn execute(&mut self, node: usize, block: Block) {
        let mistake: &[u8] = if self.wrong.contains(&node) {
            b"wrong"
        } else {
            b""
        };
        let roster = self.cores[node].epoch().roster.clone();
        let seen = &mut self.seen[node];
        let state_digest = sha256(b"state", &[&seen.state.0, &block.payload_root.0, mistake]);
        let previous = seen
            .executed
            .last_header
            .as_ref()
            .map_or(Digest::ZERO, BlockHeader::hash);
        let outcome = Outcome {
            state_digest,
            outputs_root: Digest::ZERO,
            next_roster: next_roster(&block, &roster),
        };
        let header = block.header(&cluster(), &roster, previous, &outcome);
        seen.state = state_digest;
        seen.executed = Executed {
            index: block.index,
            last_header: Some(header),
        };
        let index = block.index;
        seen.blocks.push(block);
        self.step(node, Input::Executed { index, outcome });
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

fn next_roster(block: &Block, roster: &Roster) -> Option<Roster> {
    let wanted = block.transactions.iter().filter_map(|transaction| {
        let text = std::str::from_utf8(&transaction.bytes).ok()?;
        let nodes = text.strip_prefix("members ")?;
        let node = |text: &str| {
            let (node, instance) = text.split_once(':').unwrap_or((text, "0"));
            (node.parse().unwrap(), instance.parse().unwrap())
        };
        Some(nodes.split(' ').map(node).collect())
    });
    let wanted: Vec<Vec<(usize, u64)>> = wanted.collect();
    Some(roster_on(roster.number + 1, wanted.last()?))
}
