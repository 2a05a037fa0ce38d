//! One simulated process: a real engine, a disk that forgets what was not
//! synced, and an execution that hashes what it is given.

use bytes::Bytes;
use dctrl_consensus::crypto::sha256;
use dctrl_consensus::{
    Block, BlockHeader, ClusterId, Config, Core, Digest, Executed, Input, Limits, NodeIndex,
    NullSigner, Ordering, Output, Pace, RestoreError, Roster, Timestamp,
};

/// What is on the disk.
#[derive(Debug, Default, Clone)]
pub(crate) struct Disk {
    pub(crate) records: Vec<Vec<u8>>,
    /// How many of the records survive a crash.
    pub(crate) synced: usize,
    pub(crate) executed: Executed,
    pub(crate) state: Digest,
}

/// A process, up or down.
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) core: Option<Core>,
    pub(crate) disk: Disk,
    /// The one wake that counts.
    pub(crate) wake_at: Option<u64>,
    /// How often the process was started: messages of the past die with it.
    pub(crate) incarnation: u64,
    /// Certified up to here, as far as this process has put out.
    pub(crate) final_index: u64,
}

/// The clock of the simulation begins at a real date, so that times look real.
pub(crate) fn at(now: u64) -> Timestamp {
    Timestamp(1_700_000_000_000_000_000 + now)
}

impl Node {
    pub(crate) fn new(roster: &Roster, me: usize) -> Self {
        let index = NodeIndex(u16::try_from(me).unwrap_or(0));
        let config = Config {
            cluster: ClusterId(sha256(b"dctrl-sim\0", &[])),
            roster: roster.clone(),
            me: index,
            coin_seed: [index.0.to_be_bytes()[1]; 32],
            limits: Limits::STANDARD,
            pace: Pace::default(),
            ordering: Ordering::default(),
        };
        let core = Some(Core::new(config.clone(), signer(&config)));
        Self {
            config,
            core,
            disk: Disk::default(),
            wake_at: None,
            incarnation: 0,
            final_index: 0,
        }
    }

    pub(crate) fn step(&mut self, now: u64, input: Input) -> Vec<Output> {
        self.core
            .as_mut()
            .map(|core| core.step(at(now), input))
            .unwrap_or_default()
    }

    pub(crate) fn crash(&mut self) {
        self.core = None;
        self.wake_at = None;
        self.incarnation += 1;
        self.disk.records.truncate(self.disk.synced);
    }

    pub(crate) fn restart(&mut self, now: u64) -> Result<Vec<Output>, RestoreError> {
        let records = self.disk.records.clone();
        let executed = self.disk.executed.clone();
        let (core, outputs) = Core::restore(
            self.config.clone(),
            signer(&self.config),
            records,
            executed,
            at(now),
        )?;
        self.core = Some(core);
        Ok(outputs)
    }

    /// Executes a block and syncs the result with all records so far.
    pub(crate) fn execute(&mut self, block: &Block) -> (Input, BlockHeader) {
        let state_digest = sha256(
            b"dctrl-sim-state\0",
            &[&self.disk.state.0, &digest_of(block).0],
        );
        let previous = self
            .disk
            .executed
            .last_header
            .as_ref()
            .map_or(Digest::ZERO, BlockHeader::hash);
        let header = block.header(
            &self.config.cluster,
            &self.config.roster,
            previous,
            state_digest,
            Digest::ZERO,
            Digest::ZERO,
        );
        self.disk.state = state_digest;
        self.disk.executed = Executed {
            index: block.index,
            last_header: Some(header.clone()),
        };
        self.disk.synced = self.disk.records.len();
        (
            Input::Executed {
                index: block.index,
                state_digest,
                outputs_root: Digest::ZERO,
            },
            header,
        )
    }
}

/// Everything about a block that nodes must agree on.
pub(crate) fn digest_of(block: &Block) -> Digest {
    let mut bytes = Vec::new();
    for number in [block.index, block.round, block.time.0] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    for transaction in &block.transactions {
        bytes.extend_from_slice(&transaction.creator.0.to_be_bytes());
        bytes.extend_from_slice(&transaction.time.0.to_be_bytes());
    }
    sha256(b"dctrl-sim-block\0", &[&bytes, &block.payload_root.0])
}

fn signer(config: &Config) -> Box<NullSigner> {
    Box::new(NullSigner(config.roster.members[config.me.position()].key))
}

/// The payload of one simulated transaction.
pub(crate) fn transaction(number: usize) -> Bytes {
    Bytes::from(format!("transaction {number}"))
}
