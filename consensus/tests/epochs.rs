//! Claims about seals: the next epoch, members that come and go, and nodes
//! that were away.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

mod common;

use common::{Federation, MILLISECOND, cluster, config, roster, roster_of};
use dctrl_consensus::{BlockProblem, Config, Input, RefusalReason, RosterChain};

const SECOND: u64 = 1_000 * MILLISECOND;

fn short_epochs(nodes: usize) -> Config {
    let mut config = config(nodes);
    config.limits.seal_layers = 6;
    config
}

fn sorted(mut payload: Vec<String>) -> Vec<String> {
    payload.sort();
    payload
}

/// Submits numbered transactions at all of these nodes, a few at a time.
fn load(federation: &mut Federation, nodes: &[usize], rounds: usize) -> Vec<String> {
    let mut submitted = Vec::new();
    for round in 0..rounds {
        for &node in nodes {
            let text = format!("{round} of {node}");
            federation.submit(node, &text);
            submitted.push(text);
        }
        federation.run(3 * MILLISECOND);
    }
    federation.run(3 * SECOND);
    sorted(submitted)
}

#[test]
fn over_many_epochs_everything_is_ordered_once_and_alike() {
    for nodes in [1, 4, 7] {
        let mut federation = Federation::with(short_epochs(nodes), nodes);
        let all: Vec<usize> = (0..nodes).collect();
        let submitted = load(&mut federation, &all, 60);
        assert_eq!(sorted(federation.payload(0)), submitted, "{nodes} nodes");
        for node in 0..nodes {
            assert_eq!(federation.payload(node), federation.payload(0));
            let summary = federation.cores[node].summary();
            assert!(summary.epoch > 5, "{nodes} nodes: epoch {}", summary.epoch);
            assert_eq!(summary.final_index, summary.executed);
            assert!(summary.events < 200, "the graph of old epochs is dropped");
            let log = federation.seen[node].log.len();
            assert!(log < 400, "and their records: {log} are left");
        }
    }
}

#[test]
fn every_block_verifies_by_the_roster_and_seals_name_the_next_one() {
    let mut federation = Federation::with(short_epochs(4), 4);
    load(&mut federation, &[0, 1], 20);
    let finals = &federation.seen[2].finals;
    let mut epoch = 0;
    let mut seals = 0;
    for certificate in finals.values() {
        certificate.verify(&roster(4), &cluster()).unwrap();
        assert_eq!(certificate.header.epoch, epoch);
        if certificate.header.seals() {
            assert_eq!(certificate.header.next_roster, roster(4).hash());
            epoch += 1;
            seals += 1;
        }
    }
    assert!(seals > 1);
}

#[test]
fn members_join_leave_and_are_replaced_by_ordered_transactions() {
    let mut federation = Federation::with(config(4), 6);
    federation.submit(0, "first");
    federation.run(SECOND);
    federation.submit(1, "members 0 1 2 3 4");
    federation.run(SECOND);
    federation.submit(4, "of the new member");
    federation.run(SECOND);
    assert_eq!(federation.payload(4)[2], "of the new member");
    federation.submit(4, "members 1 2 3 5");
    federation.run(SECOND);
    federation.submit(5, "of the one that replaced");
    federation.run(SECOND);
    let expected = [
        "first",
        "members 0 1 2 3 4",
        "of the new member",
        "members 1 2 3 5",
        "of the one that replaced",
    ];
    for node in [1, 2, 3, 5] {
        assert_eq!(federation.payload(node), expected, "node {node}");
        assert_eq!(federation.cores[node].summary().final_index, 5);
    }
    // The removed ones follow, and propose nothing.
    federation.submit(0, "of a removed member");
    assert_eq!(
        federation.seen[0].refused.last(),
        Some(&RefusalReason::Stopped)
    );
    federation.run(5 * SECOND);
    assert_eq!(federation.payload(0), expected);
    assert_eq!(federation.payload(4), expected);
}

#[test]
fn a_light_client_walks_the_rosters_by_the_certificates_of_seals() {
    let mut federation = Federation::with(config(4), 5);
    federation.submit(0, "members 0 1 2 4");
    federation.run(SECOND);
    federation.submit(4, "after");
    federation.run(SECOND);
    let finals = &federation.seen[1].finals;
    let mut chain = RosterChain::new(cluster(), roster(4));
    assert!(chain.verify(&finals[&2]).is_err(), "not known yet");
    chain
        .advance(&finals[&1], roster_of(1, &[0, 1, 2, 4]))
        .unwrap();
    chain.verify(&finals[&2]).unwrap();
}

#[test]
fn a_node_that_was_away_over_many_epochs_fetches_the_blocks_and_takes_part_again() {
    let mut federation = Federation::with(short_epochs(4), 4);
    load(&mut federation, &[0, 1, 2, 3], 3);
    federation.down.insert(3);
    load(&mut federation, &[0, 1, 2], 60);
    assert!(federation.cores[0].summary().epoch > 2);
    federation.restart(3);
    federation.run(5 * SECOND);
    assert_eq!(federation.payload(3), federation.payload(0));
    federation.submit(3, "back");
    federation.run(SECOND);
    assert_eq!(federation.payload(0).last().unwrap(), "back");
    assert!((0..4).all(|node| federation.cores[node].summary().forked.is_empty()));
}

#[test]
fn a_wiped_node_fetches_everything_and_stays_silent_until_an_epoch_it_made_nothing_in() {
    let mut federation = Federation::with(short_epochs(4), 4);
    load(&mut federation, &[0, 1, 2, 3], 30);
    federation.wipe(3);
    federation.run(5 * SECOND);
    assert_eq!(federation.payload(3), federation.payload(0));
    load(&mut federation, &[0, 1, 2], 10);
    federation.submit(3, "with an empty past");
    federation.run(SECOND);
    let last = federation.payload(0);
    assert_eq!(last.last().unwrap(), "with an empty past");
    assert!((0..4).all(|node| federation.cores[node].summary().forked.is_empty()));
}

#[test]
fn a_wiped_node_that_joined_a_node_alone_asks_before_it_makes_events() {
    let mut federation = Federation::with(config(1), 4);
    federation.submit(0, "members 0 1 2 3");
    federation.run(SECOND);
    federation.submit(3, "of the one that joined");
    federation.run(SECOND);
    assert_eq!(federation.payload(0).len(), 2);
    federation.wipe(3);
    federation.submit(0, "while it is back");
    federation.run(5 * SECOND);
    for node in 0..4 {
        assert!(federation.cores[node].summary().forked.is_empty());
    }
    assert_eq!(federation.seen[3].amnesia.len(), 1);
}

#[test]
fn a_node_that_was_alone_asks_the_others_when_it_starts_again() {
    let mut federation = Federation::with(config(1), 4);
    federation.submit(0, "members 0 1 2 3");
    federation.run(SECOND);
    // Its disk is as it was when the epoch began, and it has made events since.
    let records = federation.seen[0].log.len();
    let executed = federation.seen[0].executed.clone();
    let state = federation.seen[0].state;
    let blocks = federation.seen[0].blocks.len();
    federation.submit(0, "later");
    federation.run(SECOND);
    federation.seen[0].blocks.truncate(blocks);
    federation.seen[0].state = state;
    federation.restore(0, records, executed);
    federation.submit(0, "again");
    federation.run(5 * SECOND);
    for node in 0..4 {
        assert!(federation.cores[node].summary().forked.is_empty());
    }
    assert_eq!(federation.seen[0].amnesia.len(), 1);
}

#[test]
fn an_epoch_ends_at_its_bound_of_bytes_too() {
    let mut config = config(4);
    config.limits.seal_bytes = 1000;
    let mut federation = Federation::with(config, 4);
    for number in 0..30 {
        federation.submit(number % 4, &format!("{number:0200}"));
        federation.run(20 * MILLISECOND);
    }
    federation.run(SECOND);
    assert_eq!(federation.payload(0).len(), 30);
    let epoch = federation.cores[0].summary().epoch;
    assert!((4..=6).contains(&epoch), "6,000 bytes took {epoch} seals");
}

#[test]
fn forged_blocks_are_refused_and_fetched_from_someone_else() {
    let mut federation = Federation::with(short_epochs(4), 4);
    federation.down.insert(3);
    load(&mut federation, &[0, 1, 2], 60);
    federation.forges.extend([0, 1]);
    federation.restart(3);
    federation.run(20 * SECOND);
    assert_eq!(federation.payload(3), federation.payload(2));
    let forged = RefusalReason::Block(BlockProblem::Payload);
    assert!(federation.seen[3].refused.contains(&forged));
    assert!(federation.seen[3].diverged.is_empty());
}

#[test]
fn a_fetched_block_that_execution_contradicts_is_a_divergence() {
    let mut federation = Federation::with(short_epochs(4), 4);
    federation.down.insert(3);
    load(&mut federation, &[0, 1, 2], 60);
    federation.wrong.insert(3);
    federation.restart(3);
    federation.run(5 * SECOND);
    assert_eq!(federation.seen[3].diverged, [1]);
}

#[test]
fn a_restart_at_any_record_around_a_seal_forks_nothing_and_loses_nothing() {
    let mut federation = Federation::with(short_epochs(4), 4);
    for round in 0..150_u64 {
        let node = usize::try_from(round % 4).unwrap();
        let text = format!("{round}");
        if federation.cores[node].admits(text.len()).is_ok() {
            federation.submit(node, &text);
        }
        federation.run(MILLISECOND / 3 * (round % 7));
        if round % 3 == 0 {
            federation.restart(usize::try_from(round / 3 % 4).unwrap());
        }
    }
    federation.run(5 * SECOND);
    for node in 0..4 {
        assert_eq!(federation.payload(node), federation.payload(0));
        let summary = federation.cores[node].summary();
        assert!(summary.forked.is_empty());
        assert!(summary.epoch > 3);
        assert_eq!(summary.final_index, summary.executed);
        assert!(federation.seen[node].amnesia.is_empty());
        assert!(federation.seen[node].diverged.is_empty());
    }
}

#[test]
fn a_node_cut_off_at_the_seal_comes_along_when_it_is_reached_again() {
    let mut federation = Federation::with(short_epochs(4), 4);
    load(&mut federation, &[0, 1, 2, 3], 2);
    for peer in 0..3 {
        federation.cut.insert((peer, 3));
    }
    load(&mut federation, &[0, 1, 2], 12);
    federation.submit(3, "waits");
    federation.run(SECOND);
    federation.cut.clear();
    federation.run(5 * SECOND);
    assert_eq!(federation.payload(3), federation.payload(0));
    assert!(federation.payload(0).contains(&"waits".to_owned()));
}

#[test]
fn a_node_removed_while_it_was_away_is_told_and_follows() {
    for left in ["members 0 1 2", "members 0"] {
        let mut federation = Federation::new(4);
        federation.submit(0, "before");
        federation.run(SECOND);
        federation.down.insert(3);
        federation.submit(0, left);
        federation.run(2 * SECOND);
        // It was not off, but out of reach.
        federation.down.remove(&3);
        federation.step(3, Input::Wake);
        federation.run(5 * SECOND);
        assert_eq!(federation.payload(3), ["before", left]);
        let epoch = federation.cores[3].epoch();
        assert_eq!((epoch.epoch, epoch.me), (1, None));
    }
}

#[test]
fn a_log_that_begins_with_an_epoch_restores_it() {
    let mut federation = Federation::with(short_epochs(4), 4);
    load(&mut federation, &[0, 1, 2, 3], 20);
    let first = federation.seen[1].log[0].number;
    assert!(first > 1, "older records are pruned");
    let before = federation.cores[1].summary();
    federation.restart(1);
    let after = federation.cores[1].summary();
    assert_eq!(
        (after.epoch, after.events, after.final_index),
        (before.epoch, before.events, before.final_index)
    );
}
