//! The program as its users meet it: arguments in; text, JSON and exit codes out.

#![allow(
    clippy::unwrap_used,
    reason = "this is test code, outside a test module"
)]

#[path = "against_a_node/export.rs"]
mod export;
#[path = "against_a_node/nodes.rs"]
mod nodes;
mod support;

use std::process::{Command, Stdio};

use dctrl_cli::testnet::wallet::Wallet;
use dctrl_proto::v1::{DagEvent, DagReply, Refusal, RefusalCode};
use serde_json::Value;
use support::{Federation, HEIGHT, Script, dctrl, folder, quoted, serve};

/// Nobody listens there: the port is a reserved one.
fn dead_url() -> String {
    "http://127.0.0.1:1".to_owned()
}

fn url(address: std::net::SocketAddr) -> String {
    format!("http://{address}")
}

fn federation() -> Federation {
    Federation::new(
        Wallet::from_seeds(&[[1; 32], [2; 32], [3; 32]])
            .unwrap()
            .descriptor,
    )
}

/// The wallet's address 0.
fn own_address(federation: &Federation) -> String {
    use std::str::FromStr;
    let descriptor = &federation.genesis.descriptor;
    miniscript::Descriptor::<miniscript::DescriptorPublicKey>::from_str(descriptor)
        .unwrap()
        .at_derivation_index(0)
        .unwrap()
        .address(bitcoin::Network::Regtest)
        .unwrap()
        .to_string()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

const QUOTE: [&str; 6] = ["vend", "quote", "--machine", "m1", "--slot", "A1"];

#[test]
fn a_dead_node_is_passed_over_and_the_answer_names_the_living_one() {
    let living = url(serve(Script::default()));
    let folder = folder(&federation().genesis, &[dead_url(), living.clone()]);
    let shown = dctrl(folder.path(), &["status"]);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    assert!(text(&shown.stdout).ends_with(&format!("from {living}\n")));

    let shown = dctrl(folder.path(), &["status", "--json"]);
    let status = json(&shown.stdout);
    assert_eq!(status["answered_by"], living);
    assert_eq!(status["final_height"], HEIGHT);
}

#[test]
fn a_certified_quote_shows_address_uri_and_signatures() {
    let federation = federation();
    let address = own_address(&federation);
    let frames = federation.frames(HEIGHT, vec![("vend.m1", quoted(&address))], 3);
    let node = url(serve(Script {
        frames,
        ..Script::default()
    }));
    let folder = folder(&federation.genesis, &[node]);

    let shown = dctrl(folder.path(), &QUOTE);
    let output = text(&shown.stdout);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    let uri = format!("bitcoin:{address}?amount=0.00001500");
    for part in [
        "1,500 sats",
        &address,
        &uri,
        "2025-06-15T15:21:40.000Z",
        "final (3 of 4 signatures)",
    ] {
        assert!(output.contains(part), "{part} is not in\n{output}");
    }
    assert!(
        !output.contains('█'),
        "no QR code where the output is no terminal"
    );
    let drawn = dctrl(folder.path(), &[QUOTE.as_slice(), &["--qr"]].concat());
    assert!(text(&drawn.stdout).contains("█▀▀"));

    let quote = json(&dctrl(folder.path(), &[QUOTE.as_slice(), &["--json"]].concat()).stdout);
    assert_eq!(quote["vend"]["address"], address);
    assert_eq!(quote["uri"], uri);
    assert_eq!(quote["final"], serde_json::json!({"signed": 3, "of": 4}));
}

#[test]
fn an_address_that_the_federation_did_not_certify_is_never_shown() {
    let federation = federation();
    let address = own_address(&federation);
    let honest = federation.frames(HEIGHT, vec![("vend.m1", quoted(&address))], 3);
    let mut altered = honest.clone();
    altered[0].body = federation.frames(HEIGHT, vec![("vend.m1", quoted("bcrt1qthief"))], 3)[0]
        .body
        .clone();
    let two_signed = federation.frames(HEIGHT, vec![("vend.m1", quoted(&address))], 2);
    let foreign = federation.frames(HEIGHT, vec![("vend.m1", quoted("bcrt1qthief"))], 4);
    for (frames, rule) in [
        (altered, "frame.proof"),
        (two_signed, "frame.certificate"),
        (foreign, "quote.address"),
    ] {
        let node = url(serve(Script {
            frames,
            ..Script::default()
        }));
        let folder = folder(&federation.genesis, &[node]);
        let shown = dctrl(folder.path(), &[QUOTE.as_slice(), &["--json"]].concat());
        assert_eq!(shown.status.code(), Some(1), "{rule}");
        let error = json(&shown.stdout);
        assert_eq!(error["error"]["code"], "UNVERIFIED");
        assert_eq!(error["error"]["rule"], rule);
        assert!(!text(&shown.stdout).contains("bitcoin:"));
    }
}

/// A node that refuses every action.
fn refuses() -> String {
    let refusal = Refusal::field(
        RefusalCode::Precond,
        "slot.stock",
        "slot",
        "slot A3 is empty",
    );
    url(serve(Script {
        refusal: Some(refusal),
        ..Script::default()
    }))
}

#[test]
fn a_refusal_names_rule_and_field_and_exits_with_3() {
    let folder = folder(&federation().genesis, &[refuses()]);
    let shown = dctrl(folder.path(), &[QUOTE.as_slice(), &["--json"]].concat());
    assert_eq!(shown.status.code(), Some(3));
    assert_eq!(
        text(&shown.stderr),
        "error: PRECOND (slot.stock at slot): slot A3 is empty\n"
    );
    let expected = serde_json::json!({"error": {
        "code": "PRECOND", "rule": "slot.stock", "field": "slot", "message": "slot A3 is empty"
    }});
    assert_eq!(json(&shown.stdout), expected);
}

#[test]
fn a_node_that_refuses_a_repeated_request_says_nothing_of_the_first() {
    let folder = folder(&federation().genesis, &[refuses()]);
    let id = "019e00000000000000000000000000ff";
    let shown = dctrl(
        folder.path(),
        &[QUOTE.as_slice(), &["--request-id", id]].concat(),
    );
    assert_eq!(shown.status.code(), Some(3));
    let told = text(&shown.stderr);
    assert!(told.contains("may still take effect until 2026-"), "{told}");
    assert!(told.contains("dctrl action "), "{told}");
}

#[test]
fn absent_unreachable_and_misused_have_their_own_exit_codes() {
    let node = url(serve(Script::default()));
    let living = folder(&federation().genesis, &[node]);
    assert_eq!(
        dctrl(living.path(), &["vend", "show", "nope"])
            .status
            .code(),
        Some(4)
    );
    assert_eq!(
        dctrl(living.path(), &["vend", "shove"]).status.code(),
        Some(2)
    );
    let dead = folder(&federation().genesis, &[dead_url()]);
    let shown = dctrl(dead.path(), &["status"]);
    assert_eq!(shown.status.code(), Some(5), "{}", text(&shown.stderr));
}

#[test]
fn a_retry_with_the_same_request_id_sends_the_same_bytes() {
    let script = Script::default();
    let node = url(serve(script.clone()));
    let folder = folder(&federation().genesis, &[node]);
    let restock = [
        "slots",
        "restock",
        "--machine",
        "m1",
        "--slot",
        "A1",
        "--added",
        "5",
        "--json",
    ];
    let first = json(&dctrl(folder.path(), &restock).stdout);
    let id = first["request_id"].as_str().unwrap();
    dctrl(
        folder.path(),
        &[restock.as_slice(), &["--request-id", id]].concat(),
    );
    dctrl(folder.path(), &restock);
    let submitted = script.submitted.lock().unwrap();
    assert_eq!(submitted[0], submitted[1]);
    assert_ne!(submitted[0].body, submitted[2].body);
}

#[test]
fn events_end_at_the_final_height_unless_followed() {
    let federation = federation();
    let frames = federation.frames(HEIGHT, vec![("vend.m1", quoted("x"))], 4);
    let node = url(serve(Script {
        frames,
        ..Script::default()
    }));
    let folder = folder(&federation.genesis, &[node]);
    let all = dctrl(folder.path(), &["events"]);
    assert!(all.status.success(), "{}", text(&all.stderr));
    assert_eq!(text(&all.stdout).lines().count(), 2);
    let some = dctrl(folder.path(), &["events", "--topic", "vend.", "--json"]);
    let event = json(&some.stdout);
    assert_eq!(event["topic"], "vend.m1");
    assert_eq!(event["final"]["signed"], 4);
}

#[test]
fn a_reader_that_goes_away_causes_no_noise() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dctrl"))
        .arg("actions")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(text(&ended.stderr), "");
    assert_eq!(ended.status.code(), Some(0));
}

#[test]
fn the_members_of_today_are_believed_and_those_before_are_not() {
    let old = federation();
    let address = own_address(&old);
    let (new, step) = old.changed(HEIGHT - 1, 3);
    let says = |federation: &Federation, steps: Vec<Vec<u8>>| {
        url(serve(Script {
            frames: federation.frames(HEIGHT, vec![("vend.m1", quoted(&address))], 3),
            steps,
            ..Script::default()
        }))
    };
    let hiding = says(&new, Vec::new());
    let (_, forged) = old.changed(HEIGHT - 1, 2);
    let lying = says(&new, vec![forged]);
    let honest = says(&new, vec![step]);
    let former = says(&old, Vec::new());

    let alone = folder(&old.genesis, std::slice::from_ref(&lying));
    let shown = dctrl(alone.path(), &["events"]);
    assert!(!shown.status.success(), "too few have signed the change");

    let folder = folder(&old.genesis, &[hiding, lying, honest]);
    let shown = dctrl(folder.path(), &["events"]);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    assert_eq!(text(&shown.stdout).lines().count(), 2);

    // What was learned is kept: the former members certify nothing any more.
    let shown = dctrl(folder.path(), &["--node", &former, "events"]);
    assert!(!shown.status.success());
    let trouble = text(&shown.stderr);
    assert!(trouble.contains("answers for blocks 1 to 4"), "{trouble}");
}

/// A node's graph of three events, the last by A over both others.
fn dag() -> DagReply {
    let event = |id: &str, creator| DagEvent {
        id: id.to_owned(),
        creator,
        coin: true,
        witness: true,
        ..DagEvent::default()
    };
    DagReply {
        nodes: 2,
        layered: true,
        coin_frequency: 10,
        events: vec![
            event("A0", 0),
            event("B0", 1),
            DagEvent {
                index: 1,
                self_parent: "A0".to_owned(),
                other_parents: vec!["B0".to_owned()],
                timestamp_ms: 17,
                lamport: 1,
                level: 1,
                famous: Some(true),
                ordered: true,
                ..event("A1", 0)
            },
        ],
        ..DagReply::default()
    }
}

#[test]
fn a_nodes_latest_events_are_drawn_as_it_has_decided_them() {
    let script = Script {
        dag: dag(),
        ..Script::default()
    };
    let folder = folder(&federation().genesis, &[url(serve(script))]);
    let drawn = |options: &[&str]| {
        let shown = dctrl(folder.path(), &[&["dag", "draw"], options].concat());
        assert!(shown.status.success(), "{}", text(&shown.stderr));
        text(&shown.stdout)
    };
    let words = drawn(&["--text"]);
    assert!(words.contains("rules: layered received\n"), "{words}");
    assert!(
        words.contains("A1@17: [A0, B0]  # 1 witness famous ordered\n"),
        "{words}"
    );
    let cut = drawn(&["--text", "--last", "1"]);
    assert!(cut.contains("over \"B0\", which is not here"), "{cut}");
    let picture = drawn(&[]);
    assert!(picture.starts_with("<svg") && picture.contains("layer 1"));

    // What a node shows can be explained again, as long as it is whole.
    let saved = folder.path().join("graph.json");
    std::fs::write(&saved, drawn(&["--json"])).unwrap();
    let again = dctrl(
        folder.path(),
        &["dag", "explain", saved.to_str().unwrap(), "--json"],
    );
    assert_eq!(json(&again.stdout)["events"]["A1"]["layer"], 1);
    let ruled = dctrl(folder.path(), &["dag", "draw", "--profile", "classic"]);
    assert_eq!(ruled.status.code(), Some(2));
}
