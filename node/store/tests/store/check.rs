//! What a check of a whole store finds.

use std::fs;
use std::path::{Path, PathBuf};

use dctrl_consensus::ClusterId;
use dctrl_ledger::{ChangeSet, StateRead};
use dctrl_store::check::{Report, check};
use dctrl_store::{Extent, Options, Store, StoreError, set_aside};
use tempfile::TempDir;

use crate::chain::{Chain, SEAL, dump};

const HEIGHT: u64 = 9;

fn grown() -> (TempDir, Chain) {
    let (folder, chain) = (tempfile::tempdir().unwrap(), Chain::new(7, HEIGHT));
    let store = crate::support::open(folder.path());
    chain.grow(&store, SEAL);
    store.checkpoint().unwrap();
    store.export(SEAL).unwrap();
    chain.grow(&store, HEIGHT);
    drop(store);
    (folder, chain)
}

fn look(folder: &Path, chain: &Chain) -> Report {
    let trust = |_: &dyn StateRead| Some((chain.cluster, chain.genesis.clone()));
    check(folder, &Options::default(), &trust).unwrap()
}

#[test]
fn a_whole_store_is_sound_and_counted() {
    let (folder, chain) = grown();
    let report = look(folder.path(), &chain);
    assert_eq!(report.findings, []);
    assert_eq!(
        (report.height, report.final_height, report.blocks),
        (HEIGHT, HEIGHT, HEIGHT)
    );
    assert_eq!(report.state_digest, Some(chain.digest(HEIGHT)));
}

/// Commits what no node would, and gives the columns that the check names.
fn after(change: impl FnOnce(&mut dctrl_store::Batch, &Chain)) -> Vec<(String, Option<u64>)> {
    let (folder, chain) = grown();
    let store = crate::support::open(folder.path());
    let mut batch = store.begin();
    change(&mut batch, &chain);
    store.commit(batch).unwrap();
    drop(store);
    let findings = look(folder.path(), &chain).findings;
    findings
        .into_iter()
        .map(|one| (one.place, one.number))
        .collect()
}

#[test]
fn rows_that_do_not_belong_together_are_named_by_column_and_height() {
    let stray = ChangeSet::from([(b"stray".to_vec(), Some(vec![1]))]);
    let state = after(|batch, _| {
        batch.state(&stray);
    });
    assert_eq!(state, [("state".to_owned(), Some(HEIGHT))]);
    let outputs = after(|batch, chain| {
        batch.outputs(4, &chain.blocks[4].outputs);
    });
    assert_eq!(outputs, [("outputs".to_owned(), Some(4))]);
    let certificate = after(|batch, chain| {
        batch.certificate(3, &chain.blocks[3].certificate.encode());
    });
    assert_eq!(certificate, [("certificates".to_owned(), Some(3))]);
    let unsigned = after(|batch, chain| {
        let mut short = chain.blocks[2].certificate.clone();
        short.signatures.pop();
        batch.certificate(3, &short.encode());
    });
    assert_eq!(unsigned, [("certificates".to_owned(), Some(3))]);
    let block = after(|batch, chain| {
        batch.block(6, b"", &chain.blocks[5].header.encode());
    });
    assert_eq!(block, [("blocks".to_owned(), Some(6))]);
    let roster = after(|batch, chain| {
        let mut step = chain.blocks[usize::try_from(SEAL).unwrap() - 1]
            .step
            .clone()
            .unwrap();
        step.next.number = 2;
        batch.roster_step(1, &step.encode());
    });
    assert_eq!(roster[0], ("rosters".to_owned(), Some(1)));
}

#[test]
fn certificates_of_another_federation_prove_nothing() {
    let (folder, mut chain) = grown();
    chain.cluster = ClusterId(chain.digest(1));
    let report = look(folder.path(), &chain);
    assert!(!report.is_sound());
}

#[test]
fn a_lost_end_of_the_journal_is_damage_and_no_earlier_height() {
    let (folder, chain) = grown();
    // As after a crash: RocksDB's files know nothing of the last blocks.
    let crashed = copy(folder.path());
    let store = crate::support::open(folder.path());
    let more = Chain::new(7, HEIGHT + 3);
    more.grow(&store, HEIGHT + 3);
    let journal = |home: &Path| home.join("journal");
    copy_into(&journal(folder.path()), &journal(crashed.path()));
    drop(store);
    let segment = crashed
        .path()
        .join("journal")
        .join(format!("{:020}.seg", 1));
    let mut bytes = fs::read(&segment).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[end - 100..].fill(0);
    fs::write(&segment, bytes).unwrap();
    let refused = Store::open(crashed.path(), &Options::default()).err();
    assert!(
        matches!(refused, Some(StoreError::JournalDamaged { .. })),
        "{refused:?}"
    );
    let report = look(crashed.path(), &chain);
    assert!(report.findings[0].place.ends_with(".seg"), "{report:?}");
}

pub(crate) fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    copy_into(from, to.path());
    to
}

fn copy_into(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy_into(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn a_journal_without_its_database_is_refused_and_not_begun_anew() {
    let (folder, chain) = grown();
    fs::remove_file(folder.path().join("CURRENT")).unwrap();
    assert!(Store::open(folder.path(), &Options::default()).is_err());
    assert!(!look(folder.path(), &chain).is_sound());
    assert!(!folder.path().join("CURRENT").exists());
}

#[test]
fn what_was_set_aside_is_rebuilt_from_peers_and_kept() {
    let (folder, chain) = grown();
    let before = dump(&crate::support::open(folder.path()));
    fs::write(folder.path().join("CURRENT"), b"nonsense").unwrap();
    assert!(!look(folder.path(), &chain).is_sound());
    let aside: PathBuf = set_aside(folder.path(), Extent::Everything { mark: "instance" }).unwrap();
    assert_eq!(fs::read(aside.join("CURRENT")).unwrap(), b"nonsense");
    let store = crate::support::open(folder.path());
    assert_eq!(store.snapshot().executed().unwrap(), None);
    chain.grow(&store, HEIGHT);
    assert!(dump(&store) == before);
    drop(store);
    assert!(look(folder.path(), &chain).is_sound());
}

#[test]
fn a_manifest_that_rocksdb_would_read_for_ever_is_named() {
    let (folder, chain) = grown();
    let current = fs::read_to_string(folder.path().join("CURRENT")).unwrap();
    let path = folder.path().join(current.trim());
    let mut manifest = fs::read(&path).unwrap();
    let at = manifest.len();
    // The head of a record of the last part of a log that is used again, cut off.
    manifest.extend([0xf4, 0x4f, 0x47, 0x26, 0x00, 0x17, 8]);
    manifest.extend([0xaa; 200]);
    fs::write(&path, manifest).unwrap();
    let refused = Store::open(folder.path(), &Options::default())
        .err()
        .unwrap();
    let text = format!("record of the database's manifest at byte {at} is damaged or missing");
    assert_eq!(refused.to_string(), text);
    let findings = look(folder.path(), &chain).findings;
    assert!(format!("{findings:?}").contains(&text), "{findings:?}");
}
