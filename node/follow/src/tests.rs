//! Claims about following a federation, over real sockets on loopback.

mod forgotten;
mod places;
mod rosters;
mod strangers;

use std::time::{Duration, Instant};

use dctrl_access::Identity;
use dctrl_proto::v1::bus_body::Event;
use dctrl_proto::v1::{
    BlockApplied, BusBody, BusFrame, Evidence, RefusalCode, SignedAction, TimeTick,
};
use prost::Message;

use crate::testing::{FakeFederation, Vice};
use crate::verify::{FrameError, Verifier};
use crate::{Door, DoorError, Follower, FollowerConfig, Position, Rosters, Verified};

const DEADLINE: Duration = Duration::from_secs(20);
const NODES: usize = 4;

fn federation() -> FakeFederation {
    FakeFederation::start(NODES, |_| {})
}

fn follower(fake: &FakeFederation, nodes: &[usize], topics: &[&str], after: Position) -> Follower {
    Follower::start(FollowerConfig {
        context: zmq::Context::new(),
        rosters: Rosters::of(&fake.federation),
        federation: fake.federation.clone(),
        nodes: nodes.to_vec(),
        curve_secret: Identity::generate().unwrap().curve_secret(),
        topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        after,
    })
    .unwrap()
}

fn says(detail: &str) -> Event {
    Event::Evidence(Evidence {
        subject: String::new(),
        detail: detail.to_owned(),
    })
}

fn block(fake: &FakeFederation, topics: &[&str]) -> Vec<BusFrame> {
    let time_ms = 1_000 + fake.height();
    let outputs = topics
        .iter()
        .map(|topic| ((*topic).to_owned(), says(topic)))
        .chain([("block".to_owned(), Event::Block(BlockApplied::default()))])
        .collect();
    fake.commit(time_ms, outputs)
}

/// Takes frames until `count` have come.
fn take(follower: &mut Follower, count: usize) -> Vec<Verified> {
    let end = Instant::now() + DEADLINE;
    let mut frames = Vec::new();
    while frames.len() < count {
        let left = end.saturating_duration_since(Instant::now());
        match follower.next(left).unwrap() {
            Some(frame) => frames.push(frame),
            None => panic!("{} of {count} frames came", frames.len()),
        }
    }
    frames
}

fn positions(frames: &[Verified]) -> Vec<Position> {
    let mut positions: Vec<Position> = frames.iter().map(|frame| frame.position).collect();
    positions.sort_unstable();
    positions
}

fn assert_each_once_in_order(frames: &[Verified]) {
    let mut last = std::collections::BTreeMap::new();
    for frame in frames {
        let before = last.insert(&frame.body.topic, frame.position);
        assert_eq!(Position::before(&frame.body), before.unwrap_or_default());
    }
}

#[test]
fn a_bus_that_loses_a_third_of_its_frames_ends_equal() {
    let fake = federation();
    for node in 0..NODES {
        fake.corrupt(
            node,
            Vice {
                lost_permille: 300,
                ..Vice::default()
            },
        );
    }
    let mut one = follower(&fake, &[0], &[], Position::default());
    let mut all = follower(&fake, &[0, 1, 2, 3], &[], Position::default());
    // Both have subscribed once they have seen the first block.
    block(&fake, &["a"]);
    let mut seen_one = take(&mut one, 2);
    let mut seen_all = take(&mut all, 2);
    let mut expected = 2;
    for round in 0..60 {
        let topics: &[&str] = if round % 3 == 0 {
            &["a", "b.x"]
        } else {
            &["a"]
        };
        expected += block(&fake, topics).len();
    }
    seen_one.extend(take(&mut one, expected - 2));
    seen_all.extend(take(&mut all, expected - 2));
    assert_each_once_in_order(&seen_one);
    assert_each_once_in_order(&seen_all);
    assert_eq!(positions(&seen_one), positions(&seen_all));
    assert!(one.counters().replayed > 0, "{:?}", one.counters());
    assert_eq!(one.counters().invalid + all.counters().invalid, 0);
}

#[test]
fn a_late_subscriber_gets_everything_after_its_position_and_nothing_before() {
    let fake = federation();
    for _ in 0..450 {
        block(&fake, &["a", "b"]);
    }
    let after = Position {
        height: 7,
        sub_index: 0,
    };
    let mut follower = follower(&fake, &[2, 1], &["a"], after);
    let frames = take(&mut follower, 443);
    assert_eq!(
        frames[0].position,
        Position {
            height: 8,
            sub_index: 0
        }
    );
    let end = Instant::now() + DEADLINE;
    while !follower.caught_up() {
        assert!(Instant::now() < end, "never caught up");
        assert!(follower.next(Duration::from_millis(20)).unwrap().is_none());
    }
    assert!(follower.next(Duration::from_millis(100)).unwrap().is_none());
    assert_eq!(follower.settled(), Position::end_of(450));
}

#[test]
fn a_long_silence_of_its_topics_does_not_keep_a_follower_from_catching_up() {
    let fake = federation();
    fake.look_through(10);
    for _ in 0..95 {
        block(&fake, &["b"]);
    }
    block(&fake, &["a"]);
    let mut follower = follower(&fake, &[0, 1, 2, 3], &["a"], Position::default());
    assert_eq!(positions(&take(&mut follower, 1))[0].height, 96);
    let end = Instant::now() + DEADLINE;
    while !follower.caught_up() {
        assert!(Instant::now() < end, "never caught up");
        follower.next(Duration::from_millis(20)).unwrap();
    }
    assert_eq!(follower.settled(), Position::end_of(96));
}

#[test]
fn what_one_node_withholds_another_one_replays() {
    let fake = federation();
    let lossy = Vice {
        lost_permille: 1000,
        ..Vice::default()
    };
    fake.corrupt(
        0,
        Vice {
            withholds: true,
            ..lossy
        },
    );
    fake.corrupt(
        1,
        Vice {
            silent: true,
            ..lossy
        },
    );
    fake.corrupt(2, lossy);
    fake.corrupt(3, lossy);
    for _ in 0..5 {
        block(&fake, &["a"]);
    }
    let mut follower = follower(&fake, &[0, 1, 2, 3], &["a"], Position::default());
    assert_each_once_in_order(&take(&mut follower, 5));
}

#[test]
fn lies_on_the_bus_are_counted_and_dropped_while_the_truth_goes_on() {
    let fake = federation();
    let mut follower = follower(&fake, &[0], &["a"], Position::default());
    block(&fake, &["a"]);
    take(&mut follower, 1);
    let good = &block(&fake, &["a"])[0];
    let next = &block(&fake, &["a"])[0];
    take(&mut follower, 2);
    for (lie, _) in lies(&fake, good, next) {
        fake.publish_as("a", &lie.encode_to_vec());
    }
    fake.publish_as("a", b"\xff\xff\xff no protobuf");
    fake.publish_as("_tip", b"\xff");
    let other = &block(&fake, &["b"])[0];
    // A good frame under another topic's name.
    fake.publish_as("a", &other.encode_to_vec());
    block(&fake, &["a"]);
    let after = take(&mut follower, 1);
    assert_eq!(after[0].position.height, 5);
    // All lies, the two malformed messages, the wrong name, and nothing else.
    let lies = lies(&fake, good, next).len() as u64;
    // What the door replays may overtake what the bus still says.
    let end = Instant::now() + DEADLINE;
    while follower.counters().invalid < lies + 3 && Instant::now() < end {
        assert!(follower.next(Duration::from_millis(20)).unwrap().is_none());
    }
    assert_eq!(follower.counters().invalid, lies + 3);
}

/// Whether an error is the one that a lie deserves.
type Reason = fn(&FrameError) -> bool;

/// Frames that are not what the federation decided, with the reason.
fn lies(fake: &FakeFederation, good: &BusFrame, next: &BusFrame) -> Vec<(BusFrame, Reason)> {
    let mut lies = uncertified(fake, good);
    lies.extend(unproven(good));
    lies.extend(contradictory(fake, good, next));
    lies
}

fn sealed(fake: &FakeFederation, body: &BusBody, signers: usize) -> BusFrame {
    let bodies = std::slice::from_ref(body);
    fake.seal(body.height, body.time_ms, bodies, signers)
        .remove(0)
}

fn body_of(frame: &BusFrame) -> BusBody {
    BusBody::decode(frame.body.as_slice()).unwrap()
}

/// Another body, signed by nobody, by f and by one less than a quorum; and a
/// damaged signature.
fn uncertified(fake: &FakeFederation, good: &BusFrame) -> Vec<(BusFrame, Reason)> {
    let reason: Reason = |error| matches!(error, FrameError::Certificate(_));
    let changed = BusBody {
        event: Some(says("another")),
        ..body_of(good)
    };
    let mut damaged = good.clone();
    *damaged.certificate.last_mut().unwrap() ^= 1;
    let mut lies: Vec<(BusFrame, Reason)> = (0..3)
        .map(|signers| (sealed(fake, &changed, signers), reason))
        .collect();
    lies.push((damaged, reason));
    lies
}

/// Another body or another path under a good certificate, and no certificate.
fn unproven(good: &BusFrame) -> Vec<(BusFrame, Reason)> {
    let reason: Reason = |error| matches!(error, FrameError::Proof);
    let mut changed = good.clone();
    changed.body = BusBody {
        event: Some(says("another")),
        ..body_of(good)
    }
    .encode_to_vec();
    let mut wrong = good.clone();
    wrong.proof.as_mut().unwrap().path[0][3] ^= 1;
    let mut short = good.clone();
    short.proof.as_mut().unwrap().path.clear();
    let mut none = good.clone();
    none.proof = None;
    let mut garbled = good.clone();
    garbled.certificate = vec![7; 40];
    vec![
        (changed, reason),
        (wrong, reason),
        (short, reason),
        (none, reason),
        (garbled, |error| {
            matches!(error, FrameError::CertificateBytes)
        }),
    ]
}

/// Bodies that say something else than the header above them.
fn contradictory(
    fake: &FakeFederation,
    good: &BusFrame,
    next: &BusFrame,
) -> Vec<(BusFrame, Reason)> {
    let reason: Reason = |error| matches!(error, FrameError::Contradiction(_));
    let mut other_block = next.clone();
    other_block.body.clone_from(&good.body);
    let (mut cluster, mut topic, mut predecessor) = (body_of(good), body_of(good), body_of(good));
    cluster.cluster = vec![9; 32];
    topic.topic = "_tip".to_owned();
    predecessor.previous_height = predecessor.height + 1;
    let mut lies: Vec<(BusFrame, Reason)> = [cluster, topic, predecessor]
        .iter()
        .map(|body| (sealed(fake, body, 3), reason))
        .collect();
    lies.push((other_block, reason));
    lies
}

#[test]
fn every_lie_has_its_reason_even_after_the_block_was_checked() {
    let fake = federation();
    let good = block(&fake, &["a"]).remove(0);
    let next = block(&fake, &["a"]).remove(0);
    for warm in [false, true] {
        for (number, (lie, expected)) in lies(&fake, &good, &next).into_iter().enumerate() {
            let mut verifier = Verifier::new(Rosters::of(&fake.federation));
            if warm {
                verifier.verify(good.clone()).unwrap();
            }
            let error = verifier.verify(lie).unwrap_err();
            assert!(expected(&error), "lie {number}: {error}");
        }
    }
}

#[test]
fn a_body_may_hold_its_time_above_the_blocks_but_never_below() {
    // The ledger's time begins with the genesis, whose maker's clock may have
    // been ahead of the nodes'.
    let fake = federation();
    let good = &block(&fake, &["a"])[0];
    let body = body_of(good);
    let mut verifier = Verifier::new(Rosters::of(&fake.federation));
    let mut judge = |block_ms| {
        let bodies = std::slice::from_ref(&body);
        verifier.verify(fake.seal(body.height, block_ms, bodies, 3).remove(0))
    };
    assert!(judge(body.time_ms - 1).is_ok());
    assert!(matches!(
        judge(body.time_ms + 1),
        Err(FrameError::Contradiction("time"))
    ));
}

#[test]
fn a_certificate_of_another_federation_proves_nothing() {
    let (ours, theirs) = (federation(), federation());
    let frame = block(&theirs, &["a"]).remove(0);
    let mut verifier = Verifier::new(Rosters::of(&ours.federation));
    assert!(verifier.verify(frame.clone()).is_err());
    assert!(
        Verifier::new(Rosters::of(&theirs.federation))
            .verify(frame)
            .is_ok()
    );
}

fn action(fake: &FakeFederation) -> SignedAction {
    let identity = Identity::generate().unwrap();
    identity.sign_action(&fake.federation.cluster, [1; 16], 2, &TimeTick {})
}

fn door(fake: &FakeFederation, nodes: &[usize]) -> Door {
    let secret = Identity::generate().unwrap().curve_secret();
    Door::connect(zmq::Context::new(), &fake.federation, nodes, secret)
}

#[test]
fn an_action_goes_to_the_next_node_when_one_is_silent_or_gone() {
    let mut fake = federation();
    fake.corrupt(
        0,
        Vice {
            silent: true,
            ..Vice::default()
        },
    );
    fake.federation.nodes[1].door = "tcp://127.0.0.1:1".to_owned();
    let door = door(&fake, &[0, 1, 2]);
    let action = action(&fake);
    let submitted = door.submit(&action, Duration::from_secs(3)).unwrap();
    assert_eq!(submitted.action_id, dctrl_proto::action::action_id(&action));
    // The node that answered is asked first from now on.
    let start = Instant::now();
    door.submit(&action, Duration::from_secs(9)).unwrap();
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_refusal_is_handed_on_and_silence_is_told_apart() {
    let fake = federation();
    fake.on_submit(Box::new(|_| {
        Some(dctrl_proto::v1::Refusal::rule(
            RefusalCode::Denied,
            "role",
            "no",
        ))
    }));
    let refused = door(&fake, &[0]).submit(&action(&fake), DEADLINE);
    assert!(matches!(refused, Err(DoorError::Refused(refusal)) if refusal.rule == "role"));
    fake.corrupt(
        0,
        Vice {
            silent: true,
            ..Vice::default()
        },
    );
    let silent = door(&fake, &[0]).submit(&action(&fake), Duration::from_millis(300));
    assert!(matches!(silent, Err(DoorError::Unreachable(_))));
    let nobody = door(&fake, &[]).submit(&action(&fake), DEADLINE);
    assert!(matches!(nobody, Err(DoorError::NoNode)));
    let receipt = door(&fake, &[1]).receipt(&[0; 32], DEADLINE);
    assert!(matches!(receipt, Ok(None)));
}

#[test]
fn a_node_with_another_curve_key_is_not_talked_to() {
    let mut fake = federation();
    fake.federation.nodes[0].curve_public = Identity::generate().unwrap().curve_public();
    let answer = door(&fake, &[0]).submit(&action(&fake), Duration::from_millis(400));
    assert!(matches!(answer, Err(DoorError::Unreachable(_))));
}
