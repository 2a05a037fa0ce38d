//! The small files: by which a node knows its disk, and the agent's journal.

use std::fs;
use std::path::Path;

use dctrl_agent::journal::{Journal, JournalError};
use dctrl_agent::machine::{Durable, Place, Record, Report};
use dctrl_node::Disk;

use crate::damage::{Chance, copy, damage, files};
use crate::tally::{Tally, Verdict};

/// The mark in the data folder, or the guard beside the key.
pub(crate) fn disk(chance: &mut Chance, tally: &mut Tally) {
    let home = tempfile::tempdir().unwrap();
    let (data, key) = (home.path().join("data"), home.path().join("node.key"));
    let disk = Disk::new(&data, &key);
    let (mark, guard) = (data.join("instance"), home.path().join("node.key.instance"));
    disk.write(3).unwrap();
    let older = home.path().join("older");
    fs::copy(&mark, &older).unwrap();
    disk.write(8).unwrap();
    fs::write(data.join("CURRENT"), b"data").unwrap();
    let good = fs::read(&guard).unwrap();
    let of_mark = chance.below(2) == 0;
    let (kind, file) = if of_mark {
        ("mark", &mark)
    } else {
        ("guard", &guard)
    };
    let done = damage(file, std::slice::from_ref(&older), Some(&older), chance);
    let found = disk.recognise().unwrap();
    let again = disk.recognise().unwrap();
    let verdict = match (found, of_mark) {
        // The mark tells the disk, and the guard is written again.
        (8, false) if fs::read(&guard).unwrap() == good => Verdict::Detected,
        (8, true) => Verdict::Harmless,
        (0 | 3, _) | (8, false) => Verdict::Served,
        // Another disk: the node makes no event before it was let in.
        _ => Verdict::Detected,
    };
    tally.add(kind, verdict, again == found, &format!("{done:?}"));
}

fn record(chance: &mut Chance, number: u64) -> Record {
    match chance.below(3) {
        0 => Record::Sensed(Report {
            sensor: "door".to_owned(),
            value: i64::try_from(number).unwrap(),
            observed_at_ms: number,
        }),
        1 => Record::Begun { time_ms: number },
        _ => Record::Followed(Place {
            height: number,
            sub_index: 1,
        }),
    }
}

fn append(folder: &Path, bytes_max: u64, numbers: std::ops::Range<u64>, chance: &mut Chance) {
    let (mut journal, _) = Journal::open(folder, bytes_max).unwrap();
    for number in numbers {
        journal.append(&record(chance, number)).unwrap();
    }
}

/// The agent's journal.
pub(crate) fn agent(chance: &mut Chance, tally: &mut Tally) {
    let home = tempfile::tempdir().unwrap();
    let (folder, older) = (home.path().join("journal"), home.path().join("older"));
    let bytes_max = *chance.one(&[900, 1 << 20]);
    append(&folder, bytes_max, 1..6, chance);
    copy(&folder, &older);
    append(&folder, bytes_max, 6..12, chance);
    let truth = Journal::open(&folder, bytes_max).unwrap().1;
    let mut all = files(&folder);
    all.retain(|file| !file.ends_with("lock"));
    let file = chance.one(&all).clone();
    let others: Vec<_> = all.iter().map(|other| folder.join(other)).collect();
    let done = damage(
        &folder.join(&file),
        &others,
        Some(&older.join(&file)),
        chance,
    );
    let kind = if file.ends_with("tip") {
        "agent-tip"
    } else {
        "agent-journal"
    };
    let what = format!("{done:?} {}", file.display());
    match Journal::open(&folder, bytes_max) {
        Ok((_, found)) if found == truth => tally.add(kind, Verdict::Harmless, true, &what),
        Ok(_) => tally.add(kind, Verdict::Served, false, &what),
        Err(JournalError::Damaged { .. }) => {
            // What the operator does after resetting the machine: the
            // federation tells the agent where to go on.
            fs::remove_dir_all(&folder).unwrap();
            let anew = Journal::open(&folder, bytes_max).unwrap().1;
            tally.add(kind, Verdict::Detected, anew == Durable::default(), &what);
        }
        Err(error) => tally.add(kind, Verdict::Served, false, &format!("{what}: {error}")),
    }
}
