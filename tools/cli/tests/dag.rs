//! Graphs of events through the program: what is decided, refused and drawn.
//!
//! The files in `graphs` carry what is expected of them. Those with the shape
//! of Babble's test graphs expect what Babble publishes about its own. By the
//! definition alone, three things would differ:
//! - Babble receives an event in a round after its own at the earliest, and only
//!   where the judges are a quorum (`received_needs_supermajority`). In the
//!   paper, a judge that all judges of its round descend from is received in
//!   that very round: with one node, each event is.
//! - Babble tosses a coin in every fourth step; the coins of the events that
//!   toss one here say yes.
//! - Babble counts an event's witnesses by the peers of the round before
//!   (`validator_sets`).
//!
//! Babble finds what is strongly seen by a walk that stops at the first
//! witness. That differs from the definition in general, but not on these graphs.

#![allow(
    clippy::unwrap_used,
    reason = "this is test code, outside a test module"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};

/// Cargo runs the tests of a crate in its folder.
const GRAPHS: &str = "tests/graphs";

fn dctrl(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dctrl"))
        .args(arguments)
        .output()
        .unwrap()
}

fn graphs() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(GRAPHS)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    files.sort();
    files
}

fn named(graph: &str) -> PathBuf {
    Path::new(GRAPHS).join(graph).with_extension("json")
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The graph as a file in a folder that lasts as long as the first value.
fn file(graph: &Value) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph.json");
    fs::write(&path, graph.to_string()).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

fn explain(graph: &Value, options: &[&str]) -> Value {
    let (_folder, path) = file(graph);
    let shown = dctrl(&[&["dag", "explain", &path, "--json"], options].concat());
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    serde_json::from_slice(&shown.stdout).unwrap()
}

/// The refusal of a graph, as programs read it.
fn refused(graph: &Value) -> Value {
    let (_folder, path) = file(graph);
    let shown = dctrl(&["dag", "explain", &path, "--json"]);
    assert_eq!(shown.status.code(), Some(3), "{graph}");
    let report: Value = serde_json::from_slice(&shown.stdout).unwrap();
    report["error"].clone()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn assert_expected(path: &Path, decided: &Value) {
    let expected = &read(path)["expected"];
    for (event, expected) in expected["events"].as_object().unwrap() {
        for (field, value) in expected.as_object().unwrap() {
            let what = format!("{field} of {event} in {}", path.display());
            assert_eq!(&decided["events"][event][field], value, "{what}");
        }
    }
    let mut judges = decided["judges"].clone();
    for names in judges.as_object_mut().unwrap().values_mut() {
        names
            .as_array_mut()
            .unwrap()
            .sort_by_key(|name| name.as_str().unwrap().to_owned());
    }
    assert_eq!(judges, expected["judges"], "{}", path.display());
}

#[test]
fn published_and_hand_made_graphs_are_decided_as_expected() {
    assert!(graphs().len() >= 11);
    for path in graphs() {
        assert_expected(&path, &explain(&read(&path), &[]));
    }
}

#[test]
fn the_order_of_the_file_changes_nothing() {
    for path in graphs() {
        let mut graph = read(&path);
        let before = explain(&graph, &[]);
        graph["events"].as_array_mut().unwrap().reverse();
        assert_eq!(explain(&graph, &[]), before, "{}", path.display());
    }
}

#[test]
fn blocks_carry_the_transactions_of_each_round_in_order() {
    let decided = explain(&read(&named("split_votes_and_a_coin")), &[]);
    let blocks = decided["blocks"].as_array().unwrap();
    let sizes: Vec<usize> = blocks
        .iter()
        .map(|block| block["txs"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [6, 7, 7], "as Babble publishes");
    for (block, index) in blocks.iter().zip(0..) {
        assert_eq!(block["index"], index);
        assert_eq!(block["round_received"], index + 1);
    }
    let mut ordered: Vec<(u64, &String)> = decided["events"]
        .as_object()
        .unwrap()
        .iter()
        .filter_map(|(name, event)| Some((event["order"].as_u64()?, name)))
        .collect();
    ordered.sort_unstable();
    let names: Vec<String> = ordered
        .iter()
        .map(|(_, name)| format!("pay {name}"))
        .collect();
    let carried = blocks
        .iter()
        .flat_map(|block| block["txs"].as_array().unwrap());
    assert!(carried.eq(names.iter()));
    assert!(ordered.iter().map(|(place, _)| *place).eq(0..20));
}

/// Four nodes in lock step, each naming all events of the layer before.
fn lock_step(layers: u64) -> Value {
    let event = |layer: u64, node: u64| {
        let name = |node: u64| format!("{}{}", ["a", "b", "c", "d"][node as usize], layer - 1);
        let others: Vec<String> = (0..4)
            .filter(|&other| layer > 0 && other != node)
            .map(name)
            .collect();
        json!({
            "id": format!("{}{layer}", ["a", "b", "c", "d"][node as usize]),
            "creator": node,
            "index": layer,
            "self_parent": (layer > 0).then(|| name(node)),
            "other_parents": others,
            "txs": [format!("{node} in {layer}")],
            "timestamp_ms": 100 * layer + node,
            "colour": "an unknown field"
        })
    };
    let events: Vec<Value> = (0..layers)
        .flat_map(|layer| (0..4).map(move |node| event(layer, node)))
        .collect();
    json!({
        "validators": [{"id": 0}, {"id": 1}, {"id": 2}, {"id": 3}],
        "events": events,
        "variant": {"profile": "layered", "order": "received", "unheard_of": 1}
    })
}

#[test]
fn in_lock_step_a_layer_is_decided_three_delays_later() {
    // V1 is in layer L+1; the first to strongly see a quorum of them in L+3.
    let decided = explain(&lock_step(5), &[]);
    assert_eq!(
        decided["judges"],
        json!({"0": ["a0", "b0", "c0", "d0"], "1": ["a1", "b1", "c1", "d1"]})
    );
    let event = |name: &str| decided["events"][name].clone();
    assert_eq!(event("c3")["layer"], 3);
    assert_eq!(event("c3")["round"], Value::Null);
    assert_eq!(event("c1")["famous"], true);
    assert_eq!(event("c2")["famous"], Value::Null);
    assert_eq!(
        (&event("c2")["witness"], &event("c2")["lamport"]),
        (&json!(true), &json!(2))
    );
    // All judges of layer 1 know layer 0; of its own layer, none knows another.
    assert_eq!(event("d0")["round_received"], 1);
    assert_eq!(event("d1")["round_received"], Value::Null);
    assert_eq!(decided["blocks"].as_array().unwrap().len(), 1);
    assert_eq!(decided["blocks"][0]["txs"].as_array().unwrap().len(), 4);
}

#[test]
fn direct_order_takes_the_judges_themselves() {
    let decided = explain(&lock_step(5), &["--order", "direct"]);
    assert_eq!(decided["events"]["d1"]["round_received"], 1);
    assert_eq!(decided["blocks"].as_array().unwrap().len(), 2);
}

#[test]
fn rules_on_the_command_line_stand_above_those_of_the_file() {
    let decided = explain(&lock_step(5), &["--profile", "classic"]);
    assert_eq!(
        decided["events"]["a4"]["round"], 2,
        "a round lasts two layers"
    );
    let mut plain = lock_step(3);
    plain.as_object_mut().unwrap().remove("variant");
    assert_eq!(
        explain(&plain, &[])["events"]["a2"]["round"],
        1,
        "classic without a variant"
    );
}

#[test]
fn optional_fields_may_be_absent_or_null() {
    let graph = json!({
        "validators": [{"id": 7, "weight": null}],
        "validator_sets": null,
        "events": [{"id": "x", "creator": 7}, {"id": "y", "creator": 7, "self_parent": "x", "txs": null}]
    });
    assert_eq!(explain(&graph, &[])["events"]["y"]["round"], 1);
    let empty = json!({"validators": [{"id": 1}], "events": []});
    assert_eq!(
        explain(&empty, &[]),
        json!({"events": {}, "blocks": [], "judges": {}})
    );
}

/// A question about one of the graphs.
fn ask(graph: &str, words: [&str; 3]) -> Output {
    let path = named(graph);
    let path = path.to_str().unwrap();
    dctrl(&[&["dag", "explain", path, "--query"], &words[..]].concat())
}

#[test]
fn who_knows_both_twins_is_told_to_see_neither() {
    let holds = |words| text(&ask("forks_seen_and_not_seen", words).stdout);
    assert_eq!(holds(["ancestor", "d2", "a1"]), "true\n");
    assert_eq!(holds(["ancestor", "a1", "d2"]), "false\n");
    assert_eq!(holds(["see", "d1", "a1"]), "true\n");
    assert_eq!(holds(["see", "d2", "a1"]), "false\n");
    assert_eq!(holds(["see", "d2", "c0"]), "true\n");
}

#[test]
fn what_is_strongly_seen_is_as_babble_publishes_it() {
    let yes = [
        ["C2", "A0"],
        ["A2", "B1"],
        ["A2", "A0"],
        ["A2", "B0"],
        ["B3", "C2"],
        ["B3", "B1"],
        ["B3", "C0"],
        ["B4", "C0"],
    ];
    let no = [
        ["B1", "A0"],
        ["C2", "B0"],
        ["C2", "C0"],
        ["A2", "C0"],
        ["B4", "A2"],
    ];
    let all = yes.map(|pair| (pair, "true\n")).into_iter();
    for ([a, b], answer) in all.chain(no.map(|pair| (pair, "false\n"))) {
        let said = ask("strongly_seen_by_a_chain", ["strongly_see", a, b]);
        assert_eq!(text(&said.stdout), answer, "{a} strongly sees {b}");
    }
}

#[test]
fn a_question_about_nothing_is_refused() {
    let absent = ask("weights", ["see", "b1", "z9"]);
    assert_eq!(absent.status.code(), Some(4));
    assert!(text(&absent.stderr).contains("z9"));
    let unheard = ask("weights", ["hears", "b1", "a0"]);
    assert_eq!(unheard.status.code(), Some(2));
}

#[test]
fn a_malformed_graph_is_refused_with_the_event_named() {
    let change = |place: usize, field: &str, value: Value| {
        let mut graph = lock_step(3);
        graph["events"][place][field] = value;
        graph
    };
    // Events 4 to 7 are a1 to d1.
    let cases = [
        (
            change(5, "other_parents", json!(["a0", "z9"])),
            "graph.unknown_parent",
            "b1",
        ),
        (
            change(5, "self_parent", json!("z9")),
            "graph.unknown_parent",
            "b1",
        ),
        (change(5, "id", json!("a1")), "graph.duplicate_id", "a1"),
        (
            change(5, "self_parent", json!("a0")),
            "graph.self_parent_creator",
            "b1",
        ),
        (
            change(5, "self_parent", Value::Null),
            "graph.self_parent_missing",
            "b1",
        ),
        (change(5, "index", json!(3)), "graph.index", "b1"),
        (
            change(5, "creator", json!(9)),
            "graph.unknown_creator",
            "b1",
        ),
        (
            change(5, "other_parents", json!(["a0", "a0"])),
            "graph.two_other_parents",
            "b1",
        ),
        (
            change(5, "other_parents", json!(["b0"])),
            "graph.own_other_parent",
            "b1",
        ),
        (change(5, "creator", json!("B")), "graph.json", "b1"),
        (change(5, "other_parents", json!("a0")), "graph.json", "b1"),
        (change(5, "id", json!(5)), "graph.json", "number 5"),
        (
            change(0, "other_parents", json!(["b1"])),
            "graph.cycle",
            "a0",
        ),
        (change(4, "self_parent", json!("a1")), "graph.cycle", "a1"),
    ];
    for (graph, rule, event) in cases {
        let error = refused(&graph);
        assert_eq!(error["code"], "INVALID");
        assert_eq!(
            (&error["rule"], &error["field"]),
            (&json!(rule), &json!(event))
        );
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(event), "{message}");
    }
}

#[test]
fn rules_and_validators_that_cannot_be_are_refused() {
    let change = |field: &str, value: Value| {
        let mut graph = lock_step(2);
        graph[field] = value;
        graph
    };
    let set = |from: u64, members: Value| json!({"from_round": from, "members": members});
    let cases = [
        (change("validators", json!([])), "graph.validators"),
        (
            change("validators", json!([{"id": 0}, {"id": 0}])),
            "graph.validator_twice",
        ),
        (
            change("validators", json!([{"id": 0, "weight": 0}])),
            "graph.weights",
        ),
        (change("validators", Value::Null), "graph.json"),
        (change("events", Value::Null), "graph.json"),
        (
            change("validator_sets", json!([set(1, json!([0]))])),
            "graph.validator_set",
        ),
        (
            change("validator_sets", json!([set(0, json!([9]))])),
            "graph.validator_set",
        ),
        (
            change("variant", json!({"coin_freq": 2})),
            "graph.coin_freq",
        ),
        (
            change("variant", json!({"profile": "avalanche"})),
            "graph.json",
        ),
    ];
    for (graph, rule) in cases {
        assert_eq!(refused(&graph)["rule"], rule, "{graph}");
    }
}

#[test]
fn what_is_no_json_or_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph.json");
    fs::write(&path, "{\"validators\": [").unwrap();
    let shown = dctrl(&["dag", "explain", path.to_str().unwrap()]);
    assert_eq!(shown.status.code(), Some(3));
    assert!(text(&shown.stderr).starts_with("error: INVALID (graph.json"));
    let shown = dctrl(&["dag", "explain", "no-such-file.json"]);
    assert_eq!(shown.status.code(), Some(2));
}

#[test]
fn a_drawing_in_text_is_read_back_to_the_same_decisions() {
    for path in graphs() {
        let folder = tempfile::tempdir().unwrap();
        let drawing = folder.path().join("drawing.txt");
        let (graph, drawn) = (path.to_str().unwrap(), drawing.to_str().unwrap());
        let shown = dctrl(&["dag", "draw", graph, "--text", "--out", drawn]);
        assert!(shown.status.success(), "{}", text(&shown.stderr));
        let again = dctrl(&["dag", "explain", drawn, "--json"]);
        let again: Value = serde_json::from_slice(&again.stdout).unwrap();
        let decided = explain(&read(&path), &[]);
        let counts = |decided: &Value| {
            let events = decided["events"].as_object().unwrap().values();
            let mut all: Vec<String> = events
                .map(|event| {
                    format!(
                        "{} {} {}",
                        event["round"], event["famous"], event["round_received"]
                    )
                })
                .collect();
            all.sort();
            all
        };
        assert_eq!(counts(&again), counts(&decided), "{graph}");
    }
}

#[test]
fn a_drawing_as_svg_is_the_same_bytes_each_time() {
    let path = named("forks_seen_and_not_seen");
    let golden = include_str!("graphs/forks_seen_and_not_seen.svg");
    let shown = dctrl(&["dag", "draw", path.to_str().unwrap()]);
    assert_eq!(text(&shown.stdout), golden);
    assert!(
        !golden.contains("href") && !golden.contains("url("),
        "nothing to load"
    );
}
