//! What a follower has seen, for status pages and tests.

/// Counts since the follower started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Frames handed out.
    pub delivered: u64,
    /// Good frames that had been handed out before.
    pub duplicates: u64,
    /// Frames and messages that were malformed, uncertified or not asked for.
    pub invalid: u64,
    /// Frames of a roster that is not known yet; they come back by replay.
    pub unknown_roster: u64,
    /// Good frames that found no room; they come back by replay.
    pub no_room: u64,
    /// Frames handed out that first arrived by replay.
    pub replayed: u64,
    /// Holes found in a topic.
    pub gaps: u64,
    /// Replay requests that a node refused or left unanswered.
    pub unanswered: u64,
    /// How often it was told to go on behind what the nodes have forgotten.
    pub skips: u64,
    /// Connections made anew, since nothing was heard of them or they took
    /// nothing.
    pub dialled_again: u64,
}
