//! Claims about following a federation whose members change.

use std::time::{Duration, Instant};

use dctrl_consensus::{RosterChainError, RosterStep};

use super::*;
use crate::testing::Members;
use crate::{RostersError, StepError};

/// A follower of topic `a` on all nodes that trusts `rosters`.
fn follower_of(fake: &FakeFederation, rosters: &Rosters) -> Follower {
    Follower::start(FollowerConfig {
        context: zmq::Context::new(),
        federation: fake.federation.clone(),
        rosters: rosters.clone(),
        nodes: (0..NODES).collect(),
        curve_secret: Identity::generate().unwrap().curve_secret(),
        topics: vec!["a".to_owned()],
        after: Position::default(),
    })
    .unwrap()
}

fn rosters_of(frames: &[Verified]) -> Vec<u64> {
    frames.iter().map(|frame| frame.roster).collect()
}

#[test]
fn a_follower_finds_its_way_to_the_members_of_today() {
    let fake = federation();
    let rosters = Rosters::of(&fake.federation);
    block(&fake, &["a"]);
    let mut follower = follower_of(&fake, &rosters);
    assert_eq!(rosters_of(&take(&mut follower, 1)), [0]);
    fake.replace_last_member();
    block(&fake, &["a"]);
    fake.replace_last_member();
    fake.replace_last_member();
    block(&fake, &["a"]);
    let frames = take(&mut follower, 2);
    assert_eq!(rosters_of(&frames), [1, 3]);
    assert_eq!(rosters.newest(), 3);
    assert_eq!(follower.counters().invalid, 0);
    // A newcomer gets the whole history, by the rosters of its time.
    let mut newcomer = follower_of(&fake, &Rosters::of(&fake.federation));
    assert_eq!(rosters_of(&take(&mut newcomer, 3)), [0, 1, 3]);
}

#[test]
fn what_a_roster_with_a_successor_has_said_is_marked() {
    let fake = federation();
    block(&fake, &["a"]);
    let step = fake.replace_last_member();
    block(&fake, &["a"]);
    let rosters = Rosters::of(&fake.federation);
    assert_eq!(rosters.take(&[step.encode()]).unwrap(), 1);
    let frames = take(&mut follower_of(&fake, &rosters), 2);
    let marks: Vec<bool> = frames.iter().map(|frame| frame.superseded).collect();
    assert_eq!(marks, [true, false]);
}

#[test]
fn nodes_that_hide_the_steps_are_passed_over() {
    let fake = federation();
    for node in 0..NODES - 1 {
        let vice = Vice {
            hides_rosters: true,
            ..Vice::default()
        };
        fake.corrupt(node, vice);
    }
    fake.replace_last_member();
    block(&fake, &["a"]);
    let mut follower = follower_of(&fake, &Rosters::of(&fake.federation));
    assert_eq!(rosters_of(&take(&mut follower, 1)), [1]);
}

/// Chains of steps that no follower may take, each with what is wrong.
fn lies(fake: &FakeFederation) -> Vec<(&'static str, Vec<RosterStep>)> {
    let cluster = fake.federation.cluster;
    let old = fake.members();
    let (new, good) = old.replace_last(cluster, 10, 3);
    let (newer, next) = new.replace_last(cluster, 20, 3);
    let (_, few) = old.replace_last(cluster, 10, 2);
    let (_, usurped) = old.replace_last(cluster, 30, 4);
    let (_, early) = new.replace_last(cluster, 10, 3);
    let (_, foreign) = old.replace_last([9; 32], 10, 3);
    let (_, last) = newer.replace_last(cluster, 30, 3);
    let mut swapped = good.clone();
    swapped.next = usurped.next.clone();
    let mut usurper = usurped.clone();
    usurper.next.number = 2;
    vec![
        ("too few signatures", vec![few]),
        ("another federation", vec![foreign]),
        ("another roster than the block names", vec![swapped]),
        ("a step that skips one", vec![next.clone()]),
        ("a chain that lacks its middle", vec![good.clone(), last]),
        ("a seal before the one before it", vec![good.clone(), early]),
        ("a second successor", vec![good.clone(), usurper]),
        ("a replaced chain", vec![good, next, usurped]),
    ]
}

#[test]
fn no_lie_about_the_members_is_taken_and_the_truth_still_is() {
    let fake = federation();
    for (what, lie) in lies(&fake) {
        let rosters = Rosters::of(&fake.federation);
        let encoded: Vec<Vec<u8>> = lie.iter().map(RosterStep::encode).collect();
        let taken = rosters.take(&encoded);
        let good = lie.len() as u64 - 1;
        assert_eq!(
            rosters.newest(),
            good,
            "{what}: only what was true before it"
        );
        // A step that a later one contradicts is passed over, not believed.
        if what != "a replaced chain" {
            assert!(matches!(taken, Err(StepError::Refused(_))), "{what}");
        }
        let newest = encoded.last().unwrap();
        assert!(
            rosters
                .take(&[newest[..newest.len() - 1].to_vec()])
                .is_err()
        );
    }
    // The same over sockets: the follower asks on until it is told the truth.
    let lie: Vec<Vec<u8>> = vec![lies(&fake)[0].1[0].encode()];
    let step = fake.replace_last_member();
    fake.show_steps(lie);
    block(&fake, &["a"]);
    let rosters = Rosters::of(&fake.federation);
    let mut follower = follower_of(&fake, &rosters);
    assert!(follower.next(Duration::from_millis(300)).unwrap().is_none());
    assert_eq!(rosters.newest(), 0);
    fake.show_steps(vec![step.encode()]);
    assert_eq!(rosters_of(&take(&mut follower, 1)), [1]);
}

#[test]
fn removed_members_are_not_heard_after_their_last_block() {
    let fake = federation();
    let old: Members = fake.members();
    let first = block(&fake, &["a"]).remove(0);
    let step = fake.replace_last_member();
    let second = block(&fake, &["a"]).remove(0);
    let rosters = Rosters::of(&fake.federation);
    let mut verifier = Verifier::new(rosters.clone());
    assert!(verifier.verify(first.clone()).is_ok());
    assert!(matches!(
        verifier.verify(second.clone()),
        Err(FrameError::UnknownRoster(_))
    ));
    rosters.take(&[step.encode()]).unwrap();
    assert_eq!(verifier.verify(second.clone()).unwrap().roster, 1);
    assert!(verifier.verify(first).unwrap().superseded);
    // All four old members together certify what the new ones did not.
    let body = BusBody::decode(second.body.as_slice()).unwrap();
    let forged = FakeFederation::certify(
        &old,
        fake.federation.cluster,
        body.height,
        body.time_ms,
        &[body],
        4,
    );
    assert!(matches!(
        verifier.verify(forged[0].clone()),
        Err(FrameError::Roster(RosterChainError::Outside { .. }))
    ));
}

#[test]
fn what_was_believed_once_is_believed_after_a_restart() {
    let fake = federation();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rosters");
    let open = || Rosters::open(&fake.federation, &file);
    assert_eq!(open().unwrap().newest(), 0);
    let step = fake.replace_last_member().encode();
    open().unwrap().take(std::slice::from_ref(&step)).unwrap();
    assert_eq!(open().unwrap().newest(), 1);
    let other = federation();
    assert!(matches!(
        Rosters::open(&other.federation, &file),
        Err(RostersError::Foreign { .. })
    ));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert!(matches!(open(), Err(RostersError::Damaged { .. })));
    // What cannot be kept is not believed either.
    let nowhere = folder.path().join("absent").join("rosters");
    let rosters = Rosters::open(&fake.federation, &nowhere).unwrap();
    assert!(matches!(rosters.take(&[step]), Err(StepError::File(_))));
    assert_eq!(rosters.newest(), 0);
}

#[test]
fn a_thousand_changes_are_walked_in_seconds() {
    let fake = federation();
    for _ in 0..1_000 {
        fake.replace_last_member();
    }
    block(&fake, &["a"]);
    let rosters = Rosters::of(&fake.federation);
    let mut follower = follower_of(&fake, &rosters);
    let begin = Instant::now();
    assert_eq!(rosters_of(&take(&mut follower, 1)), [1_000]);
    println!("1,000 changes of four members: {:?}", begin.elapsed());
}
