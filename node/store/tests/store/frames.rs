//! Which frames a reader gets, and that they prove themselves.

use dctrl_consensus::{Certificate, merkle};
use dctrl_proto::v1::{BusBody, BusFrame};
use dctrl_store::limits::{FRAMES_BYTES_MAX, FRAMES_HEIGHTS_MAX, FRAMES_MAX};
use prost::Message;

use crate::support::{body, certify, commit_block, fresh, genesis, with_blocks};

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
    let of =
        |names: &[&str]| positions(&snapshot.frames((0, 0), &topics(names), 100).unwrap().frames);
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
