//! Graphs drawn as SVG: one picture, nothing to load, the same bytes for the
//! same graph.
//!
//! Time goes upwards, a column for each validator, a band for each round or
//! layer. What a mark means stands in the legend at the foot.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::explanation::{EventExplanation, Explanation};
use super::graph::Graph;
use super::layout::{Layout, Place, layout};
use super::notation::prefix;
use crate::ordering::Profile;

/// Pixels between two lanes.
const LANE: usize = 96;
/// Pixels between two rows.
const ROW: usize = 46;
/// Pixels at the left, for the names of the bands.
const LEFT: usize = 92;
/// Pixels at the right and at the top.
const MARGIN: usize = 24;
/// Pixels at the foot, for the names of the columns and the legend.
const FOOT: usize = 92;
/// Pixels of the radius of an event.
const RADIUS: usize = 13;
/// Pixels of the picture's width at least, so that the legend fits.
const WIDTH_MIN: usize = 720;
/// Characters of a name that fit into an event.
const LABEL_CHARS_MAX: usize = 6;

const STYLE: &str = "\
text{font:11px sans-serif;fill:#222}\
.band text{font-size:12px;fill:#666}\
.even{fill:#f4f6f9}.odd{fill:#e9edf3}\
.column{font-size:13px;font-weight:bold;text-anchor:middle}\
.self{stroke:#444;stroke-width:2;fill:none}\
.other{stroke:#9aa7b8;stroke-width:1.2;fill:none}\
.loose{stroke-dasharray:2 3}\
.fork{stroke:#d0021b}\
circle{fill:#fff;stroke:#444;stroke-width:1.4}\
.witness circle{fill:#cfe3fb;stroke-width:3}\
.famous circle{fill:#ffd75e}\
.common circle{fill:#c3c7cc}\
.twin circle{stroke:#d0021b;stroke-width:3}\
.name{text-anchor:middle}\
.place{font-size:9px;fill:#555}\
.twin .name{fill:#d0021b}";

/// The graph with what the engine decides about it, as one SVG document.
#[must_use]
pub fn draw_svg(graph: &Graph, explanation: &Explanation) -> String {
    let picture = Picture {
        graph,
        explanation,
        layout: layout(graph, explanation),
    };
    picture.draw()
}

struct Picture<'a> {
    graph: &'a Graph,
    explanation: &'a Explanation,
    layout: Layout,
}

impl Picture<'_> {
    fn draw(&self) -> String {
        let (width, height) = (self.width(), self.height());
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\">\n<style>{STYLE}</style>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
        );
        self.bands(&mut svg);
        self.edges(&mut svg);
        for at in 0..self.graph.events.len() {
            self.event(&mut svg, at);
        }
        self.columns(&mut svg);
        self.legend(&mut svg);
        svg + "</svg>\n"
    }

    fn width(&self) -> usize {
        (LEFT + self.layout.lanes * LANE + MARGIN).max(WIDTH_MIN)
    }

    fn height(&self) -> usize {
        MARGIN + self.layout.rows * ROW + FOOT
    }

    /// The middle of a place; the oldest row is the lowest.
    fn at(&self, place: Place) -> (usize, usize) {
        let x = LEFT + place.lane * LANE + LANE / 2;
        let y = MARGIN + (self.layout.rows - 1 - place.row) * ROW + ROW / 2;
        (x, y)
    }

    fn bands(&self, svg: &mut String) {
        let level = match self.explanation.profile {
            Profile::Classic => "round",
            Profile::Layered => "layer",
        };
        let judged: BTreeMap<u64, usize> = self
            .explanation
            .judges
            .iter()
            .map(|judges| (judges.level, judges.events.len()))
            .collect();
        for band in &self.layout.bands {
            let top = MARGIN + (self.layout.rows - 1 - band.last) * ROW;
            let height = (band.last - band.first + 1) * ROW;
            let shade = if band.level.is_multiple_of(2) {
                "even"
            } else {
                "odd"
            };
            let state = judged
                .get(&band.level)
                .map_or_else(|| "open".to_owned(), |count| format!("{count} judges"));
            let (name, below) = (top + 18, top + 33);
            let _ = writeln!(
                svg,
                "<g class=\"band\"><rect class=\"{shade}\" x=\"0\" y=\"{top}\" width=\"{}\" \
                 height=\"{height}\"/><text x=\"8\" y=\"{name}\">{level} {}</text>\
                 <text x=\"8\" y=\"{below}\">{state}</text></g>",
                self.width(),
                band.level,
            );
        }
    }

    fn edges(&self, svg: &mut String) {
        let by_id: BTreeMap<&str, usize> = (0..)
            .zip(&self.graph.events)
            .map(|(at, event)| (event.id.as_str(), at))
            .collect();
        let mut strokes: [Vec<String>; 2] = Default::default();
        for (at, event) in self.graph.events.iter().enumerate() {
            let own = event.self_parent.iter().map(|parent| (parent, "self"));
            let others = event.other_parents.iter().map(|parent| (parent, "other"));
            for (parent, kind) in own.chain(others) {
                let stroke = self.edge(at, by_id.get(parent.as_str()).copied(), kind);
                // Chains are drawn above what crosses them.
                strokes[usize::from(kind == "self")].push(stroke);
            }
        }
        svg.extend(strokes.into_iter().flatten());
    }

    fn edge(&self, child: usize, parent: Option<usize>, kind: &str) -> String {
        let (x1, y1) = self.at(self.layout.places[child]);
        let Some(parent) = parent else {
            // The parent is below the window: a short loose end.
            let y2 = y1 + ROW / 2;
            let x2 = if kind == "self" { x1 } else { x1 - LANE / 4 };
            return format!("<path class=\"{kind} loose\" d=\"M{x1} {y1}L{x2} {y2}\"/>\n");
        };
        let (x2, y2) = self.at(self.layout.places[parent]);
        let twin = |at: usize| self.decided(at).is_some_and(|event| event.twin);
        let fork = if kind == "self" && twin(child) {
            " fork"
        } else {
            ""
        };
        // A chain that passes over its own events would hide what is between.
        if x1 == x2 && kind == "other" {
            let bend = x1 + LANE / 3;
            let middle = y1.midpoint(y2);
            return format!(
                "<path class=\"{kind}\" d=\"M{x1} {y1}Q{bend} {middle} {x2} {y2}\"/>\n"
            );
        }
        format!("<path class=\"{kind}{fork}\" d=\"M{x1} {y1}L{x2} {y2}\"/>\n")
    }

    fn decided(&self, at: usize) -> Option<&EventExplanation> {
        self.explanation.events.get(at)
    }

    fn event(&self, svg: &mut String, at: usize) {
        let (x, y) = self.at(self.layout.places[at]);
        let event = &self.graph.events[at];
        let mut classes = BTreeSet::new();
        let mut below = String::new();
        let mut told = event.id.clone();
        if let Some(decided) = self.decided(at) {
            classes.extend(classes_of(decided));
            if let Some(received) = decided.received {
                below = format!("in {received}");
                told += &format!(", received in {received}");
            } else if decided.ordered {
                below = "ordered".to_owned();
                told += ", ordered";
            }
            if let Some(order) = decided.order {
                below += &format!(" #{order}");
                told += &format!(", number {order}");
            }
            if !decided.forked_creators_seen.is_empty() {
                told += &format!(", knows forks of {:?}", decided.forked_creators_seen);
            }
        }
        if !event.transactions.is_empty() {
            told += &format!(", {} transactions", event.transactions.len());
        }
        let classes: Vec<&str> = classes.into_iter().collect();
        let label: String = event.id.chars().take(LABEL_CHARS_MAX).collect();
        let (name, side, foot) = (y + 4, x + RADIUS + 3, y + RADIUS);
        let _ = writeln!(
            svg,
            "<g class=\"{}\"><title>{}</title><circle cx=\"{x}\" cy=\"{y}\" r=\"{RADIUS}\"/>\
             <text class=\"name\" x=\"{x}\" y=\"{name}\">{}</text>\
             <text class=\"place\" x=\"{side}\" y=\"{foot}\">{}</text></g>",
            classes.join(" "),
            escaped(&told),
            escaped(&label),
            escaped(&below),
        );
    }

    fn columns(&self, svg: &mut String) {
        let y = MARGIN + self.layout.rows * ROW + 22;
        for (column, &(first, width)) in self.layout.columns.iter().enumerate() {
            let x = LEFT + first * LANE + width * LANE / 2;
            let name = match self.graph.validators.get(column) {
                None => "?".to_owned(),
                Some(validator) => {
                    let letter = prefix(column);
                    let letter = letter.trim_end_matches('.');
                    match validator.weight {
                        1 => format!("{letter} ({})", validator.id),
                        weight => format!("{letter} ({}), weight {weight}", validator.id),
                    }
                }
            };
            let _ = writeln!(
                svg,
                "<text class=\"column\" x=\"{x}\" y=\"{y}\">{name}</text>"
            );
        }
    }

    fn legend(&self, svg: &mut String) {
        let y = MARGIN + self.layout.rows * ROW + 56;
        let marks = [
            ("witness famous", "famous"),
            ("witness common", "not famous"),
            ("witness", "undecided witness"),
            ("event", "event"),
            ("twin", "twin: a fork"),
        ];
        for (place, (class, meaning)) in marks.into_iter().enumerate() {
            let x = 24 + place * 122;
            let (text, line) = (x + 14, y + 4);
            let _ = writeln!(
                svg,
                "<g class=\"{class}\"><circle cx=\"{x}\" cy=\"{y}\" r=\"8\"/>\
                 <text x=\"{text}\" y=\"{line}\">{meaning}</text></g>"
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"16\" y=\"{}\">below an event: the {} that received it, and its place in \
             the order · dark line: self-parent · light line: other-parent</text>",
            y + 26,
            match self.explanation.profile {
                Profile::Classic => "round",
                Profile::Layered => "layer",
            },
        );
    }
}

fn classes_of(event: &EventExplanation) -> impl Iterator<Item = &'static str> {
    let fame = match event.famous {
        Some(true) => Some("famous"),
        Some(false) => Some("common"),
        None => None,
    };
    let witness = event.witness.then_some("witness");
    let twin = event.twin.then_some("twin");
    [Some("event"), witness, fame, twin].into_iter().flatten()
}

/// Text for the inside of an element. Control characters, which XML refuses, are dropped.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !c.is_control()) {
        match c {
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '&' => escaped += "&amp;",
            '"' => escaped += "&quot;",
            c => escaped.push(c),
        }
    }
    escaped
}
