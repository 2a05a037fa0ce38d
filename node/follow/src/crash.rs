//! Where a test stops a process that follows the bus. What a crash point is,
//! and how one is chosen, says `dctrl_crash`.

/// The crash points of this crate: the file of changes of membership.
pub const CRASH_POINTS: &[&str] = &[
    "follow.rosters.half_written",
    "follow.rosters.written",
    "follow.rosters.synced",
    "follow.rosters.named",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crash_point_stands_in_the_code_that_writes_the_file() {
        let code = include_str!("rosters.rs");
        for name in CRASH_POINTS {
            assert!(code.contains(&format!("(\"{name}\"")), "{name}");
        }
        let points = code.matches("dctrl_crash::").count();
        assert_eq!(points, CRASH_POINTS.len(), "one is in no list");
    }
}
