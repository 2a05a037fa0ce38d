use std::fs;

use dctrl_proto::v1::{BlockApplied, BusBody, bus_body::Event};
use prost::Message;

use super::{super::segment::Log, *};

fn body(height: u64, sub_index: u32) -> BusBody {
    BusBody {
        topic: "block".to_owned(),
        cluster: vec![7; 32],
        height,
        sub_index,
        time_ms: 1_000 * height,
        event: Some(Event::Block(BlockApplied {
            actions: 1,
            ..BlockApplied::default()
        })),
        ..BusBody::default()
    }
}

/// A log of 20 entries, 4 in a segment, written in two runs.
fn log(folder: &Path) -> Vec<PathBuf> {
    for heights in [1..=7, 8..=10] {
        let mut log = Log::open(folder, 1_800).unwrap();
        for height in heights {
            for sub_index in 0..2 {
                let body = body(height, sub_index);
                log.append(&body, &body.encode_to_vec()).unwrap();
            }
        }
        log.sync().unwrap();
    }
    let files = segments(folder).unwrap();
    assert!(files.len() >= 4, "{files:?}");
    files.into_iter().map(|(_, path)| path).collect()
}

#[test]
fn a_whole_log_verifies_over_restarts_and_segments() {
    let dir = tempfile::tempdir().unwrap();
    let files = log(dir.path());
    let verified = verify(dir.path()).unwrap();
    assert_eq!((verified.entries, verified.height), (20, 10));
    assert_eq!(verified.segments, files.len());
    assert!(!verified.torn_tail);
}

/// What [`verify`] says of a log of these blocks with this gap behind them.
fn with_gap(blocks: u64, from: u64, to: u64, then: u64) -> Result<Verified, VerifyError> {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), 1 << 20).unwrap();
    let add = |log: &mut Log, height| {
        let body = body(height, 0);
        log.append(&body, &body.encode_to_vec()).unwrap();
    };
    for height in 1..=blocks {
        add(&mut log, height);
    }
    let gap = Gap {
        missing_from: from,
        missing_to: to,
        why: "forgotten".to_owned(),
    };
    log.append_gap(&gap).unwrap();
    log.sync().unwrap();
    // Restarted behind the gap.
    let mut log = Log::open(dir.path(), 1 << 20).unwrap();
    assert_eq!((log.end.height, log.end.ends_block), (to, true));
    add(&mut log, then);
    log.sync().unwrap();
    verify(dir.path())
}

#[test]
fn a_gap_that_the_log_tells_of_is_counted_and_any_other_is_an_error() {
    let verified = with_gap(3, 4, 9, 10).unwrap();
    assert_eq!((verified.missing_blocks, verified.height), (6, 10));
    assert_eq!(with_gap(0, 1, 9, 10).unwrap().missing_blocks, 9);
    let rest_of_a_block = with_gap(3, 3, 9, 10).unwrap();
    assert_eq!(rest_of_a_block.missing_blocks, 7);
    for (blocks, from, to, then) in [(3, 5, 9, 10), (3, 4, 9, 11), (0, 0, 9, 10), (3, 4, 9, 9)] {
        let wrong = with_gap(blocks, from, to, then);
        assert!(
            matches!(
                wrong,
                Err(VerifyError::Broken {
                    field: "height",
                    ..
                })
            ),
            "{from}..{to} and {then} after {blocks}: {wrong:?}"
        );
    }
}

#[test]
fn a_byte_flipped_anywhere_names_its_entry() {
    let dir = tempfile::tempdir().unwrap();
    let files = log(dir.path());
    let path = &files[1];
    let good = fs::read(path).unwrap();
    let first: u64 = segments(dir.path()).unwrap()[1].0;
    let mut checked = 0;
    for position in (0..good.len()).step_by(7) {
        let line = good[..position]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count() as u64;
        if good[position] == b'\n' {
            continue;
        }
        let mut bad = good.clone();
        bad[position] ^= 1;
        fs::write(path, &bad).unwrap();
        let error = verify(dir.path()).unwrap_err();
        match error {
            VerifyError::BadEntry { index, .. } => assert_eq!(index, first + line, "{position}"),
            other => panic!("byte {position}: {other}"),
        }
        checked += 1;
    }
    assert!(checked > 50);
}

#[test]
fn a_rewritten_entry_breaks_the_chain_at_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let files = log(dir.path());
    let text = fs::read_to_string(&files[0]).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (old, _) = Entry::read(lines[1].as_bytes()).unwrap();
    let mut other = body(1, 1);
    other.time_ms = 5;
    let previous = hex::decode(&old.prev_hash).unwrap().try_into().unwrap();
    let forged = Entry::new(2, &other, &other.encode_to_vec(), previous).unwrap();
    lines[1] = String::from_utf8(forged.line().unwrap().0).unwrap();
    fs::write(&files[0], lines.join("\n") + "\n").unwrap();
    let error = verify(dir.path()).unwrap_err();
    assert!(
        matches!(
            error,
            VerifyError::Broken {
                index: 3,
                field: "prev_hash",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_missing_segment_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let files = log(dir.path());
    let firsts: Vec<u64> = segments(dir.path())
        .unwrap()
        .iter()
        .map(|one| one.0)
        .collect();
    fs::remove_file(&files[1]).unwrap();
    match verify(dir.path()).unwrap_err() {
        VerifyError::MissingSegment { from, to } => {
            assert_eq!((from, to), (firsts[1], firsts[2] - 1));
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_missing_line_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let files = log(dir.path());
    let text = fs::read_to_string(&files[0]).unwrap();
    let without: Vec<&str> = text.lines().take(1).chain(text.lines().skip(2)).collect();
    fs::write(&files[0], without.join("\n") + "\n").unwrap();
    let error = verify(dir.path()).unwrap_err();
    assert!(
        matches!(error, VerifyError::Broken { index: 2, .. }),
        "{error}"
    );
}

#[test]
fn a_torn_tail_is_told_and_cut_off_when_the_log_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let files = log(dir.path());
    let last = files.last().unwrap();
    let mut bytes = fs::read(last).unwrap();
    bytes.truncate(bytes.len() - 5);
    fs::write(last, &bytes).unwrap();
    let torn = verify(dir.path()).unwrap();
    assert_eq!((torn.entries, torn.torn_tail), (19, true));
    let mut log = Log::open(dir.path(), 1_800).unwrap();
    assert_eq!((log.end.height, log.end.sub_index), (10, 0));
    let again = body(10, 1);
    log.append(&again, &again.encode_to_vec()).unwrap();
    let whole = verify(dir.path()).unwrap();
    assert_eq!((whole.entries, whole.torn_tail), (20, false));
}

#[test]
fn a_hole_that_a_power_cut_left_in_unsynced_lines_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let files = log(dir.path());
    let last = files.last().unwrap();
    let mut bytes = fs::read(last).unwrap();
    // The sector with the end of the first line never reached the disk, the
    // lines behind it did.
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    bytes[end - 40..end].fill(0);
    fs::write(last, &bytes).unwrap();
    let log = Log::open(dir.path(), 1_800).unwrap();
    let first = segments(dir.path()).unwrap();
    assert_eq!(first.len(), files.len() - 1);
    drop(log);
    let whole = verify(dir.path()).unwrap();
    assert!(whole.entries > 0 && !whole.torn_tail);
}

#[test]
fn nothing_is_appended_to_a_log_that_is_damaged_where_it_was_synced() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), u64::MAX).unwrap();
    let long = BusBody {
        topic: "x".repeat(1 << 20),
        ..body(1, 0)
    };
    for _ in 0..6 {
        log.append(&long, &long.encode_to_vec()).unwrap();
    }
    log.sync().unwrap();
    let (_, last) = segments(dir.path()).unwrap().pop().unwrap();
    let mut bytes = fs::read(&last).unwrap();
    bytes[20] ^= 1;
    fs::write(&last, &bytes).unwrap();
    let error = Log::open(dir.path(), 1_800).unwrap_err();
    let named = super::super::LogError::to_string(&error);
    assert!(named.contains("line 1"), "{named}");
}

#[test]
fn an_empty_folder_is_an_empty_log() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(verify(dir.path()).unwrap().entries, 0);
}
