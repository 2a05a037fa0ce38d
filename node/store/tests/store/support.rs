//! Blocks and certificates for the tests. The certificates carry no
//! signatures: who signed is not the store's to know.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use dctrl_consensus::certificate::HEADER_VERSION;
use dctrl_consensus::{BlockHeader, Certificate, ClusterId, Digest, Timestamp, merkle};
use dctrl_ledger::ChangeSet;
use dctrl_proto::v1::BusBody;
use dctrl_store::{Options, Store, StoreError};
use prost::Message;
use tempfile::TempDir;

/// State keys that every block of [`commit_block`] sets to its height.
pub(crate) const KEYS: u8 = 20;

/// Longer than files take to be written.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn open(folder: &Path) -> Store {
    Store::open(folder, &Options::default()).unwrap()
}

/// Opens it again as soon as the thread that writes RocksDB's files lets go.
pub(crate) fn reopened(folder: &Path, options: &Options) -> Store {
    let begun = Instant::now();
    loop {
        match Store::open(folder, options) {
            Err(StoreError::InUse { .. }) if begun.elapsed() < PATIENCE => thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}

pub(crate) fn genesis(store: &Store) {
    let mut batch = store.begin();
    batch.state(&state_of(0)).executed(0);
    store.commit(batch).unwrap();
}

/// Everything that one block changes, in one batch.
pub(crate) fn commit_block(store: &Store, height: u64, outputs: &[Vec<u8>]) {
    let mut batch = store.begin();
    let (block, header) = (format!("block {height}"), format!("header {height}"));
    batch.block(height, block.as_bytes(), header.as_bytes());
    batch.state(&state_of(height)).outputs(height, outputs);
    batch.executed(height);
    store.commit(batch).unwrap();
}

/// The state at a height: each key holds the height.
pub(crate) fn state_of(height: u64) -> ChangeSet {
    let value = || Some(height.to_be_bytes().to_vec());
    let mut changes: ChangeSet = (0..KEYS).map(|key| (vec![key], value())).collect();
    changes.insert(b"height".to_vec(), value());
    changes
}

pub(crate) fn body(topic: &str, height: u64, sub_index: u32) -> Vec<u8> {
    let body = BusBody {
        topic: topic.to_owned(),
        height,
        sub_index,
        ..BusBody::default()
    };
    body.encode_to_vec()
}

pub(crate) fn certificate(height: u64, outputs: &[Vec<u8>]) -> Vec<u8> {
    let header = BlockHeader {
        version: HEADER_VERSION,
        cluster: ClusterId(Digest::ZERO),
        epoch: 0,
        index: height,
        round: height,
        time: Timestamp(height),
        previous: Digest::ZERO,
        payload_root: Digest::ZERO,
        state_digest: Digest::ZERO,
        outputs_root: merkle::root(outputs),
        roster: Digest::ZERO,
        next_roster: Digest::ZERO,
    };
    let signatures = Vec::new();
    Certificate { header, signatures }.encode()
}

/// A store with genesis and blocks whose outputs have these topics, all final.
pub(crate) fn with_blocks(blocks: &[&[&str]]) -> (TempDir, Store) {
    let (folder, store) = fresh();
    genesis(&store);
    for (height, topics) in (1..).zip(blocks) {
        let outputs: Vec<_> = (0..)
            .zip(*topics)
            .map(|(sub, topic)| body(topic, height, sub))
            .collect();
        commit_block(&store, height, &outputs);
        certify(&store, height, &outputs);
    }
    (folder, store)
}

pub(crate) fn fresh() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    (folder, store)
}

pub(crate) fn certify(store: &Store, height: u64, outputs: &[Vec<u8>]) {
    let mut batch = store.begin();
    batch.certificate(height, &certificate(height, outputs));
    store.commit(batch).unwrap();
}
