//! What is left when the process is killed or the disk is torn.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dctrl_ledger::StateRead;
use dctrl_store::{Options, Store, StoreError};

use crate::support::{KEYS, body, certificate, commit_block, genesis, open, state_of};

/// Names the folder for the child that writes until it is killed.
const FOLDER: &str = "DCTRL_STORE_CRASH_FOLDER";

/// One batch with all that belongs to a height, and the certificate of the
/// height before.
fn write_height(store: &Store, height: u64) {
    let outputs = [body("block", height, 0)];
    let mut batch = store.begin();
    batch.record(height, &height.to_be_bytes());
    batch.block(height, &[7; 500], b"header");
    batch.outputs(height, &outputs).state(&state_of(height));
    if height > 1 {
        batch.certificate(height - 1, &certificate(height - 1, &outputs));
    }
    batch.executed(height);
    store.commit(batch).unwrap();
}

/// Checks that everything stands at one height, and returns it.
fn consistent_height(store: &Store) -> u64 {
    let snapshot = store.snapshot();
    let height = snapshot.height().unwrap();
    for key in 0..KEYS {
        assert_eq!(
            StateRead::get(&snapshot, &[key]).unwrap(),
            height.to_be_bytes()
        );
    }
    let records: Vec<_> = store.records().map(Result::unwrap).collect();
    assert_eq!(records.len() as u64, height);
    for (number, bytes) in &records {
        assert_eq!(*bytes, number.to_be_bytes());
        assert!(snapshot.block(*number).unwrap().is_some());
        assert!(snapshot.header(*number).unwrap().is_some());
        assert_eq!(snapshot.outputs(*number).unwrap().unwrap().len(), 1);
    }
    assert_eq!(snapshot.block(height + 1).unwrap(), None);
    assert_eq!(snapshot.final_height().unwrap(), height.saturating_sub(1));
    height
}

#[test]
#[ignore = "the child of the next test; does nothing on its own"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let store = open(Path::new(&folder));
    let first = consistent_height(&store) + 1;
    let mut out = std::io::stdout();
    for height in first..first + 100_000 {
        write_height(&store, height);
        writeln!(out, "\ncommitted {height}").unwrap();
        out.flush().unwrap();
    }
}

/// Starts the child, kills it after so many commits, and returns the last
/// height it reported.
fn kill_after(folder: &Path, commits: usize) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let number = |line: String| line.strip_prefix("committed ")?.parse::<u64>().ok();
    let mut heights = lines.map_while(Result::ok).filter_map(number);
    let reported = heights.nth(commits).unwrap();
    child.kill().unwrap();
    // What it still reported before the signal arrived counts too.
    let reported = heights.last().unwrap_or(reported);
    child.wait().unwrap();
    reported
}

#[test]
fn a_killed_process_leaves_the_last_full_batch_and_all_it_reported() {
    let folder = tempfile::tempdir().unwrap();
    genesis(&open(folder.path()));
    let mut last = 0;
    for commits in [0, 1, 7, 30, 3, 90] {
        let reported = kill_after(folder.path(), commits);
        let height = consistent_height(&open(folder.path()));
        assert!(
            reported > last && height >= reported,
            "{last} {reported} {height}"
        );
        // At most the one batch that was written but not reported yet.
        assert!(height <= reported + 1, "{reported} {height}");
        last = height;
    }
}

/// A closed store with a few heights, all of them still in the log.
fn closed(heights: u64) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    genesis(&open(folder.path()));
    let store = open(folder.path());
    (1..=heights).for_each(|height| write_height(&store, height));
    drop(store);
    let log = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "log"))
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    (folder, log)
}

fn copy(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    copy
}

#[test]
fn a_torn_log_opens_at_an_earlier_full_batch() {
    let (folder, log) = closed(6);
    let bytes = fs::read(&log).unwrap();
    let mut heights = Vec::new();
    for cut in (0..bytes.len()).rev().step_by(bytes.len() / 25 + 1) {
        let torn = copy(folder.path());
        fs::write(torn.path().join(log.file_name().unwrap()), &bytes[..cut]).unwrap();
        heights.push(consistent_height(&open(torn.path())));
    }
    assert!(
        heights.is_sorted_by(|later, earlier| later >= earlier),
        "{heights:?}"
    );
    assert_eq!((heights[0], heights[heights.len() - 1]), (5, 0));
}

#[test]
fn damage_before_the_end_of_the_log_refuses_to_open() {
    let (folder, log) = closed(6);
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&log, bytes).unwrap();
    let error = Store::open(folder.path(), &Options::default())
        .err()
        .unwrap();
    assert!(matches!(error, StoreError::Open { .. }), "{error}");
}

#[test]
fn a_failed_batch_can_be_followed_by_a_right_one() {
    let (folder, _) = closed(2);
    let store = open(folder.path());
    let mut gap = store.begin();
    gap.record(9, b"");
    assert!(store.commit(gap).is_err());
    commit_block(&store, 3, &[]);
}
