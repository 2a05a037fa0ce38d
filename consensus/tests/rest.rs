//! Claims about when nodes may rest beside a forker, whose events nobody names
//! any more: they reach whom the forker likes, and may decide there.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

mod common;

use bytes::Bytes;
use common::{Federation, MILLISECOND, cluster, config, key, signer};
use dctrl_consensus::event::{Event, EventHeader, ForkProof};
use dctrl_consensus::message::Message;
use dctrl_consensus::{Config, Digest, Input, NodeIndex, Timestamp};

const SECOND: u64 = 1_000 * MILLISECOND;
/// The forker, and the node that it tells nothing.
const FORKER: usize = 3;
const LEFT_OUT: usize = 2;

/// A proof that the forker forked, far from the events that matter.
fn proof() -> ForkProof {
    let twin = |salt: &'static str| {
        let header = EventHeader {
            anchor: cluster().0,
            epoch: 0,
            creator: NodeIndex(3),
            seq: 1000,
            timestamp: Timestamp(1),
            coin: 0,
            self_parent: Some(Digest([1; 32])),
            other_parents: Vec::new(),
            transaction_count: 0,
            payload_digest: Digest::ZERO,
        };
        Event::create(
            header,
            &[Bytes::from_static(salt.as_bytes())],
            &signer(FORKER),
        )
    };
    ForkProof::new(&twin("one"), &twin("other")).unwrap()
}

/// Four nodes under the shortcut, and one transaction. The events of the last
/// node reach two of the three others and decide there; before anybody could
/// ask for them, all know that it forks.
fn beside_a_forker(config: Config, forker_signs: bool, user_of: usize) -> Federation {
    let mut federation = Federation::with(config, 4);
    federation.run(SECOND);
    federation.cut.insert((FORKER, LEFT_OUT));
    // So what decides comes last, and the others need not go on.
    federation.slow.insert(LEFT_OUT);
    if !forker_signs {
        federation.wrong.insert(FORKER);
    }
    federation.submit(user_of, "pay");
    federation.run(30 * MILLISECOND);
    for node in 0..FORKER {
        let decided = !federation.seen[node].blocks.is_empty();
        assert_eq!(decided, node != LEFT_OUT, "node {node}");
        let message = Message::Evidence(proof()).assume_verified();
        let from = key((node + 1) % FORKER);
        federation.step(node, Input::Receive { from, message });
    }
    federation
}

fn with_shortcut() -> Config {
    let mut config = config(4);
    config.ordering.unanimity = true;
    config
}

fn assert_final(federation: &Federation, expected: &[&str]) {
    for node in 0..FORKER {
        assert_eq!(federation.payload(node), expected, "executed by {node}");
        let finals = federation.seen[node].finals.len();
        assert_eq!(finals, expected.len(), "final at {node}");
    }
}

fn assert_quiet(federation: &mut Federation) {
    let events =
        |federation: &Federation| (0..FORKER).map(|node| federation.events(node)).collect();
    let before: Vec<usize> = events(federation);
    federation.run(60 * SECOND);
    assert_eq!(
        before,
        events(federation),
        "an idle federation makes events"
    );
}

#[test]
fn what_a_forkers_events_decided_reaches_who_lacks_them_while_all_rest() {
    let mut federation = beside_a_forker(with_shortcut(), true, 0);
    federation.run(5 * SECOND);
    assert_final(&federation, &["pay"]);
    assert_quiet(&mut federation);
}

#[test]
fn who_was_sent_the_final_block_can_wake_the_others() {
    let mut federation = beside_a_forker(with_shortcut(), true, 0);
    federation.run(5 * SECOND);
    federation.submit(LEFT_OUT, "again");
    federation.run(5 * SECOND);
    assert_final(&federation, &["pay", "again"]);
}

#[test]
fn nobody_rests_on_a_block_that_too_few_have_signed() {
    let mut federation = beside_a_forker(with_shortcut(), false, 0);
    federation.run(5 * SECOND);
    assert_final(&federation, &["pay"]);
    assert_quiet(&mut federation);
}

#[test]
fn an_epoch_that_two_have_sealed_by_a_forkers_events_ends_for_all() {
    let mut config = with_shortcut();
    config.limits.seal_layers = 0;
    let mut federation = beside_a_forker(config, false, 0);
    federation.run(5 * SECOND);
    assert_final(&federation, &["pay"]);
    for node in 0..FORKER {
        assert_eq!(federation.cores[node].epoch().epoch, 1, "node {node}");
    }
    federation.submit(LEFT_OUT, "again");
    federation.run(5 * SECOND);
    assert_final(&federation, &["pay", "again"]);
}

#[test]
fn what_was_in_a_fetched_block_is_not_proposed_again_after_a_restart() {
    let mut federation = beside_a_forker(with_shortcut(), true, LEFT_OUT);
    federation.run(5 * SECOND);
    assert_final(&federation, &["pay"]);
    federation.restart(LEFT_OUT);
    federation.submit(0, "members 0 1 2");
    federation.run(5 * SECOND);
    federation.submit(0, "again");
    federation.run(5 * SECOND);
    assert_eq!(federation.payload(0), ["pay", "members 0 1 2", "again"]);
}

#[test]
fn a_proof_that_got_lost_is_sent_again_to_whoever_does_not_know_it() {
    let mut federation = Federation::new(4);
    federation.run(SECOND);
    for other in 1..4 {
        federation.cut.insert((0, other));
    }
    let message = Message::Evidence(proof()).assume_verified();
    let from = key(1);
    federation.step(0, Input::Receive { from, message });
    federation.run(SECOND);
    let known = |federation: &Federation, node: usize| federation.cores[node].summary().forked;
    assert_eq!(known(&federation, 0), [NodeIndex(3)]);
    assert_eq!(known(&federation, 1), []);
    federation.cut.clear();
    // Not by the one that has the proof from the start alone, but by each.
    federation.cut.insert((0, 2));
    federation.run(10 * SECOND);
    for node in [1, 2] {
        assert_eq!(known(&federation, node), [NodeIndex(3)], "node {node}");
    }
    // And all come to rest.
    let sent: usize = federation.seen.iter().map(|seen| seen.sent).sum();
    federation.run(60 * SECOND);
    let after: usize = federation.seen.iter().map(|seen| seen.sent).sum();
    assert!(
        after - sent < 4 * 3 * 60,
        "{} messages in a minute",
        after - sent
    );
}
