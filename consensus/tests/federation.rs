//! Claims about engines that talk to each other.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

mod common;

use common::{Federation, MILLISECOND, cluster, config, first_epoch, key, roster, signer};
use dctrl_consensus::message::{Known, Message, decode};
use dctrl_consensus::{
    Core, Digest, Executed, Input, Limits, Outcome, Output, Record, RefusalReason, RestoreError,
};

const SECOND: u64 = 1_000 * MILLISECOND;

#[test]
fn a_transaction_is_final_on_every_node_for_any_size_of_federation() {
    for nodes in [1, 2, 3, 4, 7] {
        let mut federation = Federation::new(nodes);
        federation.submit(nodes - 1, "pay");
        federation.run(SECOND);
        for node in 0..nodes {
            assert_eq!(federation.payload(node), ["pay"], "node {node} of {nodes}");
            let finals = &federation.seen[node].finals;
            assert_eq!(finals.len(), 1);
            finals[&1].verify(&roster(nodes), &cluster()).unwrap();
            assert_eq!(
                finals[&1].header,
                *federation.seen[node].executed.last_header.as_ref().unwrap()
            );
        }
    }
}

#[test]
fn on_a_network_of_one_millisecond_finality_takes_a_few() {
    let mut federation = Federation::new(4);
    federation.submit(0, "first");
    federation.run(SECOND);
    federation.submit(1, "second");
    federation.run(20 * MILLISECOND);
    assert!((0..4).all(|node| federation.seen[node].finals.len() == 2));
}

#[test]
fn an_idle_federation_makes_no_event_and_says_next_to_nothing() {
    let mut federation = Federation::new(4);
    federation.submit(0, "only");
    federation.run(5 * SECOND);
    let (events, sent): (Vec<_>, Vec<_>) = (0..4)
        .map(|node| (federation.events(node), federation.seen[node].sent))
        .unzip();
    federation.run(60 * SECOND);
    for node in 0..4 {
        assert_eq!(federation.events(node), events[node]);
        assert!(
            federation.seen[node].sent - sent[node] <= 41,
            "one summary each 1.5 s"
        );
    }
}

#[test]
fn with_f_nodes_dead_the_rest_goes_on() {
    let mut federation = Federation::new(4);
    federation.down.insert(3);
    for (turn, text) in ["a", "b", "c", "d", "e", "f"].into_iter().enumerate() {
        federation.submit(turn % 3, text);
        federation.run(SECOND);
    }
    assert!((0..3).all(|node| federation.seen[node].finals.len() == 6));
}

#[test]
fn without_a_quorum_nothing_grows_and_the_pool_refuses_when_full() {
    let mut federation = Federation::new(4);
    federation.submit(0, "before");
    federation.run(SECOND);
    federation.down.extend([2, 3]);
    federation.submit(0, "x");
    federation.run(SECOND);
    let before = (federation.events(0), federation.events(1));
    for _ in 0..70_000 {
        federation.submit(0, "y");
    }
    federation.run(600 * SECOND);
    assert_eq!((federation.events(0), federation.events(1)), before);
    assert_eq!(
        federation.seen[0].refused.last(),
        Some(&RefusalReason::PoolFull)
    );
    assert_eq!(federation.cores[0].summary().pool_transactions, 65_536);
    assert_eq!(federation.seen[0].blocks.len(), 1);
}

#[test]
fn a_node_that_was_away_catches_up_on_events_and_certificates() {
    let mut federation = Federation::new(4);
    federation.down.insert(3);
    for text in ["a", "b", "c", "d", "e"] {
        federation.submit(0, text);
        federation.run(SECOND);
    }
    federation.restore(3, 0, Executed::default());
    federation.run(10 * SECOND);
    assert_eq!(federation.payload(3), ["a", "b", "c", "d", "e"]);
    assert_eq!(federation.seen[3].finals, federation.seen[0].finals);
}

#[test]
fn a_node_restored_from_its_log_takes_no_block_twice_and_goes_on() {
    let mut federation = Federation::new(4);
    for text in ["a", "b", "c"] {
        federation.submit(1, text);
        federation.run(SECOND);
    }
    let (records, executed) = (
        federation.seen[1].log.len(),
        federation.seen[1].executed.clone(),
    );
    federation.restore(1, records, executed);
    federation.submit(1, "d");
    federation.run(5 * SECOND);
    for node in 0..4 {
        assert_eq!(
            federation.payload(node),
            ["a", "b", "c", "d"],
            "node {node}"
        );
        assert!(
            federation.seen[node].amnesia.is_empty() && federation.seen[node].diverged.is_empty()
        );
    }
}

fn two_blocks() -> Federation {
    let mut federation = Federation::new(4);
    for text in ["a", "b"] {
        federation.submit(1, text);
        federation.run(SECOND);
    }
    federation
}

#[test]
fn a_node_restored_from_any_prefix_of_its_log_ends_with_the_same_blocks_and_never_forks() {
    let whole = two_blocks();
    for records in 0..=whole.seen[1].log.len() {
        let mut federation = two_blocks();
        let log = std::mem::take(&mut federation.seen[1].log);
        federation.seen[1] = common::Seen {
            log,
            ..common::Seen::default()
        };
        federation.restore(1, records, Executed::default());
        federation.run(5 * SECOND);
        // Where its payload stands in the log is each node's own matter.
        let ordered = |seen: &common::Seen| -> Vec<_> {
            let blocks = seen.blocks.iter();
            blocks
                .map(|block| (block.index, block.round, block.transactions.clone()))
                .collect()
        };
        assert_eq!(
            ordered(&federation.seen[1]),
            ordered(&whole.seen[1]),
            "{records} records"
        );
        assert!(federation.seen[1].diverged.is_empty(), "{records} records");
        assert_eq!(
            federation.cores[1].summary().final_index,
            2,
            "{records} records"
        );
        assert!((0..4).all(|node| federation.cores[node].summary().forked.is_empty()));
    }
}

#[test]
fn the_next_block_comes_only_behind_the_record_of_the_signature_before_it() {
    let log = two_blocks().seen[1].log.clone();
    let events = log.into_iter().filter(|record| record.bytes[0] == 1);
    let events = (1..)
        .zip(events)
        .map(|(number, record)| Record { number, ..record });
    let (mut core, outputs) = Core::restore(
        config(4),
        Box::new(signer(1)),
        events,
        Executed::default(),
        common::clock(0),
    )
    .unwrap();
    let blocks = |outputs: &[Output]| -> Vec<u64> {
        let block = |output: &Output| match output {
            Output::Execute(block) => Some(block.index),
            _ => None,
        };
        outputs.iter().filter_map(block).collect()
    };
    assert_eq!(blocks(&outputs), [1], "two are ordered, one is put out");
    let executed = Input::Executed {
        index: 1,
        outcome: Outcome {
            state_digest: Digest::ZERO,
            outputs_root: Digest::ZERO,
            next_roster: None,
        },
    };
    let outputs = core.step(common::clock(1), executed);
    assert_eq!(blocks(&outputs), [2]);
    let signed =
        |output: &Output| matches!(output, Output::Persist(record) if record.bytes[0] == 2);
    let execute = |output: &Output| matches!(output, Output::Execute(_));
    assert!(outputs.iter().position(signed) < outputs.iter().position(execute));
    assert!(outputs.iter().any(signed));
}

#[test]
fn a_damaged_or_gapped_log_is_refused() {
    let log = two_blocks().seen[1].log.clone();
    let restore = |log: Vec<Record>| {
        let signer = Box::new(signer(1));
        Core::restore(
            config(4),
            signer,
            log,
            Executed::default(),
            common::clock(0),
        )
        .err()
    };
    assert!(restore(log.clone()).is_none());
    let mut torn = vec![log[0].clone()];
    torn[0].bytes.pop();
    assert!(matches!(
        restore(torn),
        Some(RestoreError::Record { number: 1, .. })
    ));
    assert_eq!(
        restore(log[5..].to_vec()),
        Some(RestoreError::Gap { last: 0, found: 6 })
    );
    let mut gapped = log;
    gapped.remove(3);
    assert_eq!(
        restore(gapped),
        Some(RestoreError::Gap { last: 3, found: 5 })
    );
}

#[test]
fn a_node_whose_disk_is_older_than_what_it_sent_falls_silent_instead_of_forking() {
    let mut federation = Federation::new(4);
    federation.submit(1, "a");
    federation.run(SECOND);
    federation.restore(1, 0, Executed::default());
    federation.seen[1].state = Digest::ZERO;
    federation.run(5 * SECOND);
    assert_eq!(federation.seen[1].amnesia.len(), 1);
    federation.submit(1, "b");
    assert_eq!(
        federation.seen[1].refused.last(),
        Some(&RefusalReason::Stopped)
    );
    federation.submit(0, "c");
    federation.run(5 * SECOND);
    assert!((0..4).all(|node| federation.cores[node].summary().forked.is_empty()));
    assert_eq!(federation.payload(0), ["a", "c"]);
    assert_eq!(federation.payload(2), ["a", "c"]);
}

#[test]
fn a_node_that_computes_another_state_finds_out_and_stops() {
    let mut federation = Federation::new(4);
    federation.wrong.insert(2);
    federation.submit(0, "a");
    federation.run(SECOND);
    assert_eq!(federation.seen[2].diverged, [1]);
    assert!(federation.cores[2].summary().stopped);
    federation.submit(0, "b");
    federation.run(5 * SECOND);
    for node in [0, 1, 3] {
        assert_eq!(
            federation.seen[node].finals.len(),
            2,
            "the others are a quorum"
        );
        assert!(federation.seen[node].diverged.is_empty());
    }
    assert!(federation.seen[2].finals.is_empty());
}

fn question_in(outputs: &[Output]) -> Option<u64> {
    outputs.iter().find_map(|output| match output {
        Output::Send { message, .. } => match decode(message, &Limits::STANDARD) {
            Ok(Message::Known(known)) => known.asks,
            _ => None,
        },
        _ => None,
    })
}

/// Whether a node that starts over makes an event when a quorum has said this.
fn starts_by(answers: impl Fn(Option<u64>) -> Option<u64>) -> bool {
    let mut core = Core::new(config(4), Box::new(signer(0)));
    let question = question_in(&core.step(common::clock(0), Input::Wake));
    assert!(question.is_some());
    for peer in [1, 2] {
        let known = Known {
            counts: vec![0; 4],
            answers: answers(question),
            ..Known::default()
        };
        let message = Message::Known(known).verify(&first_epoch(4)).unwrap();
        let from = key(peer);
        core.step(common::clock(0), Input::Receive { from, message });
    }
    core.step(common::clock(1), Input::Submit("pay".into()));
    core.summary().events > 0
}

#[test]
fn what_peers_said_before_the_start_does_not_let_a_node_begin() {
    assert!(!starts_by(|_| None));
    assert!(!starts_by(|question| question.map(|number| number ^ 1)));
    assert!(starts_by(|question| question));
}

#[test]
fn nothing_of_this_node_is_sent_before_it_is_synced() {
    let mut core = Core::new(config(4), Box::new(signer(0)));
    let question = question_in(&core.step(common::clock(0), Input::Wake));
    for peer in [1, 2] {
        let known = Known {
            counts: vec![0; 4],
            answers: question,
            ..Known::default()
        };
        let message = Message::Known(known).verify(&first_epoch(4)).unwrap();
        core.step(
            common::clock(0),
            Input::Receive {
                from: key(peer),
                message,
            },
        );
    }
    let outputs = core.step(common::clock(1), Input::Submit("pay".into()));
    let event_sent = |outputs: &[Output]| {
        outputs.iter().any(|output| match output {
            Output::Send { message, .. } => message[1] == 1,
            _ => false,
        })
    };
    assert!(matches!(outputs[0], Output::Persist(_)));
    assert!(!event_sent(&outputs));
    assert!(event_sent(
        &core.step(common::clock(2), Input::Persisted { through: 1 })
    ));
}

#[test]
fn a_node_outside_the_roster_takes_no_transactions() {
    let core = Core::new(config(4), Box::new(signer(9)));
    assert_eq!(core.admits(3), Err(RefusalReason::Stopped));
    assert_eq!(core.epoch().me, None);
}
