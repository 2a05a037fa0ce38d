//! The state of a seal on its way from one store to another.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use dctrl_consensus::certificate::HEADER_VERSION;
use dctrl_consensus::crypto::sha256;
use dctrl_consensus::snapshot::chunk_digest;
use dctrl_consensus::{BlockHeader, ClusterId, Digest, Timestamp};
use dctrl_ledger::{ChangeSet, StateDigest, StateRead};
use dctrl_store::limits::{EXPORTS_KEPT, STATE_CHUNK_BYTES};
use dctrl_store::{InstallError, Seal, StateExport, StateManifest, Store, StoreError};
use tempfile::TempDir;

use crate::support::{body, certify, fresh, open};

/// The longest wait for a word of the child.
const PATIENCE: Duration = Duration::from_secs(60);

/// Entries of a state: some short, some long, one longer than two chunks.
fn entries(height: u64) -> ChangeSet {
    let noise = |key: u8, bytes: usize| -> Vec<u8> {
        let block = sha256(&[key], &[&height.to_be_bytes()]).0;
        block.iter().copied().cycle().take(bytes).collect()
    };
    let mut entries: ChangeSet = (0..60_u8)
        .map(|key| (vec![b'k', key], Some(noise(key, 20_000 + usize::from(key)))))
        .collect();
    entries.insert(b"long".to_vec(), Some(noise(0, 2 * STATE_CHUNK_BYTES + 7)));
    entries.insert(b"empty".to_vec(), Some(Vec::new()));
    entries.insert(b"height".to_vec(), Some(height.to_be_bytes().to_vec()));
    entries
}

/// The same with the accumulator that a ledger keeps, and the digest.
fn state(height: u64) -> (ChangeSet, Digest) {
    let mut entries = entries(height);
    let mut digest = StateDigest::default();
    for (key, value) in &entries {
        digest.entry(key, value.as_deref().unwrap());
    }
    let (key, value) = digest.kept_entry();
    digest.entry(&key, &value);
    entries.insert(key, Some(value));
    (entries, Digest(digest.finish().unwrap()))
}

pub(crate) fn header(height: u64) -> Vec<u8> {
    let header = BlockHeader {
        version: HEADER_VERSION,
        cluster: ClusterId(Digest::ZERO),
        epoch: 0,
        index: height,
        round: height,
        time: Timestamp(height),
        previous: Digest::ZERO,
        payload_root: Digest::ZERO,
        state_digest: state(height).1,
        outputs_root: Digest::ZERO,
        roster: Digest::ZERO,
        next_roster: Digest::ZERO,
    };
    header.encode()
}

fn commit(store: &Store, height: u64) {
    let outputs = [body("block", height, 0)];
    let mut batch = store.begin();
    if height > 0 {
        batch.block(height, b"block", &header(height));
        batch.outputs(height, &outputs);
    }
    batch.state(&state(height).0).executed(height);
    store.commit(batch).unwrap();
    if height > 0 {
        certify(store, height, &outputs);
    }
}

/// A store with blocks up to this height.
fn grown(height: u64) -> (TempDir, Store) {
    let (folder, store) = fresh();
    (0..=height).for_each(|height| commit(&store, height));
    (folder, store)
}

fn chunks(export: &StateExport) -> Vec<Vec<u8>> {
    let count = u32::try_from(export.manifest().chunks.len()).unwrap();
    assert_eq!(export.chunk(count).unwrap(), None);
    (0..count)
        .map(|one| export.chunk(one).unwrap().unwrap())
        .collect()
}

/// The manifest and chunks of the state at a height.
pub(crate) fn exported(height: u64) -> (StateManifest, Vec<Vec<u8>>) {
    let (_folder, store) = grown(height);
    assert_eq!(store.checkpoint().unwrap(), height);
    let export = store.export(height).unwrap();
    (export.manifest().clone(), chunks(&export))
}

fn install(
    store: &Store,
    manifest: &StateManifest,
    chunks: &[Vec<u8>],
) -> Result<(), InstallError> {
    let mut install = store.install(manifest.clone())?;
    for (index, chunk) in (0..).zip(chunks) {
        install.put(index, chunk)?;
    }
    let header = header(manifest.height);
    install.check()?.finish(Seal {
        header: &header,
        certificate: b"certificate",
        roster_steps: &[(1, b"step".to_vec())],
        record: None,
    })
}

/// Everything that the store's state holds is that of this height.
fn assert_state(store: &Store, height: u64) {
    let snapshot = store.snapshot();
    assert_eq!(snapshot.executed().unwrap(), Some(height));
    let expected: Vec<_> = state(height).0.into_iter().collect();
    let found = StateRead::scan(&snapshot, b"", None, usize::MAX);
    assert_eq!(found.len(), expected.len());
    for ((key, value), (expected_key, expected_value)) in found.into_iter().zip(expected) {
        assert!(key == expected_key && Some(value) == expected_value);
    }
}

#[test]
fn the_same_state_is_cut_alike_on_every_node_whatever_led_to_it() {
    let (manifest, chunks) = exported(3);
    assert_eq!(manifest.state_digest, state(3).1);
    assert!(chunks.len() >= 4, "{} chunks", chunks.len());
    let (_folder, other) = fresh();
    let mut batch = other.begin();
    let stray = ChangeSet::from([(b"stray".to_vec(), Some(vec![7; 100_000]))]);
    batch.state(&stray).executed(0);
    other.commit(batch).unwrap();
    let mut batch = other.begin();
    batch.state(&ChangeSet::from([(b"stray".to_vec(), None)]));
    other.commit(batch).unwrap();
    (1..=3).for_each(|height| commit(&other, height));
    other.checkpoint().unwrap();
    assert_eq!(*other.export(3).unwrap().manifest(), manifest);
}

#[test]
fn the_state_of_a_seal_is_readable_while_blocks_go_on_and_after_a_restart() {
    let (folder, store) = grown(2);
    store.checkpoint().unwrap();
    let before = store.export(2).unwrap();
    let whole = chunks(&before);
    (3..=6).for_each(|height| commit(&store, height));
    assert_eq!(chunks(&before), whole);
    drop((before, store));
    let store = open(folder.path());
    assert_state(&store, 6);
    let again = store.export(2).unwrap();
    assert_eq!(chunks(&again), whole);
    assert_eq!(again.manifest().state_digest, state(2).1);
}

#[test]
fn only_the_newest_seals_are_kept_and_a_reader_of_an_older_one_finishes() {
    let (_folder, store) = grown(1);
    store.checkpoint().unwrap();
    let oldest = store.export(1).unwrap();
    for height in 2..=4 {
        commit(&store, height);
        store.checkpoint().unwrap();
    }
    let kept = store.exports().unwrap();
    assert_eq!(kept, [3, 4]);
    assert_eq!(kept.len(), EXPORTS_KEPT);
    assert!(store.export(1).is_err());
    assert!(!chunks(&oldest).is_empty());
    // Again at the same height is no second one.
    assert_eq!(store.checkpoint().unwrap(), 4);
}

#[test]
fn a_new_store_takes_the_state_over_in_any_order_and_goes_on() {
    let (manifest, chunks) = exported(5);
    let (folder, store) = fresh();
    let mut install = store.install(manifest.clone()).unwrap();
    let in_order: Vec<(u32, &Vec<u8>)> = (0..).zip(&chunks).collect();
    for (index, chunk) in in_order.into_iter().rev() {
        assert!(install.put(index, chunk).unwrap());
        assert!(!install.put(index, chunk).unwrap(), "once is enough");
    }
    assert_eq!(install.missing().count(), 0);
    let (header, steps) = (header(5), [(1, b"step".to_vec())]);
    let seal = Seal {
        header: &header,
        certificate: b"certificate",
        roster_steps: &steps,
        record: Some((1, b"record")),
    };
    install.check().unwrap().finish(seal).unwrap();
    assert_state(&store, 5);
    drop(store);
    let store = open(folder.path());
    assert_state(&store, 5);
    let snapshot = store.snapshot();
    assert_eq!(snapshot.header(5).unwrap().unwrap(), header);
    assert_eq!(snapshot.certificate(5).unwrap().unwrap(), b"certificate");
    let records: Vec<_> = store.records().unwrap().map(Result::unwrap).collect();
    assert_eq!(records, [(1, b"record".to_vec())]);
    assert_eq!(snapshot.roster_steps(0).unwrap().steps, [b"step".to_vec()]);
    assert_eq!(
        (
            snapshot.first_block().unwrap(),
            snapshot.final_height().unwrap()
        ),
        (6, 5)
    );
    drop(snapshot);
    commit(&store, 6);
    assert_state(&store, 6);
    let frames = |after| store.snapshot().frames((after, 0), &[], 10);
    assert_eq!(frames(5).unwrap().frames.len(), 1);
    assert!(matches!(frames(3), Err(StoreError::Pruned { first: 6 })));
    // What was taken over can be handed on.
    store.checkpoint().unwrap();
    assert_eq!(store.export(6).unwrap().manifest().state_digest, state(6).1);
}

#[test]
fn a_lagging_store_forgets_its_old_state_and_blocks() {
    let (manifest, chunks) = exported(5);
    let (_folder, store) = grown(2);
    let stale = {
        let mut batch = store.begin();
        batch.state(&ChangeSet::from([(b"late".to_vec(), Some(vec![1]))]));
        batch
    };
    let reader = store.snapshot();
    install(&store, &manifest, &chunks).unwrap();
    assert_state(&store, 5);
    assert_eq!(store.snapshot().block(2).unwrap(), None);
    assert_eq!(reader.height().unwrap(), 2, "a reader keeps what it had");
    assert_eq!(reader.get(b"height").unwrap(), 2_u64.to_be_bytes());
    assert!(matches!(store.commit(stale), Err(StoreError::Outdated)));
    // Once more, into the column family that was the first one.
    drop(reader);
    let (manifest, chunks) = exported(8);
    install(&store, &manifest, &chunks).unwrap();
    assert_state(&store, 8);
    assert!(matches!(
        store.install(exported(3).0),
        Err(InstallError::Older { have: 8, found: 3 })
    ));
}

#[test]
fn what_has_come_is_still_there_after_a_restart() {
    let (manifest, chunks) = exported(2);
    let (folder, store) = fresh();
    let mut install = store.install(manifest.clone()).unwrap();
    install.put(1, &chunks[1]).unwrap();
    drop((install, store));
    let store = open(folder.path());
    let install = store.install(manifest.clone()).unwrap();
    let missing: Vec<u32> = install.missing().collect();
    assert_eq!(missing.len(), chunks.len() - 1);
    assert!(!missing.contains(&1));
    drop(install);
    // Another manifest forgets it.
    let install = store.install(exported(3).0).unwrap();
    assert_eq!(install.missing().count(), chunks.len());
    drop(install);
    let install = store.install(manifest).unwrap();
    assert_eq!(install.missing().count(), chunks.len());
}

#[test]
fn no_mutated_chunk_is_taken() {
    let (manifest, chunks) = exported(2);
    let (_folder, store) = fresh();
    let mut install = store.install(manifest).unwrap();
    let last = u32::try_from(chunks.len()).unwrap() - 1;
    let good = &chunks[chunks.len() - 1];
    let mut chunk = good.clone();
    for round in 0..2_000_usize {
        let (position, bit) = (round * 7_919 % chunk.len(), round % 8);
        chunk[position] ^= 1 << bit;
        assert!(install.put(last, &chunk).is_err());
        chunk[position] ^= 1 << bit;
    }
    assert!(install.put(last, &chunk[1..]).is_err());
    assert!(install.put(last, &[]).is_err());
    assert!(install.put(0, good).is_err(), "another one's place");
    assert!(install.put(last + 1, good).is_err());
    assert!(install.put(u32::MAX, good).is_err());
    assert_eq!(install.missing().count(), chunks.len());
    assert!(install.put(last, good).unwrap());
}

/// The manifest of a stream of these entries, whatever it claims to be.
fn forged(entries: &[(&[u8], &[u8])], claims: Digest) -> (StateManifest, Vec<Vec<u8>>) {
    let mut stream = Vec::new();
    for part in entries.iter().flat_map(|(key, value)| [key, value]) {
        stream.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
        stream.extend(*part);
    }
    cut(&stream, claims)
}

fn cut(stream: &[u8], claims: Digest) -> (StateManifest, Vec<Vec<u8>>) {
    let chunks: Vec<Vec<u8>> = stream
        .chunks(STATE_CHUNK_BYTES)
        .map(<[u8]>::to_vec)
        .collect();
    let digest = |chunk: &Vec<u8>| chunk_digest(chunk);
    let manifest = StateManifest {
        height: 5,
        state_digest: claims,
        bytes: stream.len() as u64,
        chunk_bytes: u32::try_from(STATE_CHUNK_BYTES).unwrap(),
        chunks: chunks.iter().map(digest).collect(),
    };
    (manifest, chunks)
}

#[test]
fn a_state_that_was_not_certified_is_never_installed() {
    let (_folder, store) = grown(2);
    let claims = state(5).1;
    let whole: Vec<(Vec<u8>, Vec<u8>)> = state(5)
        .0
        .into_iter()
        .map(|(key, value)| (key, value.unwrap()))
        .collect();
    let all: Vec<(&[u8], &[u8])> = whole
        .iter()
        .map(|(key, value)| (&key[..], &value[..]))
        .collect();
    let mut changed = all.clone();
    changed[0].1 = b"more";
    let mut twice = all.clone();
    twice.insert(1, twice[0]);
    let mut swapped = all.clone();
    swapped.swap(0, 1);
    let mut no_sum = all.clone();
    let sum = StateDigest::default().kept_entry();
    no_sum.retain(|(key, _)| *key != &sum.0[..]);
    let mut wrong_sum = all.clone();
    for entry in &mut wrong_sum {
        if entry.0 == &sum.0[..] {
            entry.1 = &sum.1;
        }
    }
    let (_, good) = forged(&all, claims);
    let mut torn: Vec<u8> = good.concat();
    torn.pop();
    let huge = [&[0, 0, 0, 1, b'a', 255, 255, 255, 255][..], &[0; 99]].concat();
    let endless = vec![255; 2 * STATE_CHUNK_BYTES];
    for (manifest, chunks) in [
        forged(&changed, claims),
        forged(&twice, claims),
        forged(&swapped, claims),
        forged(&no_sum, claims),
        forged(&wrong_sum, claims),
        forged(&all[1..], claims),
        forged(&[], claims),
        cut(&torn, claims),
        cut(&huge, claims),
        cut(&endless, claims),
    ] {
        let refused = install(&store, &manifest, &chunks);
        assert!(matches!(refused, Err(InstallError::State)), "{refused:?}");
        assert_state(&store, 2);
    }
    // The header must be that of the manifest, which is then no use either.
    let (manifest, chunks) = forged(&all, claims);
    let mut taken = store.install(manifest).unwrap();
    for (index, chunk) in (0..).zip(&chunks) {
        taken.put(index, chunk).unwrap();
    }
    let refused = taken.check().unwrap().finish(Seal {
        header: &header(4),
        certificate: b"certificate",
        roster_steps: &[],
        record: None,
    });
    assert!(matches!(refused, Err(InstallError::Header)), "{refused:?}");
    let (manifest, chunks) = forged(&all, claims);
    let refused = install(&store, &manifest, &chunks[1..]);
    assert!(refused.is_err());
    install(&store, &manifest, &chunks).unwrap();
    assert_state(&store, 5);
}

/// Names the folder for the child that takes a state over until it is killed.
const FOLDER: &str = "DCTRL_STORE_TAKEOVER_FOLDER";

#[test]
#[ignore = "the child of the next test; does nothing on its own"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let (manifest, chunks) = exported(5);
    let store = open(Path::new(&folder));
    println!("\nbegin");
    let mut taken = store.install(manifest).unwrap();
    for (index, chunk) in (0..).zip(&chunks) {
        taken.put(index, chunk).unwrap();
        println!("\nput");
    }
    let header = header(5);
    let seal = Seal {
        header: &header,
        certificate: b"certificate",
        roster_steps: &[],
        record: None,
    };
    println!("\nfinish");
    taken.check().unwrap().finish(seal).unwrap();
    println!("\ndone");
}

/// Starts the child, and kills it so long after it has said `word`, or when it
/// has said `done`. Returns whether it had.
fn kill_after(folder: &Path, word: &str, wait: Duration) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "takeover::child", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (sender, lines) = mpsc::channel();
    let output = BufReader::new(child.stdout.take().unwrap());
    let reader = thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    while lines.recv_timeout(PATIENCE).expect("the child goes on") != word {}
    let end = Instant::now() + wait;
    let mut is_done = false;
    while let Ok(line) = lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
        is_done |= line == "done";
    }
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    is_done || lines.try_iter().any(|line| line == "done")
}

#[test]
fn a_killed_process_leaves_the_old_state_or_the_new_one() {
    let (manifest, chunks) = exported(5);
    let millis = Duration::from_millis;
    let mut outcomes = Vec::new();
    let moments = [("begin", 0), ("put", 0), ("finish", 0), ("done", 0)];
    let within_finish = (1..=6).map(|step| ("finish", 8 * step));
    for (word, wait) in moments.into_iter().chain(within_finish) {
        let (folder, store) = grown(2);
        drop(store);
        let is_done = kill_after(folder.path(), word, millis(wait)) || word == "done";
        let store = open(folder.path());
        let height = store.snapshot().height().unwrap();
        assert!(height == 2 || height == 5, "{height}");
        assert!(height == 5 || !is_done, "what was done is kept");
        assert_state(&store, height);
        outcomes.push(height);
        // It is taken over again from wherever it stopped, and goes on.
        if height == 2 {
            install(&store, &manifest, &chunks).unwrap();
        }
        assert_state(&store, 5);
        commit(&store, 6);
        drop(store);
        assert_state(&open(folder.path()), 6);
    }
    assert!(
        outcomes.contains(&2) && outcomes.contains(&5),
        "{outcomes:?}"
    );
}
