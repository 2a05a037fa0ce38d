//! What is found in an open store while it is read through.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use dctrl_store::check::Finding;
use dctrl_store::{Options, Scrub, Scrubbed, Store};
use tempfile::TempDir;

use crate::chain::{Chain, SEAL};
use crate::support::{PATIENCE, reopened};

const HEIGHT: u64 = 9;

/// So few that a pass takes many steps.
const STEP_BYTES: usize = 100;

/// More steps than any pass here takes.
const STEPS_MAX: usize = 100_000;

/// Segments so short that several are full.
fn options() -> Options {
    Options {
        segment_bytes: 4096,
        ..Options::default()
    }
}

fn grown() -> (TempDir, Store) {
    let (folder, chain) = (tempfile::tempdir().unwrap(), Chain::new(7, HEIGHT));
    let store = Store::open(folder.path(), &options()).unwrap();
    chain.grow(&store, SEAL);
    // RocksDB writes its files for it.
    store.checkpoint().unwrap();
    chain.grow(&store, HEIGHT);
    drop(store);
    let store = reopened(folder.path(), &options());
    (folder, store)
}

/// One pass.
fn pass(store: &Store) -> Vec<Finding> {
    let mut scrub = Scrub::default();
    let mut found = Vec::new();
    for _ in 0..STEPS_MAX {
        match scrub.step(store, STEP_BYTES) {
            Ok(Scrubbed::Part) => {}
            Ok(Scrubbed::Whole) => return found,
            Err(finding) => found.push(finding),
        }
    }
    panic!("it does not end");
}

/// RocksDB's tables, oldest first.
fn tables(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|it| it == "sst"));
    files.sort();
    files
}

/// Changes a byte where the file is there and so long.
fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap_or_default();
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1;
        fs::write(file, bytes).unwrap();
    }
}

#[test]
fn a_sound_store_is_read_to_its_end_again_and_again() {
    let (_folder, store) = grown();
    assert_eq!(pass(&store), []);
    assert_eq!(pass(&store), []);
}

#[test]
fn rot_in_a_table_of_rocksdb_is_named_and_the_pass_goes_on() {
    let (folder, store) = grown();
    // Tables are merged meanwhile, and rows that the start had read are in memory.
    let begun = Instant::now();
    for at in 10.. {
        for table in tables(folder.path()) {
            flip(&table, at);
        }
        let found = pass(&store);
        let in_tables = found.iter().all(|it| it.problem.contains(".sst"));
        assert!(in_tables, "{found:?}");
        let columns: BTreeSet<_> = found.iter().map(|it| it.place.as_str()).collect();
        if columns.is_superset(&["blocks", "headers"].into()) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{found:?}");
    }
}

#[test]
fn rot_in_a_full_segment_of_the_journal_is_named_and_the_pass_goes_on() {
    let (folder, store) = grown();
    let journal = folder.path().join("journal");
    for number in [1, 3] {
        // In the header of the first entry; behind the last there is nothing.
        flip(&journal.join(format!("{number:020}.seg")), 5);
    }
    let places: Vec<_> = pass(&store).into_iter().map(|it| it.place).collect();
    assert_eq!(places, ["journal segment 1", "journal segment 3"]);
}
