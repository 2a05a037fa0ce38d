//! Claims about one node that signs as many histories as it can.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

mod common;

use bytes::Bytes;
use common::{Federation, MILLISECOND, clock, cluster, config, first_epoch, key, signer};
use dctrl_consensus::event::{Event, EventHeader};
use dctrl_consensus::message::Message;
use dctrl_consensus::{Digest, Input, Limits, NodeIndex, Summary};

const SECOND: u64 = 1_000 * MILLISECOND;
const LIAR: usize = 3;
const HONEST: usize = 3;

/// An event of the liar: `salt` tells twins apart.
fn event(seq: u64, self_parent: Option<Digest>, salt: usize, at: u64) -> Event {
    let header = EventHeader {
        anchor: cluster().0,
        epoch: 0,
        creator: NodeIndex(3),
        seq,
        timestamp: clock(at),
        coin: 0,
        self_parent,
        other_parents: Vec::new(),
        transaction_count: 0,
        payload_digest: Digest::ZERO,
    };
    let payload = [Bytes::from(format!("bomb {salt}"))];
    Event::create(header, &payload, &signer(LIAR))
}

fn tell(federation: &mut Federation, node: usize, events: Vec<Event>) {
    let message = Message::Events(events);
    let message = message.verify(&first_epoch(4)).unwrap();
    let from = key(3);
    federation.step(node, Input::Receive { from, message });
}

/// Each honest node builds on another first event of the liar.
fn split() -> (Federation, Vec<Event>) {
    let mut federation = Federation::new(4);
    federation.down.insert(LIAR);
    federation.run(SECOND);
    let at = federation.now;
    let roots: Vec<Event> = (0..100).map(|salt| event(0, None, salt, at)).collect();
    for (node, root) in roots.iter().take(HONEST).enumerate() {
        tell(&mut federation, node, vec![root.clone()]);
    }
    for node in 0..HONEST {
        federation.submit(node, ["a", "b", "c"][node]);
    }
    federation.run(SECOND);
    (federation, roots)
}

fn summaries(federation: &Federation) -> Vec<Summary> {
    (0..HONEST)
        .map(|node| federation.cores[node].summary())
        .collect()
}

#[test]
fn honest_nodes_that_built_on_different_branches_still_agree() {
    let (federation, _) = split();
    for node in 0..HONEST {
        let payload = federation.payload(node);
        assert_eq!(payload, federation.payload(0), "node {node}");
        for text in ["a", "b", "c"] {
            assert!(
                payload.iter().any(|paid| paid == text),
                "{text} in {payload:?}"
            );
        }
        let finals = federation.seen[node].finals.len();
        assert_eq!(finals, federation.seen[node].blocks.len());
        assert_eq!(federation.cores[node].summary().forked, [NodeIndex(3)]);
    }
}

#[test]
fn a_thousand_branches_cost_a_bounded_memory_and_stop_nobody() {
    let (mut federation, roots) = split();
    let before = summaries(&federation);
    for turn in 0..10 {
        let at = federation.now;
        for node in 0..HONEST {
            tell(&mut federation, node, roots.clone());
            let branches = roots.iter().enumerate();
            let branches = branches.map(|(salt, root)| {
                let root = Some(root.id());
                event(1, root, 1_000 * turn + salt, at)
            });
            tell(&mut federation, node, branches.collect());
        }
        federation.submit(turn % HONEST, "on");
        federation.run(SECOND);
    }
    for (node, (before, after)) in before.iter().zip(summaries(&federation)).enumerate() {
        let honest = |summary: &Summary| -> u64 {
            let known = summary.known.iter().take(HONEST).flatten();
            known.map(|seq| seq + 1).sum()
        };
        let of_liar = after.events as u64 - honest(&after);
        assert!(of_liar <= 2 * HONEST as u64, "{of_liar} at node {node}");
        assert!(honest(&after) > honest(before));
        assert_eq!(after.orphan_events, 0);
        let paid = federation.payload(node);
        assert_eq!(paid.iter().filter(|text| *text == "on").count(), 10);
    }
}

#[test]
fn events_without_parents_fill_their_creators_share_and_are_asked_for_at_a_steady_pace() {
    let mut federation = Federation::new(4);
    federation.down.insert(LIAR);
    federation.run(SECOND);
    let at = federation.now;
    // The place of the parent is taken, so it can be asked for by id only.
    for node in 0..HONEST {
        tell(&mut federation, node, vec![event(0, None, 0, at)]);
    }
    for salt in 0..3_000_usize {
        let mut parent = Digest::ZERO;
        parent.0[..8].copy_from_slice(&salt.to_be_bytes());
        for node in 0..HONEST {
            tell(
                &mut federation,
                node,
                vec![event(1, Some(parent), salt, at + 1)],
            );
        }
    }
    federation.run(10 * SECOND);
    let limits = Limits::STANDARD;
    for summary in summaries(&federation) {
        assert_eq!(summary.orphan_events, limits.orphan_events_max);
    }
    let sent = federation.seen[0].sent;
    federation.run(10 * SECOND);
    let asked = federation.seen[0].sent - sent;
    let turns = 10 * SECOND / config(4).pace.request_retry;
    // One request to each peer in each turn, and the summaries.
    let steady = usize::try_from(turns).unwrap() * 3 + 100;
    assert!(asked <= steady, "{asked} messages in ten idle seconds");
    federation.submit(0, "on");
    federation.run(SECOND);
    assert!((0..HONEST).all(|node| federation.payload(node).contains(&"on".to_owned())));
}

#[test]
fn twins_that_only_the_forkers_own_events_need_do_not_use_up_what_honest_nodes_need() {
    let mut federation = Federation::new(4);
    federation.down.insert(LIAR);
    federation.run(SECOND);
    let at = federation.now;
    let twin = |salt| event(0, None, salt, at);
    // The children come first, so that each twin is waited for when it comes.
    for salt in 0..600 {
        let child = event(1, Some(twin(salt).id()), salt, at + 1);
        tell(&mut federation, 0, vec![child]);
    }
    for salt in 0..600 {
        tell(&mut federation, 0, vec![twin(salt)]);
    }
    assert!(federation.events(0) < 10, "{} events", federation.events(0));
    for node in 1..HONEST {
        tell(&mut federation, node, vec![twin(1_000 + node)]);
    }
    for node in 0..HONEST {
        federation.submit(node, ["a", "b", "c"][node]);
    }
    federation.run(10 * SECOND);
    for node in 0..HONEST {
        let payload = federation.payload(node);
        for text in ["a", "b", "c"] {
            assert!(
                payload.iter().any(|paid| paid == text),
                "{text} in {payload:?}"
            );
        }
    }
}
