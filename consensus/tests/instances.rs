//! Claims about nodes that speak from another disk than before.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

mod common;

use bytes::Bytes;
use common::{Federation, MILLISECOND};
use dctrl_consensus::{ENTRUSTED_BYTES_MAX, Input, Pace, RefusalReason};

const SECOND: u64 = 1_000 * MILLISECOND;

fn forks(federation: &Federation) -> usize {
    let cores = federation.cores.iter();
    cores.map(|core| core.summary().forked.len()).sum()
}

/// A federation whose last node has spoken, and then lost its disk.
fn with_a_lost_disk() -> Federation {
    let mut federation = Federation::new(4);
    for node in 0..4 {
        federation.submit(node, &format!("first of {node}"));
    }
    federation.run(SECOND);
    federation.instances.insert(3, 7);
    federation.wipe(3);
    federation.run(5 * SECOND);
    federation
}

fn renew(federation: &mut Federation) {
    let wish = Bytes::from_static(b"members 0 1 2 3:7");
    federation.step(3, Input::Entrust(wish));
    federation.run(2 * SECOND);
}

#[test]
fn a_node_on_another_disk_is_silent_even_where_nobody_remembers_its_events() {
    let mut federation = Federation::new(4);
    federation.run(SECOND);
    // Its event reaches nobody before the disk is gone.
    for other in 0..3 {
        federation.cut.insert((3, other));
    }
    federation.submit(3, "sent to nobody");
    federation.run(20 * MILLISECOND);
    assert!(federation.events(3) > 0);
    federation.cut.clear();
    federation.instances.insert(3, 7);
    federation.wipe(3);
    federation.run(5 * SECOND);
    federation.submit(3, "again");
    federation.submit(0, "meanwhile");
    federation.run(SECOND);
    assert_eq!(federation.payload(0), ["meanwhile"]);
    assert!(!federation.cores[3].summary().member);
    assert_eq!(
        federation.seen[3].refused.last(),
        Some(&RefusalReason::Stopped)
    );
}

#[test]
fn what_it_entrusts_to_the_others_gives_it_its_seat_again() {
    let mut federation = with_a_lost_disk();
    assert!(!federation.cores[3].summary().member);
    renew(&mut federation);
    assert!(federation.cores[3].summary().member);
    federation.submit(3, "from the new disk");
    federation.run(SECOND);
    for node in 0..4 {
        assert_eq!(
            federation.payload(node).last().unwrap(),
            "from the new disk",
            "node {node}"
        );
    }
    assert_eq!(forks(&federation), 0);
}

#[test]
fn the_old_disk_that_turns_up_again_follows_and_says_nothing() {
    let mut federation = Federation::new(4);
    for node in 0..4 {
        federation.submit(node, &format!("first of {node}"));
    }
    federation.run(SECOND);
    let records = federation.seen[3].log.len();
    let executed = federation.seen[3].executed.clone();
    let blocks = federation.seen[3].blocks.len();
    let (state, log) = (
        federation.seen[3].state,
        federation.seen[3].log[..records].to_vec(),
    );
    federation.instances.insert(3, 7);
    federation.wipe(3);
    federation.run(2 * SECOND);
    renew(&mut federation);
    federation.submit(3, "from the new disk");
    federation.run(SECOND);

    federation.instances.remove(&3);
    federation.seen[3].log = log;
    federation.seen[3].state = state;
    federation.seen[3].blocks.truncate(blocks);
    federation.restore(3, records, executed);
    federation.submit(3, "from the old disk");
    federation.submit(0, "meanwhile");
    federation.run(10 * SECOND);
    assert_eq!(federation.payload(0).last().unwrap(), "meanwhile");
    assert_eq!(federation.payload(3), federation.payload(0), "it follows");
    assert!(!federation.cores[3].summary().member);
    assert_eq!(forks(&federation), 0);
}

#[test]
fn a_disk_that_was_set_back_gets_the_seat_as_another_one() {
    let mut federation = Federation::new(4);
    for node in 0..4 {
        federation.submit(node, &format!("first of {node}"));
    }
    federation.run(SECOND);
    let records = federation.seen[3].log.len();
    let executed = federation.seen[3].executed.clone();
    let (blocks, state) = (federation.seen[3].blocks.len(), federation.seen[3].state);
    federation.submit(3, "sent since");
    federation.run(SECOND);
    federation.seen[3].state = state;
    federation.seen[3].blocks.truncate(blocks);
    federation.restore(3, records, executed);
    federation.submit(0, "meanwhile");
    federation.run(5 * SECOND);
    assert_eq!(federation.seen[3].amnesia.len(), 1);
    let events = federation.events(3);
    federation.cores[3].speak_from(7);
    federation.run(SECOND);
    assert_eq!(
        federation.events(3),
        events,
        "silent until the others agree"
    );
    renew(&mut federation);
    assert!(federation.cores[3].summary().member);
    federation.submit(3, "from the same disk");
    federation.run(SECOND);
    for node in 0..4 {
        let payload = federation.payload(node);
        assert_eq!(payload.last().unwrap(), "from the same disk");
        assert!(payload.contains(&"sent since".to_owned()), "node {node}");
    }
    assert_eq!(forks(&federation), 0);
}

#[test]
fn who_signs_nothing_finds_the_certificates_of_what_it_executed_before_a_restart() {
    let mut federation = with_a_lost_disk();
    let uncertified = |federation: &Federation| {
        let summary = federation.cores[3].summary();
        summary.executed - summary.final_index
    };
    // What it missed comes as events, which order many blocks at once.
    federation.cut.extend([(0, 3), (1, 3), (2, 3)]);
    for number in 0..30 {
        federation.submit(number % 3, &format!("missed {number}"));
        federation.run(20 * MILLISECOND);
    }
    federation.cut.clear();
    let mut steps = 0;
    while uncertified(&federation) < 3 {
        federation.run(MILLISECOND / 20);
        steps += 1;
        assert!(steps < 100_000, "it never has three blocks to be signed");
    }
    federation.restart(3);
    federation.run(5 * SECOND);
    assert!(!federation.cores[3].summary().member);
    assert_eq!(uncertified(&federation), 0);
    assert_eq!(federation.payload(3), federation.payload(0));
}

#[test]
fn members_are_asked_in_turn_and_each_takes_one_request_in_a_while() {
    let mut federation = with_a_lost_disk();
    for number in 0..9 {
        let wish = Bytes::from(format!("wish {number}"));
        federation.step(3, Input::Entrust(wish));
    }
    federation.run(SECOND);
    for node in 0..3 {
        assert_eq!(federation.seen[node].entrusted.len(), 1, "node {node}");
    }
    federation.run(Pace::default().idle_summary_interval);
    federation.step(3, Input::Entrust(Bytes::from_static(b"later")));
    federation.run(SECOND);
    let taken: usize = (0..3)
        .map(|node| federation.seen[node].entrusted.len())
        .sum();
    assert_eq!(taken, 4);
    let long = Bytes::from(vec![0; ENTRUSTED_BYTES_MAX + 1]);
    federation.step(3, Input::Entrust(long));
    assert_eq!(
        federation.seen[3].refused.last(),
        Some(&RefusalReason::TransactionTooLarge)
    );
}
