//! Where a test stops a process that runs effects. What a crash point is, and
//! how one is chosen, says `dctrl_crash`.

/// The crash points of this crate.
pub const CRASH_POINTS: &[&str] = &[
    // The event log.
    "effects.log.segment_made",
    "effects.log.half_written",
    "effects.log.written",
    "effects.log.synced",
    "effects.log.torn_line_cut",
    // The last block of the chain that was dealt with.
    "effects.cursor.half_written",
    "effects.cursor.written",
    "effects.cursor.named",
    // Alerts of machines.
    "effects.alerts.half_written",
    "effects.alerts.written",
    "effects.alerts.set_aside",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crash_point_stands_in_the_code_that_writes_the_file() {
        let code = concat!(
            include_str!("event_logger/segment.rs"),
            include_str!("chain/notifier/cursor.rs"),
            include_str!("machine/alerts.rs"),
        );
        for name in CRASH_POINTS {
            assert!(code.contains(&format!("(\"{name}\"")), "{name}");
        }
        let points = code.matches("dctrl_crash::").count();
        assert_eq!(points, CRASH_POINTS.len(), "one is in no list");
    }
}
