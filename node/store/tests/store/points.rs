//! The store dies at every one of its crash points, and loses nothing that it
//! had acknowledged.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use dctrl_store::{CRASH_POINTS, Extent, Options, Store, set_aside};

use crate::chain::{Chain, SEAL};
use crate::takeover::{exported, header};

/// Names the folder for the child.
const FOLDER: &str = "DCTRL_STORE_POINTS_FOLDER";
const VISITS: &str = "DCTRL_CRASH_VISITS";
const SEED: u64 = 3;
const HEIGHT: u64 = 9;
/// Records that fill segments; two fit into one.
const LONG: usize = 14 << 20;
/// Enough of them that RocksDB writes its files and old segments are given up.
const LONG_RECORDS: u64 = 30;

/// Points of the migration, which has a test of its own.
fn is_elsewhere(point: &str) -> bool {
    point.starts_with("store.migrate.")
}

/// Those that only segments of the journal's full length lead to.
fn needs_long(point: &str) -> bool {
    ["roll.", "retire.", "flush.", "segment.spare"]
        .iter()
        .any(|part| point.contains(part))
}

fn acknowledge(folder: &Path, what: &str) {
    let file = fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("said"));
    file.unwrap()
        .write_all(format!("{what}\n").as_bytes())
        .unwrap();
}

fn acknowledged(folder: &Path) -> u64 {
    let said = fs::read_to_string(folder.join("said")).unwrap_or_default();
    said.lines()
        .filter_map(|line| line.parse().ok())
        .max()
        .unwrap_or(0)
}

/// Everything that the store ever writes.
fn work(home: &Path, long: bool) {
    let chain = Chain::new(SEED, HEIGHT);
    let data = home.join("data");
    let options = Options {
        history_bytes: 64 << 20,
        sync: !long,
        ..Options::default()
    };
    let store = Store::open(&data, &options).unwrap();
    let from = store.snapshot().height().unwrap();
    for height in from.max(1)..=HEIGHT {
        chain.grow(&store, height);
        acknowledge(home, &height.to_string());
        if height >= SEAL {
            store.checkpoint().unwrap();
            store.export(height).unwrap();
        }
    }
    store.prune_blocks(3).unwrap();
    if long {
        fill(&store);
        return;
    }
    drop(store);
    // A second start finds batches that only the journal has.
    let store = Store::open(&data, &options).unwrap();
    drop(store);
    if home.join("other/set-aside").exists() {
        set_aside(&home.join("other"), Extent::Everything { mark: "instance" }).unwrap();
    }
    take_over(&home.join("other"));
    set_aside(&home.join("other"), Extent::Everything { mark: "instance" }).unwrap();
}

fn fill(store: &Store) {
    let last = store
        .records()
        .unwrap()
        .last()
        .map_or(0, |last| last.unwrap().0);
    for number in last + 1..=last + LONG_RECORDS {
        let mut batch = store.begin();
        batch
            .record(number, vec![7; LONG])
            .prune(number.saturating_sub(2));
        store.commit(batch).unwrap();
    }
    // What another thread flushes must have ended.
    store.checkpoint().unwrap();
    for number in last + LONG_RECORDS + 1..=last + LONG_RECORDS + 6 {
        let mut batch = store.begin();
        batch.record(number, vec![7; LONG]).prune(number - 2);
        store.commit(batch).unwrap();
    }
}

fn take_over(folder: &Path) {
    let store = Store::open(folder, &Options::default()).unwrap();
    let (mut wrong, pieces) = exported(2);
    wrong.state_digest = dctrl_consensus::Digest::ZERO;
    if store.snapshot().executed().unwrap().is_none() {
        let mut install = store.install(wrong).unwrap();
        for (index, piece) in (0..).zip(&pieces) {
            install.put(index, piece).unwrap();
        }
        assert!(install.check().is_err());
        let (manifest, pieces) = exported(3);
        let mut install = store.install(manifest).unwrap();
        for (index, piece) in (0..).zip(&pieces) {
            install.put(index, piece).unwrap();
        }
        let header = header(3);
        let seal = dctrl_store::Seal {
            header: &header,
            certificate: b"certificate",
            roster_steps: &[],
            record: None,
        };
        install.check().unwrap().finish(seal).unwrap();
    }
}

#[test]
#[ignore = "the child of the next test; does nothing on its own"]
fn child() {
    let (Some(home), long) = (
        std::env::var_os(FOLDER),
        std::env::var_os("DCTRL_STORE_POINTS_LONG").is_some(),
    ) else {
        return;
    };
    work(Path::new(&home), long);
}

/// Whether the child came to its end.
fn run(home: &Path, long: bool, crash: &str) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "points::child", "--ignored"])
        .env(FOLDER, home)
        .env("DCTRL_CRASH", crash)
        .env(VISITS, home.join("visits"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if long {
        child.env("DCTRL_STORE_POINTS_LONG", "1");
    }
    child.status().unwrap().success()
}

fn nothing_acknowledged_is_lost(home: &Path, point: &str) {
    let store = Store::open(&home.join("data"), &Options::default())
        .unwrap_or_else(|error| panic!("{point}: {error}"));
    let height = store.snapshot().height().unwrap();
    let said = acknowledged(home);
    assert!(height >= said, "{point}: {height} of {said}");
    drop(store);
    let chain = Chain::new(SEED, HEIGHT);
    let trust = |_: &dyn dctrl_ledger::StateRead| Some((chain.cluster, chain.genesis.clone()));
    let report =
        dctrl_store::check::check(&home.join("data"), &Options::default(), &trust).unwrap();
    assert_eq!(report.findings, [], "{point}");
}

#[test]
fn a_death_at_any_crash_point_loses_nothing_that_was_acknowledged() {
    let mut visited = BTreeSet::new();
    for point in CRASH_POINTS.iter().filter(|point| !is_elsewhere(point)) {
        let home = tempfile::tempdir().unwrap();
        let long = needs_long(point);
        if point.contains("replay") {
            assert!(!run(home.path(), long, "store.commit.applied@6"));
        }
        assert!(!run(home.path(), long, point), "{point} is never visited");
        nothing_acknowledged_is_lost(home.path(), point);
        assert!(run(home.path(), false, ""), "{point}: it does not go on");
        nothing_acknowledged_is_lost(home.path(), point);
        let visits = fs::read_to_string(home.path().join("visits")).unwrap();
        visited.extend(visits.lines().map(str::to_owned));
    }
    let known: BTreeSet<String> = CRASH_POINTS.iter().map(|&point| point.to_owned()).collect();
    let strangers: Vec<_> = visited.difference(&known).collect();
    assert!(strangers.is_empty(), "in no list: {strangers:?}");
}

#[test]
fn a_disk_that_fails_once_is_never_tried_again_and_loses_nothing() {
    for crash in [
        "store.commit.before_write@7!enospc",
        "store.commit.written@7!eio",
        "store.export.written!eio",
    ] {
        let home = tempfile::tempdir().unwrap();
        assert!(!run(home.path(), false, crash), "{crash}");
        nothing_acknowledged_is_lost(home.path(), crash);
        assert!(run(home.path(), false, ""), "{crash}");
        assert_eq!(acknowledged(home.path()), HEIGHT);
    }
}
