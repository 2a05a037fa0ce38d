//! A node's store on the simulated disk, with the contract of the real one:
//! records of the core, blocks, outputs, certificates and state go into one
//! batch, which is there wholly or not at all, and what is there can be read
//! only once it is durable.
//!
//! The log is the truth: a start reads it from the beginning and comes to the
//! state. Deliberately absent: the real store's files and columns; a block's
//! transactions stand in its batch once more, where the real store refers to
//! the records that hold them.

use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use dctrl_consensus::{BlockHeader, Certificate, FinalBlock};
use dctrl_ledger::{ChangeSet, MemoryState};

use super::outputs::Outputs;
use crate::disk::{Damage, Disk, Fate};
use crate::marks::Marks;
use crate::prng::Prng;

/// What an entry of a batch is.
const RECORD: u8 = b'r';
const PRUNED: u8 = b'p';
const BLOCK: u8 = b'b';
const STATE: u8 = b's';
const CERTIFICATE: u8 = b'c';

/// One block as it is kept.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) header: BlockHeader,
    pub(super) transactions: Vec<Bytes>,
    pub(super) outputs: Rc<Outputs>,
}

/// What goes to the disk together.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    last_entry: usize,
    pub(super) changes: ChangeSet,
    blocks: Vec<Kept>,
    certificates: Vec<Certificate>,
    pub(super) through: Option<u64>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn record(&mut self, number: u64, bytes: &[u8]) {
        self.entry(RECORD, &[&number.to_be_bytes(), bytes]);
        self.through = self.through.max(Some(number));
    }

    pub(super) fn prune(&mut self, through: u64) {
        self.entry(PRUNED, &[&through.to_be_bytes()]);
    }

    pub(super) fn block(&mut self, kept: Kept, changes: &ChangeSet) {
        let header = kept.header.encode();
        let mut body = length(&header);
        body.extend_from_slice(&header);
        for parts in [
            kept.transactions
                .iter()
                .map(|one| &one[..])
                .collect::<Vec<_>>(),
            kept.outputs.leaves.iter().map(|leaf| &leaf[..]).collect(),
        ] {
            body.extend_from_slice(&(parts.len() as u64).to_be_bytes());
            for part in parts {
                body.extend(length(part));
                body.extend_from_slice(part);
            }
        }
        self.entry(BLOCK, &[&body]);
        let mut body = Vec::new();
        for (key, value) in changes {
            body.extend(length(key));
            body.extend_from_slice(key);
            match value {
                None => body.extend_from_slice(&u32::MAX.to_be_bytes()),
                Some(value) => {
                    body.extend(length(value));
                    body.extend_from_slice(value);
                }
            }
        }
        self.entry(STATE, &[&body]);
        self.changes.extend(
            changes
                .iter()
                .map(|(key, value)| (key.clone(), value.clone())),
        );
        self.blocks.push(kept);
    }

    /// A planted error: the last entry never gets to the disk.
    pub(super) fn lose_last_entry(&mut self) {
        self.bytes.truncate(self.last_entry);
    }

    pub(super) fn certificate(&mut self, certificate: &Certificate) {
        self.entry(CERTIFICATE, &[&certificate.encode()]);
        self.certificates.push(certificate.clone());
    }

    /// What it holds at most, for the names of crash points.
    pub(super) fn kind(&self) -> Content {
        if !self.certificates.is_empty() {
            Content::Certificate
        } else if !self.blocks.is_empty() {
            Content::Block
        } else {
            Content::Records
        }
    }

    fn entry(&mut self, kind: u8, parts: &[&[u8]]) {
        self.last_entry = self.bytes.len();
        self.bytes.push(kind);
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&bytes.to_be_bytes());
        parts
            .iter()
            .for_each(|part| self.bytes.extend_from_slice(part));
    }
}

/// What a batch holds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Content {
    Records,
    Block,
    Certificate,
}

fn length(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    length.to_be_bytes().to_vec()
}

/// What is durable, and the disk that holds it.
#[derive(Default)]
pub(super) struct Store {
    disk: Disk,
    /// Batches in the log: each bears its number, so that one in another's
    /// place is found.
    written: u64,
    founded: ChangeSet,
    pub(super) state: MemoryState,
    pub(super) blocks: BTreeMap<u64, Kept>,
    pub(super) certificates: BTreeMap<u64, Certificate>,
    /// Blocks up to here are executed.
    pub(super) height: u64,
    /// And up to here final.
    pub(super) final_height: u64,
}

/// What a start finds.
pub(super) struct Found {
    pub(super) records: Vec<(u64, Vec<u8>)>,
    pub(super) header: Option<BlockHeader>,
}

impl Store {
    /// An empty disk, and the state at the founding.
    pub(super) fn new(founded: ChangeSet) -> Self {
        let mut store = Self {
            founded,
            ..Self::default()
        };
        store.state.apply(&store.founded);
        store
    }

    /// Writes a batch; returns the length that a sync must cover.
    pub(super) fn write(&mut self, batch: &Batch) -> usize {
        self.written += 1;
        let number = self.written.to_be_bytes();
        self.disk.append(&[&number[..], &batch.bytes].concat());
        self.disk.len()
    }

    /// A batch is on the disk up to this length: it can be read.
    pub(super) fn synced(&mut self, through: usize, batch: &Batch) {
        self.disk.sync(through);
        self.state.apply(&batch.changes);
        for kept in &batch.blocks {
            self.height = kept.header.index;
            self.blocks.insert(self.height, kept.clone());
        }
        for certificate in &batch.certificates {
            self.keep_certificate(certificate.clone());
        }
    }

    fn keep_certificate(&mut self, certificate: Certificate) {
        let index = certificate.header.index;
        self.certificates.insert(index, certificate);
        while self.certificates.contains_key(&(self.final_height + 1)) {
            self.final_height += 1;
        }
    }

    pub(super) fn crash(&mut self, fate: Fate, chance: &mut Prng, marks: &mut Marks) {
        self.disk.crash(fate, chance, marks);
    }

    /// Reads what is durable of the log, as if the power had gone now.
    pub(super) fn open_durable(&mut self) -> Option<Found> {
        self.disk.forget_unsynced();
        self.open()
    }

    /// A planted error: what the block changed is gone.
    pub(super) fn forget(&mut self, height: u64) {
        self.blocks.remove(&height);
        self.state = MemoryState::default();
        self.state.apply(&self.founded);
    }

    /// Harms what was safe.
    pub(super) fn damage(&mut self, chance: &mut Prng) -> Option<Damage> {
        self.disk.damage(chance)
    }

    /// Whether the log can be read to its end.
    pub(super) fn is_readable(&self) -> bool {
        let mut copy = Self::new(self.founded.clone());
        !self.disk.is_damaged() && copy.read(&self.disk).is_some()
    }

    /// The disk is given up for an empty one.
    pub(super) fn give_up(&mut self) {
        *self = Self::new(std::mem::take(&mut self.founded));
    }

    /// Reads the log from its beginning; `None` where something in it is not
    /// as it was written, and then it must not be used.
    pub(super) fn open(&mut self) -> Option<Found> {
        if self.disk.is_damaged() {
            return None;
        }
        let disk = std::mem::take(&mut self.disk);
        let read = self.read(&disk);
        self.disk = disk;
        read
    }

    fn read(&mut self, disk: &Disk) -> Option<Found> {
        let mut opened = Self::new(self.founded.clone());
        let (mut records, mut pruned) = (Vec::new(), 0);
        let mut all = Vec::new();
        for frame in disk.frames() {
            let (number, batch) = frame.split_first_chunk::<8>()?;
            opened.written += 1;
            if u64::from_be_bytes(*number) != opened.written {
                return None;
            }
            all.extend(entries(batch));
        }
        for (kind, body) in all {
            match kind {
                RECORD => {
                    let (number, record) = body.split_first_chunk::<8>()?;
                    records.push((u64::from_be_bytes(*number), record.to_vec()));
                }
                PRUNED => pruned = u64::from_be_bytes(body.try_into().ok()?),
                BLOCK => {
                    let kept = read_block(body)?;
                    opened.height = kept.header.index;
                    opened.blocks.insert(opened.height, kept);
                }
                STATE => opened.state.apply(&read_changes(body)?),
                _ => opened.keep_certificate(Certificate::decode(body).ok()?),
            }
        }
        records.retain(|(number, _)| *number > pruned);
        let header = opened.blocks.last_key_value();
        let header = header.map(|(_, kept)| kept.header.clone());
        *self = opened;
        Some(Found { records, header })
    }

    /// A final block, as it is served to nodes that were away.
    pub(super) fn final_block(&self, index: u64) -> Option<FinalBlock> {
        Some(FinalBlock {
            certificate: self.certificates.get(&index)?.clone(),
            transactions: self.blocks.get(&index)?.transactions.clone(),
        })
    }
}

/// The entries of a frame.
fn entries(mut frame: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (kind, rest) = frame.split_first()?;
        frame = rest;
        Some((*kind, piece(&mut frame)?))
    })
}

/// Cuts a piece off that stands behind its length.
fn piece<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (piece, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(piece)
}

fn read_block(mut body: &[u8]) -> Option<Kept> {
    let header = BlockHeader::decode(piece(&mut body)?).ok()?;
    let mut pieces = || {
        let (count, rest) = body.split_first_chunk::<8>()?;
        body = rest;
        (0..u64::from_be_bytes(*count))
            .map(|_| piece(&mut body).map(<[u8]>::to_vec))
            .collect::<Option<Vec<_>>>()
    };
    let transactions = pieces()?.into_iter().map(Bytes::from).collect();
    let outputs = Rc::new(Outputs::of(pieces()?));
    Some(Kept {
        header,
        transactions,
        outputs,
    })
}

fn read_changes(mut body: &[u8]) -> Option<ChangeSet> {
    let mut changes = ChangeSet::new();
    while !body.is_empty() {
        let key = piece(&mut body)?.to_vec();
        let value = match body.strip_prefix(&u32::MAX.to_be_bytes()) {
            Some(rest) => {
                body = rest;
                None
            }
            None => Some(piece(&mut body)?.to_vec()),
        };
        changes.insert(key, value);
    }
    Some(changes)
}
