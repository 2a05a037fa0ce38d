//! Claims about graphs, notation and drawings.

use super::{
    EventProblem, Graph, GraphError, Relation, draw_svg, draw_text, draw_text_explained, explain,
    notation,
};
use crate::ordering::Profile;

const FORKED: &str = "
    nodes: A B C D
    rules: classic received coin=3
    A0: []
    B0@5: []
    C0: []
    D0: []
    A1: [A0, B0]
    A1'~: [A0, C0]     # the twin
    B1: [B0, A1]
    C1: [C0, A1']
    B2: [B1, C1, D0]
    A2: [A1, B2]";

fn parsed(text: &str) -> Graph {
    notation::parse(text).unwrap()
}

#[test]
fn a_drawing_says_what_was_parsed() {
    let graph = parsed(FORKED);
    assert_eq!(notation::parse(&draw_text(&graph)), Ok(graph.clone()));
    assert_eq!(graph.variant.coin_bits.get("A1'"), Some(&false));
    assert_eq!(graph.events[1].timestamp_ms, Some(5));
    assert_eq!(graph.events[8].self_parent.as_deref(), Some("B1"));
    assert_eq!(graph.events[8].other_parents, ["C1", "D0"]);
}

#[test]
fn weights_sets_and_rules_are_part_of_a_drawing() {
    let text = "nodes: A B*3 C\nrules: layered direct supermajority\nfrom 0: A B\nA0: []\n";
    assert_eq!(draw_text(&parsed(text)), text);
    let many: Vec<String> = (0..30).map(|node| format!("N{node}")).collect();
    let many = many.join(" ").replace("N0 ", "A ").replace("N1 ", "B ");
    assert!(notation::parse(&format!("nodes: {many}\nN29.0: []")).is_ok());
}

#[test]
fn a_line_that_is_none_is_named() {
    for (text, line) in [
        ("A0: []\nB0", 2),
        ("a0: []", 1),
        ("A0: []\n\nA1@x: [A0]", 3),
        ("rules: odd", 1),
    ] {
        assert_eq!(notation::parse(text).unwrap_err().line, line, "{text}");
    }
}

fn rename(name: &str) -> String {
    name.replace('A', "x#").replace('B', "y\"")
}

#[test]
fn names_that_are_not_of_the_notation_are_told_in_comments() {
    let mut graph = parsed("A0: []\nB0: []\nA1: [A0, B0]\nA1': [A0]");
    for event in &mut graph.events {
        event.id = rename(&event.id);
        event.self_parent = event.self_parent.as_deref().map(rename);
        event.other_parents = event
            .other_parents
            .iter()
            .map(|name| rename(name))
            .collect();
    }
    let text = draw_text(&graph);
    assert!(text.contains("A1: [A0, B0]  # \"x#1\"\n"), "{text}");
    assert!(text.contains("A1': [A0]     # \"x#1'\"\n"), "{text}");
    assert!(notation::parse(&text).is_ok());
}

#[test]
fn a_window_is_drawn_with_loose_ends_but_not_explained() {
    let mut graph = parsed(FORKED);
    let explanation = explain(&graph).unwrap().explanation().clone();
    graph.events.drain(..2);
    let window = super::Explanation {
        events: explanation.events[2..].to_vec(),
        ..explanation
    };
    assert!(draw_text_explained(&graph, &window).contains("over \"A0\", which is not here"));
    assert!(draw_svg(&graph, &window).contains("class=\"self loose\""));
    let problem = EventProblem::UnknownParent("A0".to_owned());
    let event = "A1".to_owned();
    assert_eq!(
        explain(&graph).unwrap_err(),
        GraphError::Event { event, problem }
    );
}

#[test]
fn an_event_that_knows_its_own_fork_is_taken_and_marked() {
    let graph = parsed(FORKED);
    let explained = explain(&graph).unwrap();
    let of = |name: &str| {
        let place = graph
            .events
            .iter()
            .position(|event| event.id == name)
            .unwrap();
        explained.explanation().events[place].clone()
    };
    assert_eq!(of("A2").forked_creators_seen, [0]);
    assert!(of("A1").twin && of("A1'").twin && !of("A0").twin && !of("A2").twin);
    assert!(explained.holds(Relation::See, "B1", "A1").unwrap());
    assert!(!explained.holds(Relation::See, "B2", "A1").unwrap());
    assert!(explained.holds(Relation::Ancestor, "B2", "A1'").unwrap());
    assert_eq!(
        explained.holds(Relation::See, "B2", "Z1"),
        Err(GraphError::NotThere("Z1".to_owned()))
    );
}

#[test]
fn twins_that_differ_in_their_names_only_are_two_events() {
    let graph = parsed("A0: []\nA0': []\nB0: [A0]\nB1: [B0, A0']");
    let explained = explain(&graph).unwrap();
    assert_eq!(explained.explanation().events[3].forked_creators_seen, [0]);
}

#[test]
fn the_same_events_in_layers_and_in_rounds() {
    let mut graph = parsed(FORKED);
    graph.variant.ordering.profile = Profile::Layered;
    let levels = |graph: &Graph| -> Vec<u64> {
        let explained = explain(graph).unwrap();
        explained
            .explanation()
            .events
            .iter()
            .map(|event| event.level)
            .collect()
    };
    assert_eq!(levels(&graph), [0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
    graph.variant.ordering.profile = Profile::Classic;
    assert_eq!(levels(&graph), [0; 10]);
}

#[test]
fn a_picture_is_well_formed_whatever_the_names_are() {
    let mut graph = parsed("A0: []\nA1: [A0]");
    graph.events[0].id = "<&\"\u{1}>".to_owned();
    graph.events[1].self_parent = Some(graph.events[0].id.clone());
    let explained = explain(&graph).unwrap();
    let svg = draw_svg(&graph, explained.explanation());
    assert!(svg.contains("&lt;&amp;&quot;&gt;") && !svg.contains('\u{1}'));
    assert_eq!(svg.matches("<g").count(), svg.matches("</g>").count());
    assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
}

#[test]
fn a_window_of_a_running_engine_says_what_the_graph_does() {
    let text = "A0@1: []\nB0@1: []\nC0@1: []\nA1@2: [A0, B0, C0]\nB1@2: [B0, A0, C0]\n\
        C1@2: [C0, A0, B0]\nA2@3: [A1, B1, C1]\nB2@3: [B1, A1, C1]\nC2@3: [C1, A1, B1]\n\
        A3@4: [A2, B2, C2]\nB3@4: [B2, A2, C2]\nC3@4: [C2, A2, B2]\nA4@5: [A3, B3, C3]\n\
        A4'@5: [A3]\nB4@5: [B3, A4, C3]\nC4~@5: [C3, A4']";
    let mut graph = parsed(text);
    for event in (0..).zip(&mut graph.events) {
        event.1.index = event.1.id[1..2].parse().ok();
    }
    let explained = explain(&graph).unwrap();
    let window = explained.window(super::WINDOW_EVENTS_MAX);
    assert_eq!((window.earlier, &window.graph), (0, &graph));
    let mut expected = explained.explanation().clone();
    assert_eq!(expected.judges.len(), 1);
    expected.blocks.clear();
    for event in &mut expected.events {
        (event.received, event.order) = (None, None);
    }
    assert_eq!(window.explanation, expected);

    let cut = explained.window(4);
    assert_eq!((cut.earlier, cut.graph.events.len()), (12, 4));
    assert!(draw_text(&cut.graph).contains("over \"A3\", which is not here"));
}

#[test]
fn who_is_in_no_set_counts_in_no_layer() {
    let events = "A0: []\nB0: []\nC0: []\nD0: []\nA1: [A0, B0, C0]\nA1': [A0, B0, D0]";
    let level = |head: &str, name: &str| {
        let graph = parsed(&format!("nodes: A B C D\nrules: layered\n{head}{events}"));
        let place = graph.events.iter().position(|event| event.id == name);
        explain(&graph).unwrap().explanation().events[place.unwrap()].level
    };
    assert_eq!((level("", "A1"), level("", "A1'")), (1, 1));
    let three = "from 0: A B C\n";
    assert_eq!((level(three, "A1"), level(three, "A1'")), (1, 0));
    let more = notation::parse(&format!("rules: layered\nfrom 0: A B\nfrom 2: B\n{events}"));
    assert_eq!(
        explain(&more.unwrap()).unwrap_err().rule(),
        "graph.validator_set"
    );
}
