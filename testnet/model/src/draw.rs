//! A graph as text, layer by layer, to be drawn by hand or fed to a tool.

use crate::{
    graph::{Graph, bit, elements},
    world::World,
};

/// The name of an event: creator, number along its line, and an apostrophe for
/// each twin before it.
#[must_use]
pub fn name(graph: &Graph, event: usize) -> String {
    let it = graph.event(event);
    let creator = char::from(b'a' + u8::try_from(it.creator).unwrap_or(0));
    let height = it.line.count_ones() - 1;
    let twins = elements(graph.of_creator(it.creator) & (bit(event) - 1))
        .filter(|other| graph.event(*other).line.count_ones() - 1 == height)
        .count();
    format!("{creator}{height}{}", "'".repeat(twins))
}

/// The graph, one event a line: name, parents, votes.
#[must_use]
pub fn draw(world: &World) -> String {
    let graph = &world.graph;
    let mut text = String::new();
    for (index, event) in graph.events().iter().enumerate() {
        let parents: Vec<String> = elements(event.parents).map(|p| name(graph, p)).collect();
        text.push_str(&format!(
            "layer {} {:4} over {}",
            event.layer,
            name(graph, index),
            parents.join(" ")
        ));
        if world.election.candidate.event == Some(index) {
            text.push_str("  the candidate");
        }
        for step in 1..=crate::election::STEPS_MAX {
            if world.election.voters(step) & bit(index) != 0 {
                let yes = world.election.yes(step) & bit(index) != 0;
                text.push_str(&format!("  V{step} {}", if yes { "YES" } else { "NO" }));
            }
        }
        text.push('\n');
    }
    text
}
