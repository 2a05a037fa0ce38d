//! What the store keeps and what it refuses.

use dctrl_ledger::{ChangeSet, StateRead};
use dctrl_store::limits::CURSOR_NAME_BYTES_MAX;
use dctrl_store::{Options, Store, StoreError};

use crate::support::{body, certify, commit_block, fresh, genesis, open, with_blocks};

fn changes(pairs: &[(&str, Option<&str>)]) -> ChangeSet {
    let bytes = |text: &str| text.as_bytes().to_vec();
    pairs
        .iter()
        .map(|(key, value)| (bytes(key), value.map(bytes)))
        .collect()
}

fn set_state(store: &Store, pairs: &[(&str, Option<&str>)]) {
    let mut batch = store.begin();
    batch.state(&changes(pairs));
    store.commit(batch).unwrap();
}

#[test]
fn a_reopened_store_resumes_exactly() {
    let (folder, store) = with_blocks(&[&["block"], &["chain", "block"]]);
    let mut batch = store.begin();
    batch
        .record(1, b"one")
        .record(2, b"two")
        .cursor("mailer", b"place");
    store.commit(batch).unwrap();
    drop(store);

    let store = open(folder.path());
    let records: Vec<_> = store.records().unwrap().map(Result::unwrap).collect();
    assert_eq!(records, [(1, b"one".to_vec()), (2, b"two".to_vec())]);
    let snapshot = store.snapshot();
    assert_eq!(snapshot.height().unwrap(), 2);
    assert_eq!(snapshot.final_height().unwrap(), 2);
    assert_eq!(snapshot.cursor("mailer").unwrap().unwrap(), b"place");
    assert_eq!(snapshot.cursor("other").unwrap(), None);
    assert_eq!(snapshot.block(2).unwrap().unwrap(), b"block 2");
    assert_eq!(snapshot.header(2).unwrap().unwrap(), b"header 2");
    assert_eq!(
        snapshot.outputs(2).unwrap().unwrap(),
        [body("chain", 2, 0), body("block", 2, 1)]
    );
    assert_eq!(
        StateRead::get(&snapshot, b"height").unwrap(),
        2_u64.to_be_bytes()
    );
    drop(snapshot);
    commit_block(&store, 3, &[]);
}

#[test]
fn a_batch_that_was_not_committed_leaves_nothing() {
    let (_folder, store) = with_blocks(&[]);
    let mut batch = store.begin();
    batch
        .record(1, b"lost")
        .state(&changes(&[("key", Some("lost"))]));
    drop(batch);
    assert_eq!(store.records().unwrap().count(), 0);
    assert_eq!(StateRead::get(&store.snapshot(), b"key"), None);
}

#[test]
fn a_batch_that_makes_a_gap_is_refused_whole() {
    let (_folder, store) = with_blocks(&[&[]]);
    type Fill = fn(&mut dctrl_store::Batch);
    let gaps: [(&str, Fill); 6] = [
        ("record", |batch| {
            batch.record(2, b"");
        }),
        ("executed height", |batch| {
            batch.executed(3);
        }),
        ("executed height", |batch| {
            batch.executed(1);
        }),
        ("certificate", |batch| {
            batch.certificate(3, b"");
        }),
        ("certificate", |batch| {
            batch.certificate(2, b"");
        }),
        ("certificate", |batch| {
            batch.certificate(0, b"");
        }),
    ];
    for (expected, fill) in gaps {
        let mut batch = store.begin();
        batch.state(&changes(&[("key", Some("value"))]));
        fill(&mut batch);
        let error = store.commit(batch).unwrap_err();
        assert!(
            matches!(error, StoreError::Order { what, .. } if what == expected),
            "{error}"
        );
    }
    assert_eq!(StateRead::get(&store.snapshot(), b"key"), None);
    certify(&store, 1, &[]);
}

#[test]
fn an_executed_height_comes_with_block_and_outputs() {
    let (_folder, store) = with_blocks(&[]);
    let mut batch = store.begin();
    batch.outputs(1, &[]).executed(1);
    let error = store.commit(batch).unwrap_err();
    assert!(
        matches!(error, StoreError::Incomplete { height: 1 }),
        "{error}"
    );
}

#[test]
fn a_cursor_name_is_bounded() {
    let (_folder, store) = fresh();
    let mut batch = store.begin();
    batch.cursor(&"x".repeat(CURSOR_NAME_BYTES_MAX + 1), b"");
    assert!(matches!(
        store.commit(batch),
        Err(StoreError::TooLong { .. })
    ));
}

#[test]
fn a_snapshot_does_not_see_later_commits() {
    let (_folder, store) = with_blocks(&[&["block"]]);
    let snapshot = store.snapshot();
    commit_block(&store, 2, &[]);
    certify(&store, 2, &[]);
    assert_eq!(snapshot.height().unwrap(), 1);
    assert_eq!(snapshot.final_height().unwrap(), 1);
    assert_eq!(
        StateRead::get(&snapshot, b"height").unwrap(),
        1_u64.to_be_bytes()
    );
    assert_eq!(store.snapshot().height().unwrap(), 2);
}

#[test]
fn a_store_without_genesis_says_so() {
    let (_folder, store) = fresh();
    assert_eq!(store.snapshot().executed().unwrap(), None);
    genesis(&store);
    assert_eq!(store.snapshot().executed().unwrap(), Some(0));
}

#[test]
fn a_scan_stays_in_its_prefix_and_resumes_after_a_key() {
    let (_folder, store) = fresh();
    let all = ["a", "b/1", "b/2", "b/3", "c"].map(|key| (key, Some("v")));
    set_state(&store, &all);
    set_state(&store, &[("b/2", None)]);
    let snapshot = store.snapshot();
    let scan = |prefix: &str, after: Option<&str>, limit| {
        let found = snapshot.scan(prefix.as_bytes(), after.map(str::as_bytes), limit);
        let text = |key| String::from_utf8(key).unwrap();
        found
            .into_iter()
            .map(|(key, _)| text(key))
            .collect::<Vec<_>>()
    };
    assert_eq!(scan("b/", None, 9), ["b/1", "b/3"]);
    assert_eq!(scan("b/", Some("b/1"), 9), ["b/3"]);
    assert_eq!(scan("b/", Some("b/2"), 9), ["b/3"]);
    assert_eq!(scan("b/", Some("a"), 1), ["b/1"]);
    assert_eq!(scan("b/", Some("c"), 9), [""; 0]);
    assert_eq!(scan("", None, 9), ["a", "b/1", "b/3", "c"]);
}

#[test]
fn the_store_and_the_state_in_memory_scan_alike() {
    let (_folder, store) = fresh();
    let keys = ["", "a", "a\0", "ab", "b", "\u{7f}"];
    let all = keys.map(|key| (key, Some("v")));
    set_state(&store, &all);
    let mut memory = dctrl_ledger::MemoryState::default();
    memory.apply(&changes(&all));
    let snapshot = store.snapshot();
    for prefix in keys {
        for after in [None, Some(""), Some("a"), Some("aa"), Some("b"), Some("z")] {
            for limit in [0, 1, 9] {
                let (prefix, after) = (prefix.as_bytes(), after.map(str::as_bytes));
                let found = snapshot.scan(prefix, after, limit);
                assert_eq!(
                    found,
                    memory.scan(prefix, after, limit),
                    "{prefix:?} {after:?}"
                );
            }
        }
    }
}

#[test]
fn a_folder_in_use_is_refused_by_name() {
    let (folder, _store) = fresh();
    let error = Store::open(folder.path(), &Options::default())
        .err()
        .unwrap();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(folder.path().to_str().unwrap()));
}

#[test]
fn another_schema_version_is_refused() {
    let (folder, store) = fresh();
    drop(store);
    let rocks = rocksdb::Options::default();
    let families = rocksdb::DB::list_cf(&rocks, folder.path()).unwrap();
    let db = rocksdb::DB::open_cf(&rocks, folder.path(), families).unwrap();
    let meta = db.cf_handle("meta").unwrap();
    db.put_cf(meta, b"schema", 9_u32.to_be_bytes()).unwrap();
    drop(db);
    let error = Store::open(folder.path(), &Options::default())
        .err()
        .unwrap();
    assert!(
        matches!(
            error,
            StoreError::Schema {
                found: 9,
                expected: 2,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_database_of_another_program_is_refused_and_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut rocks = rocksdb::Options::default();
    rocks.create_if_missing(true);
    rocks.create_missing_column_families(true);
    drop(rocksdb::DB::open_cf(&rocks, folder.path(), ["photos"]).unwrap());
    let error = Store::open(folder.path(), &Options::default())
        .err()
        .unwrap();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    let families = rocksdb::DB::list_cf(&rocks, folder.path()).unwrap();
    assert_eq!(families, ["default", "photos"]);
}
