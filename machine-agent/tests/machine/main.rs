//! The real binary against a fake federation: killed everywhere, it pulses at
//! most once and always ends with a receipt.

#![allow(clippy::unwrap_used, reason = "helpers of tests stop the test")]

mod world;

use std::path::Path;
use std::process::Command;

use dctrl_agent::crash::CRASH_POINTS;
use dctrl_follow::testing::{FakeFederation, Vice};
use dctrl_proto::order::receipt_hash;
use dctrl_proto::v1::bus_body::Event;
use dctrl_proto::v1::{self, MachineReceipt, Outcome};
use prost::Message;

use world::{World, topic, wall_ms};

#[test]
fn a_killed_agent_pulses_at_most_once_and_always_ends_with_a_receipt() {
    assert!(CRASH_POINTS.len() >= 12);
    for name in CRASH_POINTS {
        let world = World::new();
        let mut doomed = world.agent(&[("DCTRL_CRASH", name)]);
        let early = !["adopted", "begun", "open", "safe", "summary"]
            .iter()
            .any(|part| name.contains(part));
        if early {
            world.until_ready();
            world.issue(1);
        }
        assert!(
            !doomed.wait(name).success(),
            "{name}: the agent came through"
        );
        let before = world.pulses();
        assert!(before.len() <= 1, "{name}");

        let agent = world.agent(&[]);
        if !early {
            world.until_ready();
            world.issue(1);
        }
        let receipt = world.receipt(1);
        let pulses = world.pulses();
        assert!(pulses.len() <= 1, "{name}: {pulses:?}");
        match receipt.outcome() {
            Outcome::Dispensed => assert_eq!(pulses, [1], "{name}"),
            Outcome::Unknown => assert!(
                name.contains("pulse") || name.contains("firing") || name.contains("settled"),
                "{name}"
            ),
            other => panic!("{name}: {other:?}"),
        }
        // The machine goes on with the next order.
        world.issue(2);
        assert_eq!(world.receipt(2).outcome(), Outcome::Dispensed, "{name}");
        assert_eq!(
            world
                .pulses()
                .iter()
                .filter(|sequence| **sequence == 2)
                .count(),
            1
        );
        agent.stop();
    }
}

#[test]
fn every_append_may_exchange_the_journal_file_and_nothing_is_forgotten() {
    let world = World::new();
    let small = [("DCTRL_AGENT__JOURNAL_BYTES_MAX", "1")];
    for sequence in 1..=3 {
        let agent = world.agent(&small);
        world.until_ready();
        world.issue(sequence);
        assert_eq!(world.receipt(sequence).outcome(), Outcome::Dispensed);
        agent.stop();
    }
    assert_eq!(world.pulses(), [1, 2, 3]);
    let ledger = world.ledger.lock().unwrap();
    let receipt = |sequence| MachineReceipt::decode(ledger.receipts[&sequence].as_slice());
    for sequence in 2..=3 {
        let before: u64 = sequence - 1;
        let hash = receipt_hash(&ledger.receipts[&before]);
        assert_eq!(receipt(sequence).unwrap().previous_receipt_hash, hash);
    }
}

#[test]
fn an_order_signed_by_too_few_or_changed_on_the_way_leaves_the_line_untouched() {
    let world = World::new();
    let _agent = world.agent(&[]);
    world.until_ready();
    let height = world.fake.height() + 1;
    let body = v1::BusBody {
        topic: topic("order"),
        cluster: world.fake.federation.cluster.to_vec(),
        height,
        time_ms: wall_ms(),
        event: Some(world.order(1)),
        ..v1::BusBody::default()
    };
    for signers in [0, 1, 2] {
        let bodies = std::slice::from_ref(&body);
        let frame = world
            .fake
            .seal(height, body.time_ms, bodies, signers)
            .remove(0);
        world.fake.publish(&frame);
    }
    // Two more beats: the agent has long seen the forgeries.
    world.until_ready();
    world.until_ready();
    assert!(world.pulses().is_empty());
    world.issue(1);
    assert_eq!(world.receipt(1).outcome(), Outcome::Dispensed);
    assert_eq!(world.pulses(), [1]);
}

#[test]
fn a_node_that_swallows_what_the_machine_says_cannot_silence_it() {
    let world = World::new();
    let swallows = Vice {
        swallows: true,
        ..Vice::default()
    };
    world.fake.corrupt(0, swallows);
    let _agent = world.agent(&[]);
    world.until_ready();
    world.issue(1);
    assert_eq!(world.receipt(1).outcome(), Outcome::Dispensed);
}

#[test]
fn what_nodes_refuse_that_are_behind_is_handed_to_the_next() {
    let world = World::new();
    let _agent = world.agent(&[]);
    world.until_ready();
    world.ledger.lock().unwrap().behind = 3;
    world.issue(1);
    assert_eq!(world.receipt(1).outcome(), Outcome::Dispensed);
    let ledger = world.ledger.lock().unwrap();
    assert_eq!((ledger.behind, ledger.accepts.len()), (0, 1));
}

#[test]
fn an_agent_without_its_journal_refuses_the_old_orders() {
    let world = World::new();
    let agent = world.agent(&[]);
    world.until_ready();
    world.issue(1);
    world.receipt(1);
    agent.stop();
    std::fs::remove_dir_all(world.path("journal")).unwrap();
    let _agent = world.agent(&[]);
    world.until("word of the loss", |ledger| {
        ledger
            .heartbeats
            .iter()
            .any(|one| !one.ready && one.detail.contains("reset"))
    });
    assert_eq!(world.pulses(), [1]);
}

#[test]
fn an_agent_without_its_journal_refuses_an_old_order_that_all_nodes_first_withheld() {
    let world = World::new();
    let agent = world.agent(&[]);
    world.until_ready();
    world.issue(1);
    world.receipt(1);
    agent.stop();
    std::fs::remove_dir_all(world.path("journal")).unwrap();
    let all = |withholds| {
        for node in 0..4 {
            let vice = Vice {
                withholds,
                ..Vice::default()
            };
            world.fake.corrupt(node, vice);
        }
    };
    all(true);
    let count = world.ledger.lock().unwrap().heartbeats.len();
    let _agent = world.agent(&[]);
    // By then the slowest node has answered, too.
    let beats = count + 3;
    world.until("heartbeats", |ledger| ledger.heartbeats.len() >= beats);
    all(false);
    world.until_ready();
    // It names the one before it, so that one comes to light and is fetched.
    world.issue(2);
    world.until("word of the loss", |ledger| {
        let last = ledger.heartbeats.last();
        last.is_some_and(|one| !one.ready && one.detail.contains("reset"))
    });
    assert_eq!(world.pulses(), [1]);
    let log = std::fs::read_to_string(world.path("log")).unwrap();
    assert!(log.contains("older than the journal"), "{log}");
}

#[test]
fn sensor_lines_arrive_once_and_in_order_although_the_agent_was_restarted() {
    use std::io::Write;
    let world = World::new();
    let agent = world.agent(&[("DCTRL_AGENT__DEBOUNCE_MS", "0")]);
    world.until_ready();
    let mut lines = std::fs::File::options()
        .append(true)
        .open(world.path("lines"))
        .unwrap();
    let text: String = (0..10).map(|value| format!("coin {value}\n")).collect();
    lines.write_all(text.as_bytes()).unwrap();
    world.until("the first report", |ledger| !ledger.reports.is_empty());
    agent.stop();
    let _agent = world.agent(&[]);
    world.until("all reports", |ledger| ledger.reports.len() >= 10);
    let values: Vec<i64> = {
        let ledger = world.ledger.lock().unwrap();
        ledger.reports.iter().map(|report| report.value).collect()
    };
    assert_eq!(values, (0..10).collect::<Vec<i64>>());
}

#[test]
fn a_bad_configuration_names_everything_that_is_wrong_and_a_good_one_checks() {
    let world = World::new();
    let run = |config: &Path| {
        Command::new(env!("CARGO_BIN_EXE_dctrl-agent"))
            .args(["--check", "--config"])
            .arg(config)
            .output()
            .unwrap()
    };
    assert!(run(&world.path("agent.toml")).status.success());
    let bad = world.path("bad.toml");
    std::fs::write(
        &bad,
        "genesiss = 1\n[actuator]\nkind = \"motor\"\npulse_ms = 60000\n",
    )
    .unwrap();
    let output = run(&bad);
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    for part in [
        "did you mean `genesis`?",
        "one of fake, script, gpio",
        "from 1 to 5000",
        "`key` is required",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn an_agent_obeys_the_members_of_today_and_never_again_those_before() {
    let world = World::new();
    let agent = world.agent(&[]);
    world.until_ready();
    world.issue(1);
    assert_eq!(world.receipt(1).outcome(), Outcome::Dispensed);
    let old = world.fake.members();
    let order_of_old = world.order(2);
    world.fake.replace_last_member();
    world.fake.replace_last_member();
    world.issue(2);
    assert_eq!(world.receipt(2).outcome(), Outcome::Dispensed);
    agent.stop();

    // After a restart no node shows it the steps, and all first members
    // together order a vend. What it had learned it still knows.
    world.fake.show_steps(Vec::new());
    let _agent = world.agent(&[]);
    world.until_ready();
    let Event::Order(mut order) = order_of_old else {
        unreachable!()
    };
    order.sequence = 3;
    let body = v1::BusBody {
        topic: topic("order"),
        cluster: world.fake.federation.cluster.to_vec(),
        height: world.fake.height() + 1,
        time_ms: wall_ms(),
        event: Some(Event::Order(order)),
        ..v1::BusBody::default()
    };
    let cluster = world.fake.federation.cluster;
    let bodies = std::slice::from_ref(&body);
    let forged = FakeFederation::certify(&old, cluster, body.height, body.time_ms, bodies, 4);
    world.fake.publish(&forged[0]);
    world.until_ready();
    world.until_ready();
    assert_eq!(world.pulses(), [1, 2]);
    world.issue(3);
    assert_eq!(world.receipt(3).outcome(), Outcome::Dispensed);
    assert_eq!(world.pulses(), [1, 2, 3]);
}
