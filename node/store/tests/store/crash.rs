//! What is left when the process is killed or the disk is torn.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dctrl_ledger::StateRead;
use dctrl_proto::v1::BlockPayload;
use dctrl_store::{Options, Part, Store, StoreError};
use prost::Message;

use crate::support::{KEYS, body, certificate, commit_block, genesis, open, reopened, state_of};

/// Names the folder for the child that writes until it is killed.
const FOLDER: &str = "DCTRL_STORE_CRASH_FOLDER";

/// One batch with all that belongs to a height, and the certificate of the
/// height before.
fn write_height(store: &Store, height: u64) {
    let outputs = [body("block", height, 0)];
    let mut batch = store.begin();
    batch.record(height, height.to_be_bytes());
    batch.block(height, [7; 500], b"header");
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
    let records: Vec<_> = store.records().unwrap().map(Result::unwrap).collect();
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

/// A store with a few heights that only its journal knows, as after a crash
/// before RocksDB wrote its files; the journal's segment, and what it holds.
fn crashed(heights: u64) -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    genesis(&open(folder.path()));
    let before = copy(folder.path());
    let store = open(folder.path());
    (1..=heights).for_each(|height| write_height(&store, height));
    drop(store);
    let segment = Path::new("journal").join(format!("{:020}.seg", 1));
    let mut bytes = fs::read(folder.path().join(&segment)).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    bytes.truncate(end);
    fs::write(before.path().join(&segment), &bytes).unwrap();
    (before, segment, bytes)
}

fn copy(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir(copy.path().join("journal")).unwrap();
    for folder_in in ["", "journal"] {
        for entry in fs::read_dir(folder.join(folder_in)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.file_name().unwrap();
                fs::copy(&path, copy.path().join(folder_in).join(name)).unwrap();
            }
        }
    }
    copy
}

/// Where the first batch, that of genesis, ends: behind the entry's header of
/// 24 bytes, whose third number is the length.
fn genesis_end(bytes: &[u8]) -> usize {
    let length = u32::from_le_bytes(bytes[8..12].try_into().unwrap());
    24 + length as usize
}

#[test]
fn a_torn_journal_opens_at_an_earlier_full_batch() {
    let (folder, segment, bytes) = crashed(6);
    let mut heights = Vec::new();
    let start = genesis_end(&bytes);
    for cut in (start..bytes.len())
        .rev()
        .step_by((bytes.len() - start) / 25)
    {
        let torn = copy(folder.path());
        fs::write(torn.path().join(&segment), &bytes[..cut]).unwrap();
        let height = consistent_height(&open(torn.path()));
        // What was torn is gone for good, and the next batch follows.
        write_height(&open(torn.path()), height + 1);
        assert_eq!(consistent_height(&open(torn.path())), height + 1);
        heights.push(height);
    }
    assert!(
        heights.is_sorted_by(|later, earlier| later >= earlier),
        "{heights:?}"
    );
    assert_eq!((heights[0], heights[heights.len() - 1]), (5, 0));
}

#[test]
fn damage_before_the_end_of_the_journal_refuses_to_open() {
    let (folder, segment, mut bytes) = crashed(6);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    let path = folder.path().join(segment);
    fs::write(&path, bytes).unwrap();
    let error = Store::open(folder.path(), &Options::default())
        .err()
        .unwrap();
    let StoreError::JournalDamaged {
        path: named,
        offset,
        ..
    } = &error
    else {
        panic!("{error}");
    };
    let offset = usize::try_from(*offset).unwrap();
    assert!(*named == path && offset > 0 && offset <= middle, "{error}");
    assert_eq!(error.blame(), dctrl_store::Blame::Damage);
}

#[test]
fn pruned_records_and_old_blocks_free_their_segments_and_nothing_else_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        history_bytes: 64 << 20,
        ..Options::default()
    };
    let store = Store::open(folder.path(), &options).unwrap();
    genesis(&store);
    let heights = 60;
    for height in 1..=heights {
        let mut batch = store.begin();
        batch.record(height, vec![height as u8; 4 << 20]);
        batch.block(height, vec![height as u8; 4 << 20], b"header");
        batch.outputs(height, &[]).executed(height);
        batch.prune(height.saturating_sub(3));
        store.commit(batch).unwrap();
    }
    let segments = || fs::read_dir(folder.path().join("journal")).unwrap().count();
    let mut next = heights;
    // RocksDB writes its files in another thread.
    while segments() > 8 && next < 20 * heights {
        next += 1;
        let mut batch = store.begin();
        batch.record(next, vec![next as u8; 4 << 20]);
        batch.prune(next - 3);
        store.commit(batch).unwrap();
    }
    assert!(segments() <= 8, "{} segments are left", segments());
    drop(store);
    let store = reopened(folder.path(), &options);
    let records: Vec<u64> = store.records().unwrap().map(|it| it.unwrap().0).collect();
    assert_eq!(records, [next - 2, next - 1, next]);
    let snapshot = store.snapshot();
    assert_eq!(snapshot.block(1).unwrap(), None, "it was given up");
    assert_eq!(snapshot.header(1).unwrap().unwrap(), b"header");
    drop(snapshot);
    let mut batch = store.begin();
    batch.record(next + 1, b"next");
    store.commit(batch).unwrap();
}

#[test]
fn a_block_of_records_is_read_from_them_before_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    genesis(&store);
    // What is before the transactions does not belong to the block.
    let record = |transactions: &[&[u8]]| {
        let mut bytes = b"header".to_vec();
        for transaction in transactions {
            bytes.extend((transaction.len() as u32).to_be_bytes());
            bytes.extend_from_slice(transaction);
        }
        bytes
    };
    let mut batch = store.begin();
    batch.record(1, record(&[b"one", b"two"]));
    store.commit(batch).unwrap();
    let mut batch = store.begin();
    let parts = [(2, 9), (1, 14)].map(|(record, bytes)| Part { record, bytes });
    batch.record(2, record(&[b"three"]));
    batch.block_of_records(1, parts.to_vec(), b"header");
    batch.outputs(1, &[]).executed(1);
    store.commit(batch).unwrap();
    let expected = BlockPayload {
        transactions: [&b"three"[..], b"one", b"two"].map(<[u8]>::to_vec).to_vec(),
    };
    let block = |store: &Store| store.snapshot().block(1).unwrap().unwrap();
    assert_eq!(BlockPayload::decode(&block(&store)[..]).unwrap(), expected);
    drop(store);
    let store = open(folder.path());
    assert_eq!(BlockPayload::decode(&block(&store)[..]).unwrap(), expected);
    let mut missing = store.begin();
    let part = Part {
        record: 9,
        bytes: 1,
    };
    missing.block_of_records(2, vec![part], b"header");
    missing.outputs(2, &[]).executed(2);
    assert!(store.commit(missing).is_err());
}

#[test]
fn a_failed_batch_can_be_followed_by_a_right_one() {
    let (folder, _, _) = crashed(2);
    let store = open(folder.path());
    let mut gap = store.begin();
    gap.record(9, b"");
    assert!(store.commit(gap).is_err());
    commit_block(&store, 3, &[]);
}
