//! A model of the layered election, for a checker to explore.
//!
//! Three views of the same rules. [`votes`] forgets the graph and is explored
//! exhaustively, for any number of voting steps. [`layers`] enumerates graphs
//! of four creators, one of them a liar, up to equal futures ([`key`]).
//! [`random`] samples graphs far larger than that. The rules themselves are
//! written in [`graph`] and [`election`] as the design defines them, with every
//! threshold a parameter ([`rules`]), so that errors can be planted.
//!
//! What is claimed and what is not is in the README beside this crate.
//!
//! Deliberately absent: the order of events, blocks, payloads, signatures,
//! time, and everything about when a node makes an event.

pub mod check;
pub mod draw;
pub mod election;
pub mod graph;
pub mod judge;
pub mod key;
pub mod layers;
mod outcome;
pub mod plan;
pub mod prng;
pub mod product;
pub mod random;
pub mod report;
pub mod rules;
pub mod votes;
pub mod world;
