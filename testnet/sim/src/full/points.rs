//! The named places at which a process is killed.
//!
//! Those of an agent are the agent's own, of which the ones around its journal
//! exist for each kind of record. Those of a node stand around each batch, and
//! are named as the real store names its own (`store.commit`), for each kind of
//! batch by what it holds at most: before it is written, torn, written and not
//! synced, synced, and applied before anybody is told. A follower's are at its
//! cursor, and before and behind what it broadcasts.

use dctrl_agent::crash::CRASH_POINTS;

use super::store::Content;

/// The places of a node.
pub(super) const NODE_POINTS: [[&str; 5]; 3] = [
    [
        "store.commit.before_write.records",
        "store.commit.half_written.records",
        "store.commit.written.records",
        "store.commit.synced.records",
        "store.commit.applied.records",
    ],
    [
        "store.commit.before_write.block",
        "store.commit.half_written.block",
        "store.commit.written.block",
        "store.commit.synced.block",
        "store.commit.applied.block",
    ],
    [
        "store.commit.before_write.certificate",
        "store.commit.half_written.certificate",
        "store.commit.written.certificate",
        "store.commit.synced.certificate",
        "store.commit.applied.certificate",
    ],
];

/// A follower's cursor: between the deed and the note that it is done.
pub(super) const FOLLOWER_POINTS: [&str; 2] = ["follower.before_deed", "follower.before_cursor"];

/// Around the broadcast of a payout.
pub(super) const PAYOUT_POINTS: [&str; 2] = ["payout.before_broadcast", "payout.broadcast"];

/// The stages of [`NODE_POINTS`].
#[derive(Debug, Clone, Copy)]
pub(super) enum Moment {
    Before,
    Torn,
    AfterWrite,
    AfterSync,
    BeforeAcknowledgement,
}

pub(super) fn node_point(content: Content, moment: Moment) -> &'static str {
    NODE_POINTS[content as usize][moment as usize]
}

/// Points of the agent for which the simulated process has no step of its own:
/// a level of the line is no step of the state machine, but the two ends of
/// the pulse are.
pub(super) fn all() -> Vec<&'static str> {
    let nodes = NODE_POINTS.into_iter().flatten();
    nodes
        .chain(FOLLOWER_POINTS)
        .chain(PAYOUT_POINTS)
        .chain(CRASH_POINTS.iter().copied())
        .collect()
}

/// The agent's point of this name.
pub(super) fn agent_point(name: &str) -> Option<&'static str> {
    CRASH_POINTS.iter().copied().find(|point| *point == name)
}
