//! What the store keeps, refuses and proves.

#[cfg(test)]
#[path = "support/mod.rs"]
mod support;

#[cfg(test)]
mod tests {
    use dctrl_consensus::{Certificate, merkle};
    use dctrl_ledger::{ChangeSet, StateRead};
    use dctrl_proto::v1::{BusBody, BusFrame};
    use dctrl_store::limits::{
        CURSOR_NAME_BYTES_MAX, FRAMES_BYTES_MAX, FRAMES_HEIGHTS_MAX, FRAMES_MAX,
    };
    use dctrl_store::{Options, Store, StoreError};
    use prost::Message;
    use tempfile::TempDir;

    use crate::support::{body, certificate, commit_block, genesis, open};

    /// A store with genesis and blocks whose outputs have these topics, all final.
    fn with_blocks(blocks: &[&[&str]]) -> (TempDir, Store) {
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

    fn fresh() -> (TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        (folder, store)
    }

    fn certify(store: &Store, height: u64, outputs: &[Vec<u8>]) {
        let mut batch = store.begin();
        batch.certificate(height, &certificate(height, outputs));
        store.commit(batch).unwrap();
    }

    fn positions(frames: &[BusFrame]) -> Vec<(u64, u32)> {
        let place = |frame: &BusFrame| {
            let body = BusBody::decode(&*frame.body).unwrap();
            (body.height, body.sub_index)
        };
        frames.iter().map(place).collect()
    }

    fn topics(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

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
        let records: Vec<_> = store.records().map(Result::unwrap).collect();
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
        assert_eq!(store.records().count(), 0);
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
        let families = [
            "records",
            "blocks",
            "headers",
            "state",
            "outputs",
            "certificates",
            "meta",
        ];
        let rocks = rocksdb::Options::default();
        let db = rocksdb::DB::open_cf(&rocks, folder.path(), families).unwrap();
        let meta = db.cf_handle("meta").unwrap();
        db.put_cf(meta, b"schema", 2_u32.to_be_bytes()).unwrap();
        drop(db);
        let error = Store::open(folder.path(), &Options::default())
            .err()
            .unwrap();
        assert!(
            matches!(
                error,
                StoreError::Schema {
                    found: 2,
                    expected: 1,
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

    #[test]
    fn every_frame_carries_a_proof_for_its_certificate() {
        let (_folder, store) = with_blocks(&[&["a", "b", "c", "d", "e"], &["f"]]);
        let answer = store.snapshot().frames((0, 0), &[], 100).unwrap();
        assert_eq!(
            positions(&answer.frames),
            [(1, 0), (1, 1), (1, 2), (1, 3), (1, 4), (2, 0)]
        );
        assert_eq!((answer.covered_height, answer.more), (2, false));
        for frame in answer.frames {
            let body = BusBody::decode(&*frame.body).unwrap();
            let certificate = Certificate::decode(&frame.certificate).unwrap();
            assert_eq!(certificate.header.index, body.height);
            let proof = frame.proof.unwrap();
            let digest =
                |bytes: &Vec<u8>| dctrl_consensus::Digest(bytes.as_slice().try_into().unwrap());
            let path: Vec<_> = proof.path.iter().map(digest).collect();
            let (index, count) = (body.sub_index as usize, proof.leaf_count as usize);
            let root = &certificate.header.outputs_root;
            assert!(merkle::verify(root, &frame.body, index, count, &path));
        }
    }

    #[test]
    fn frames_keep_to_their_topics() {
        let (_folder, store) = with_blocks(&[
            &["machine.m1.order", "machine.m10.order", "vend.m1"],
            &["machine.m1.status"],
        ]);
        let snapshot = store.snapshot();
        let of = |names: &[&str]| {
            positions(&snapshot.frames((0, 0), &topics(names), 100).unwrap().frames)
        };
        assert_eq!(of(&["machine.m1.order"]), [(1, 0)]);
        assert_eq!(of(&["machine.m1."]), [(1, 0), (2, 0)]);
        assert_eq!(of(&["vend.m1", "machine.m10."]), [(1, 1), (1, 2)]);
        assert_eq!(of(&["machine.m2."]), []);
        assert_eq!(of(&[""]).len(), 4);
    }

    #[test]
    fn frames_continue_after_any_position() {
        let (_folder, store) = with_blocks(&[&["a", "b"], &[], &["c", "d", "e"]]);
        let snapshot = store.snapshot();
        let all = positions(&snapshot.frames((0, 0), &[], 100).unwrap().frames);
        for frames_max in 1..=all.len() {
            let (mut seen, mut after) = (Vec::new(), (0, 0));
            loop {
                let answer = snapshot.frames(after, &[], frames_max).unwrap();
                assert!(answer.frames.len() <= frames_max);
                seen.extend(positions(&answer.frames));
                if !answer.more {
                    assert_eq!(answer.covered_height, 3);
                    break;
                }
                after = *seen.last().unwrap();
                assert!(answer.covered_height < 3);
            }
            assert_eq!(seen, all);
        }
        assert!(snapshot.frames((3, 2), &[], 9).unwrap().frames.is_empty());
        assert!(
            snapshot
                .frames((u64::MAX, u32::MAX), &[], 9)
                .unwrap()
                .frames
                .is_empty()
        );
    }

    #[test]
    fn only_final_heights_have_frames() {
        let (_folder, store) = with_blocks(&[&["a"]]);
        commit_block(&store, 2, &[body("b", 2, 0)]);
        let answer = store.snapshot().frames((0, 0), &[], 100).unwrap();
        assert_eq!(positions(&answer.frames), [(1, 0)]);
        assert_eq!((answer.covered_height, answer.more), (1, false));
        certify(&store, 2, &[body("b", 2, 0)]);
        let answer = store.snapshot().frames((1, 0), &[], 100).unwrap();
        assert_eq!(positions(&answer.frames), [(2, 0)]);
    }

    #[test]
    fn an_answer_is_bounded_in_frames_bytes_and_heights() {
        let (_folder, store) = fresh();
        genesis(&store);
        let many: Vec<_> = (0..FRAMES_MAX as u32 + 1)
            .map(|sub| body("many", 1, sub))
            .collect();
        let long = "x".repeat(FRAMES_BYTES_MAX);
        let huge: Vec<_> = (0..3).map(|sub| body(&long, 2, sub)).collect();
        for (height, outputs) in [(1, &many), (2, &huge)] {
            commit_block(&store, height, outputs);
            certify(&store, height, outputs);
        }
        let mut batch = store.begin();
        for height in 3..FRAMES_HEIGHTS_MAX + 9 {
            batch
                .block(height, b"", b"")
                .outputs(height, &[])
                .executed(height);
            batch.certificate(height, b"");
        }
        store.commit(batch).unwrap();
        let snapshot = store.snapshot();
        let first = snapshot.frames((0, 0), &[], usize::MAX).unwrap();
        assert_eq!(
            (first.frames.len(), first.covered_height, first.more),
            (FRAMES_MAX, 0, true)
        );
        let second = snapshot
            .frames((1, FRAMES_MAX as u32), &[], usize::MAX)
            .unwrap();
        assert_eq!(
            (second.frames.len(), second.covered_height, second.more),
            (1, 1, true)
        );
        let third = snapshot.frames((2, 2), &[], usize::MAX).unwrap();
        assert_eq!((third.frames.len(), third.more), (0, true));
        assert_eq!(third.covered_height, FRAMES_HEIGHTS_MAX + 1);
        let last = snapshot
            .frames((third.covered_height, u32::MAX), &[], 1)
            .unwrap();
        assert_eq!(
            (last.covered_height, last.more),
            (FRAMES_HEIGHTS_MAX + 8, false)
        );
    }
}
