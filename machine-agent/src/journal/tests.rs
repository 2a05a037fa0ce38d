//! Claims about the journal, by kind of failure.

use super::*;
use crate::machine::{Begin, Life, Place, Report};

const BYTES_MAX: u64 = 1 << 20;

fn sensed(value: i64) -> Record {
    Record::Sensed(Report {
        sensor: "door".to_owned(),
        value,
        observed_at_ms: 7,
    })
}

/// Appends records as the agent does.
fn fill(folder: &Path, bytes_max: u64, records: &[Record]) -> Durable {
    let (mut journal, mut durable) = Journal::open(folder, bytes_max).unwrap();
    for record in records {
        durable.apply(record);
        journal.append(record).unwrap();
    }
    durable
}

fn reopened(folder: &Path) -> Durable {
    Journal::open(folder, BYTES_MAX).unwrap().1
}

fn records() -> Vec<Record> {
    let mut records = vec![Record::Adopted {
        life: Life {
            incarnation: 3,
            sequence: 4,
            receipt_hash: [5; 32],
            begin: Begin::Awaited,
        },
        reports_done: 6,
    }];
    records.push(Record::Begun { time_ms: 10 });
    records.extend((0..5).map(sensed));
    records.push(Record::Forwarded { number: 8 });
    records.push(Record::Followed(Place {
        height: 9,
        sub_index: 1,
    }));
    records
}

#[test]
fn what_was_appended_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let written = fill(folder.path(), BYTES_MAX, &records());
    assert_eq!(reopened(folder.path()), written);
    assert_eq!(written.reports.len(), 3);
}

#[test]
fn a_torn_last_line_is_forgotten_at_every_length_and_appending_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let before = fill(folder.path(), BYTES_MAX, &records());
    let path = folder.path().join("a.journal");
    let whole = fs::read(&path).unwrap();
    fill(folder.path(), BYTES_MAX, &[sensed(99)]);
    let longer = fs::read(&path).unwrap();
    for length in whole.len()..longer.len() {
        let torn = tempfile::tempdir().unwrap();
        fs::write(torn.path().join("a.journal"), &longer[..length]).unwrap();
        assert_eq!(reopened(torn.path()), before, "cut at {length}");
        let after = fill(torn.path(), BYTES_MAX, &[sensed(1)]);
        assert_eq!(reopened(torn.path()), after, "cut at {length}");
    }
}

#[test]
fn damage_before_the_end_is_never_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), BYTES_MAX, &records());
    let path = folder.path().join("a.journal");
    let whole = fs::read(&path).unwrap();
    let last_line = whole[..whole.len() - 1].iter().rposition(|b| *b == b'\n');
    for offset in (0..last_line.unwrap()).step_by(7) {
        let mut damaged = whole.clone();
        damaged[offset] ^= 0x01;
        fs::write(&path, &damaged).unwrap();
        let opened = Journal::open(folder.path(), BYTES_MAX);
        assert!(
            matches!(opened, Err(JournalError::Damaged { .. })),
            "a flipped bit at {offset} was accepted"
        );
    }
}

#[test]
fn a_last_line_that_was_synced_and_then_damaged_is_not_taken_for_a_torn_one() {
    // It may say that the pulse was given.
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), BYTES_MAX, &records());
    let path = folder.path().join("a.journal");
    let whole = fs::read(&path).unwrap();
    let last_line = whole[..whole.len() - 1].iter().rposition(|b| *b == b'\n');
    for offset in last_line.unwrap() + 1..whole.len() {
        let mut damaged = whole.clone();
        damaged[offset] ^= 0x01;
        fs::write(&path, &damaged).unwrap();
        let opened = Journal::open(folder.path(), BYTES_MAX);
        assert!(
            matches!(opened, Err(JournalError::Damaged { .. })),
            "a flipped bit at {offset} was accepted"
        );
    }
}

#[test]
fn a_line_that_was_left_out_breaks_the_chain() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), BYTES_MAX, &records());
    let path = folder.path().join("a.journal");
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    lines.remove(lines.len() - 2);
    fs::write(&path, lines.concat()).unwrap();
    let opened = Journal::open(folder.path(), BYTES_MAX);
    assert!(matches!(opened, Err(JournalError::Damaged { .. })));
}

#[test]
fn a_full_file_is_exchanged_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut expected = Durable::default();
    for value in 0..20 {
        let record = sensed(value);
        expected.apply(&record);
        assert_eq!(fill(folder.path(), 1, &[record]), expected);
    }
    assert!(folder.path().join("a.journal").exists());
    assert!(folder.path().join("b.journal").exists());
    assert_eq!(reopened(folder.path()), expected);
}

#[test]
fn a_file_is_only_ever_appended_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    let mut before = Vec::new();
    for record in records() {
        fill(folder.path(), BYTES_MAX, &[record]);
        let now = fs::read(&path).unwrap();
        assert!(now.starts_with(&before) && now.len() > before.len());
        before = now;
    }
}

#[test]
fn a_draft_that_was_never_named_counts_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let written = fill(folder.path(), BYTES_MAX, &records());
    fs::write(folder.path().join("b.draft"), b"half a summ").unwrap();
    assert_eq!(reopened(folder.path()), written);
    assert_eq!(fill(folder.path(), 1, &[sensed(3)]).reports.len(), 4);
}

#[test]
fn a_journal_from_before_first_beacons_were_recorded_still_opens() {
    let life = |incarnation: u32| {
        serde_json::json!({
            "incarnation": incarnation,
            "sequence": 4,
            "receipt_hash": vec![5; 32],
        })
    };
    let summary = serde_json::json!({
        "generation": 1,
        "durable": {
            "life": life(1),
            "stage": "Idle",
            "last": null,
            "receipts": [],
            "reports_done": 6,
            "reports": [],
            "followed": { "height": 9, "sub_index": 1 },
        },
    });
    let adopted = serde_json::json!({ "Adopted": { "life": life(2), "reports_done": 7 } });
    let (first, chain) = encode(&CHAIN_START, &summary).unwrap();
    let (second, _) = encode(&chain, &adopted).unwrap();
    for (lines, incarnation) in [(first.clone(), 1), ([first, second].concat(), 2)] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.journal"), lines).unwrap();
        let life = reopened(folder.path()).life.unwrap();
        assert_eq!((life.incarnation, life.sequence), (incarnation, 4));
        assert_eq!(life.begin, Begin::Unrecorded);
    }
}

#[test]
fn two_agents_never_share_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    let _held = Journal::open(folder.path(), BYTES_MAX).unwrap();
    let second = Journal::open(folder.path(), BYTES_MAX);
    assert!(matches!(second, Err(JournalError::Busy(_))));
}

#[test]
fn an_end_that_was_synced_and_is_gone_is_damage_and_no_torn_line() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), BYTES_MAX, &records());
    let path = folder.path().join(NAMES[0]);
    let whole = fs::read(&path).unwrap();
    for cut in [1, 30, whole.len() / 2] {
        fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let refused = Journal::open(folder.path(), BYTES_MAX).err();
        assert!(
            matches!(refused, Some(JournalError::Damaged { .. })),
            "{cut}"
        );
    }
    fs::remove_file(&path).unwrap();
    assert!(Journal::open(folder.path(), BYTES_MAX).is_err());
    // A journal of before there was a tip is taken as it is.
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    fs::remove_file(folder.path().join("tip")).unwrap();
    assert!(Journal::open(folder.path(), BYTES_MAX).is_ok());
}
