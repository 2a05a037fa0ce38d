//! Where a test stops a node. What a crash point is, and how one is chosen, says
//! `dctrl_crash`.

/// The crash points of this crate.
pub const CRASH_POINTS: &[&str] = &[
    // By which the node knows its disk again.
    "node.mark.half_written",
    "node.mark.written",
    "node.mark.synced",
    "node.mark.named",
    "node.guard.half_written",
    "node.guard.written",
    "node.guard.synced",
    "node.guard.named",
    // The ballast.
    "node.ballast.before",
    "node.ballast.made",
    "node.ballast.removed",
    // A batch is durable, and the world does not know yet; and knows.
    "node.acknowledge.before",
    "node.acknowledge.after",
];

/// Those of everything that a node's process writes.
#[must_use]
pub fn all() -> Vec<&'static str> {
    [
        CRASH_POINTS,
        dctrl_store::CRASH_POINTS,
        dctrl_effects::CRASH_POINTS,
        dctrl_follow::CRASH_POINTS,
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crash_point_of_this_crate_stands_in_the_code_and_none_is_named_twice() {
        let code = concat!(
            include_str!("disk.rs"),
            include_str!("space.rs"),
            include_str!("pipeline/settle.rs"),
        );
        for name in CRASH_POINTS {
            assert!(code.contains(&format!("\"{name}\"")), "{name}");
        }
        let all = all();
        let once: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(once.len(), all.len());
    }
}
