//! Claims about finding the nodes of today from those of the genesis.

use dctrl_proto::v1::{NodeRoster, RosterChanged, RosterNode};

use super::*;

/// A client that knows the first node of four only.
fn knows_the_first(fake: &FakeFederation) -> crate::Federation {
    let mut federation = fake.federation.clone();
    federation.nodes.truncate(1);
    federation
}

/// The federation tells where all its nodes are, but the first one.
fn moves_on(fake: &FakeFederation) {
    let seated = |node: &dctrl_proto::v1::Node| RosterNode {
        node: Some(node.clone()),
        ..RosterNode::default()
    };
    let roster = NodeRoster {
        number: 1,
        nodes: fake.genesis.nodes.iter().skip(1).map(seated).collect(),
        ..NodeRoster::default()
    };
    let changed = Event::Roster(RosterChanged {
        roster: Some(roster),
    });
    let outputs = vec![("roster".to_owned(), changed), ("a".to_owned(), says("a"))];
    fake.commit(1_000 + fake.height(), outputs);
}

/// The first node has gone.
fn goes(fake: &FakeFederation) {
    let gone = Vice {
        lost_permille: 1_000,
        silent: true,
        ..Vice::default()
    };
    fake.corrupt(0, gone);
}

fn follows(
    federation: &crate::Federation,
    rosters: &Rosters,
    topics: &[&str],
    after: Position,
) -> Follower {
    Follower::start(FollowerConfig {
        context: zmq::Context::new(),
        federation: federation.clone(),
        rosters: rosters.clone(),
        nodes: vec![0],
        curve_secret: Identity::generate().unwrap().curve_secret(),
        topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        after,
    })
    .unwrap()
}

#[test]
fn a_follower_goes_over_to_those_who_have_come_and_misses_nothing() {
    let fake = federation();
    let federation = knows_the_first(&fake);
    let rosters = Rosters::of(&federation);
    let mut follower = follows(&federation, &rosters, &["a"], Position::default());
    // Another part of the same process, which shares what is known.
    let mut other = follows(&federation, &rosters, &["a"], Position::default());
    block(&fake, &["a"]);
    let mut seen = take(&mut follower, 1);
    take(&mut other, 1);
    moves_on(&fake);
    seen.extend(take(&mut follower, 1));
    take(&mut other, 1);
    goes(&fake);
    for _ in 0..20 {
        block(&fake, &["a"]);
    }
    seen.extend(take(&mut follower, 20));
    take(&mut other, 20);
    assert_each_once_in_order(&seen);
    let told = seen.iter().all(|frame| frame.body.topic == "a");
    assert!(told, "what tells of the nodes was not asked for");
    assert_eq!(rosters.places().unwrap().nodes.len(), 3);
}

#[test]
fn after_a_restart_none_of_the_first_nodes_is_needed() {
    let fake = federation();
    let federation = knows_the_first(&fake);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rosters");
    let rosters = Rosters::open(&federation, &file).unwrap();
    let mut follower = follows(&federation, &rosters, &["roster"], Position::default());
    moves_on(&fake);
    assert_eq!(take(&mut follower, 1)[0].body.topic, "roster", "asked for");
    let after = follower.settled();
    drop(follower);
    goes(&fake);
    block(&fake, &["a"]);
    let rosters = Rosters::open(&federation, &file).unwrap();
    let mut follower = follows(&federation, &rosters, &["a"], after);
    take(&mut follower, 1);
    let door = Door::connect(
        zmq::Context::new(),
        &federation,
        &[0],
        Identity::generate().unwrap().curve_secret(),
    );
    let answer = door
        .among(rosters)
        .replay(Position::default(), &[], 1, DEADLINE);
    assert_eq!(answer.unwrap().frames.len(), 1);
    // A file that cannot be read is as good as none.
    std::fs::write(file.with_extension("places"), [0xff; 9]).unwrap();
    assert_eq!(Rosters::open(&federation, &file).unwrap().places(), None);
}
