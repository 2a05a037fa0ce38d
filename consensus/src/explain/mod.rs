//! Explain a graph: what this engine decides about events that were written
//! down, by a person, by another implementation, or by a failing simulation.
//!
//! [`explain`] runs the very graph, election and order that nodes run; there
//! is no second implementation here. What differs from a node: nothing is
//! signed, and events are taken that a node would refuse as invalid (a creator
//! that knows its own fork, a parent by a known forker, too many events in a
//! layer), since a published graph may hold them.
//!
//! [`notation`] reads and [`draw_text`] writes graphs as text, [`draw_svg`]
//! draws them. All output is a function of the graph alone; where events are
//! equal in all times, their order follows from their names and contents,
//! never from their place in the file.
//!
//! Deliberately absent: JSON and files, which are the command line's.

mod check;
mod error;
mod explanation;
mod graph;
mod layout;
pub mod notation;
mod run;
mod svg;
mod text;
mod window;

#[cfg(test)]
mod tests;

pub use error::{EventProblem, GraphError, SetProblem};
pub use explanation::{BlockExplanation, EventExplanation, Explanation, Judges};
pub use graph::{GRAPH_EVENTS_MAX, Graph, GraphEvent, Validator, ValidatorSet, Variant};
pub use run::{Explained, Relation, explain};
pub use svg::draw_svg;
pub use text::{draw_text, draw_text_explained};
pub(crate) use window::Running;
pub use window::{WINDOW_EVENTS_MAX, Window};
