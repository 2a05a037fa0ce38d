use std::ffi::OsStr;

use super::*;
use crate::random::Random;

fn name(text: &str) -> &OsStr {
    OsStr::new(text)
}

fn volume() -> Volume {
    Volume::new(1 << 20, false)
}

fn file(volume: &mut Volume, text: &str, bytes: &[u8]) -> u64 {
    let made = volume.create(ROOT, name(text), 0o600, false).expect("new");
    volume.write(made.inode, 0, bytes).expect("room");
    made.inode
}

fn cut(volume: &mut Volume, keep: Keep) {
    volume.cut(keep, &mut Random::new(5));
}

fn content(volume: &Volume, text: &str) -> Option<Vec<u8>> {
    let found = volume.lookup(ROOT, name(text)).ok()?;
    Some(volume.read(found.inode, 0, 1 << 20).expect("file").to_vec())
}

#[test]
fn what_was_synced_survives_and_what_was_not_is_gone() {
    let mut volume = volume();
    let inode = file(&mut volume, "log", b"synced");
    volume.sync(inode).expect("file");
    volume.write(inode, 6, b" and not").expect("room");
    volume.write(inode, 0, b"S").expect("room");
    assert_eq!(content(&volume, "log").expect("there"), b"Synced and not");
    cut(&mut volume, Keep::Nothing);
    assert_eq!(content(&volume, "log").expect("there"), b"synced");
    assert_eq!(volume.used(), 6);
}

#[test]
fn an_unsynced_truncation_is_undone() {
    let mut volume = volume();
    let inode = file(&mut volume, "log", b"0123456789");
    volume.sync(inode).expect("file");
    volume.truncate(inode, 3).expect("file");
    volume.write(inode, 3, b"new").expect("room");
    cut(&mut volume, Keep::Nothing);
    assert_eq!(content(&volume, "log").expect("there"), b"0123456789");
}

#[test]
fn an_unsynced_rename_is_undone_and_the_replaced_file_is_back() {
    let mut volume = volume();
    let old = file(&mut volume, "CURRENT", b"old");
    let new = file(&mut volume, "draft", b"new");
    volume.sync(old).expect("file");
    volume.sync(new).expect("file");
    volume
        .rename((ROOT, name("draft")), (ROOT, name("CURRENT")))
        .expect("there");
    assert_eq!(content(&volume, "CURRENT").expect("there"), b"new");
    cut(&mut volume, Keep::Nothing);
    assert_eq!(content(&volume, "CURRENT").expect("there"), b"old");
    assert_eq!(content(&volume, "draft").expect("there"), b"new");

    volume
        .rename((ROOT, name("draft")), (ROOT, name("CURRENT")))
        .expect("there");
    volume.sync_names();
    cut(&mut volume, Keep::Nothing);
    assert_eq!(content(&volume, "CURRENT").expect("there"), b"new");
    assert_eq!(volume.attributes(old), Err(Refused::Missing));
}

#[test]
fn a_strict_volume_forgets_a_new_name_until_its_folder_is_synced() {
    let mut strict = Volume::new(1 << 20, true);
    let inode = file(&mut strict, "log", b"x");
    strict.sync(inode).expect("file");
    cut(&mut strict, Keep::Nothing);
    assert_eq!(content(&strict, "log"), None);
    let inode = file(&mut strict, "log", b"x");
    strict.sync(inode).expect("file");
    strict.sync_names();
    cut(&mut strict, Keep::Nothing);
    assert_eq!(content(&strict, "log").expect("there"), b"x");
}

#[test]
fn a_prefix_keeps_the_order_of_writes() {
    for seed in 0..200 {
        let mut volume = volume();
        let one = file(&mut volume, "one", b"");
        let two = file(&mut volume, "two", b"");
        volume.sync_all();
        for step in 0..5 {
            volume.write(one, step, b"1").expect("room");
            volume.write(two, step, b"2").expect("room");
        }
        volume.cut(Keep::Prefix, &mut Random::new(seed));
        let length = |text| content(&volume, text).expect("there").len();
        let (one, two) = (length("one"), length("two"));
        assert!(one == two || one == two + 1, "{one} and {two}");
    }
}

#[test]
fn a_torn_write_ends_at_a_sector() {
    let mut seen = false;
    for seed in 0..100 {
        let mut volume = volume();
        let inode = file(&mut volume, "log", &[]);
        volume.sync_all();
        volume.write(inode, 0, &[7; 2000]).expect("room");
        volume.cut(Keep::Torn, &mut Random::new(seed));
        let found = content(&volume, "log").expect("there");
        assert!(found.iter().all(|byte| *byte == 7));
        assert!(found.len() == 2000 || found.len().is_multiple_of(512));
        seen |= (1..2000).contains(&found.len());
    }
    assert!(seen);
}

#[test]
fn an_open_file_lives_without_a_name_and_goes_when_it_is_closed() {
    let mut volume = volume();
    let inode = file(&mut volume, "log", b"bytes");
    volume.open(inode).expect("there");
    volume.remove(ROOT, name("log"), false).expect("there");
    volume.sync_names();
    assert_eq!(volume.read(inode, 0, 9).expect("open"), b"bytes");
    volume.close(inode);
    assert_eq!(volume.attributes(inode), Err(Refused::Missing));
    assert_eq!(volume.used(), 0);
}

#[test]
fn a_full_volume_takes_no_more_and_changes_nothing() {
    let mut volume = Volume::new(10, false);
    let inode = file(&mut volume, "log", b"12345678");
    assert_eq!(volume.write(inode, 8, b"90+"), Err(Refused::Full));
    assert_eq!(content(&volume, "log").expect("there"), b"12345678");
    volume.write(inode, 0, b"x").expect("in place");
    assert_eq!(volume.used(), 8);
}

#[test]
fn room_that_was_allocated_and_not_synced_is_gone_after_a_cut() {
    let mut volume = volume();
    let inode = file(&mut volume, "journal", b"begin");
    volume.sync(inode).expect("file");
    volume.allocate(inode, 4096, true).expect("room");
    volume
        .allocate(inode, 1 << 30, false)
        .expect_err("too much");
    assert_eq!(volume.attributes(inode).expect("there").bytes, 4096);
    cut(&mut volume, Keep::Nothing);
    assert_eq!(content(&volume, "journal").expect("there"), b"begin");
}

#[test]
fn folders_are_removed_only_when_they_are_empty() {
    let mut volume = volume();
    let folder = volume.create(ROOT, name("data"), 0o755, true).expect("new");
    volume
        .create(folder.inode, name("x"), 0o600, false)
        .expect("new");
    assert_eq!(
        volume.remove(ROOT, name("data"), true),
        Err(Refused::NotEmpty)
    );
    volume
        .remove(folder.inode, name("x"), false)
        .expect("there");
    volume.remove(ROOT, name("data"), true).expect("empty");
    cut(&mut volume, Keep::Nothing);
    assert!(volume.lookup(ROOT, name("data")).is_err());
}
