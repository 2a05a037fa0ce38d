//! What a campaign found, for people and programs.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    apart::Grounds,
    campaign::Latencies,
    checks::Findings,
    manifest::Manifest,
    relay::DeedCounts,
    schedule::Theme,
    watch::{DISK_MB_MAX, FILES_MAX, RESIDENT_MB_MAX, SLOPE_MB_PER_MIN_MAX, Watch},
};
use crate::story::Story;

/// A slope of memory is judged in campaigns of at least so many minutes.
const JUDGED_MINUTES: u64 = 20;

/// Latencies are compared from so many on.
const JUDGED_LATENCIES: usize = 100;

/// How much longer honest actions may take while hostile clients are there.
const FLOOD_RATIO_MAX: f64 = 2.0;

/// Everything.
pub(super) struct Report {
    pub(super) seed: u64,
    pub(super) nodes: usize,
    pub(super) minutes: u64,
    pub(super) theme: Theme,
    pub(super) manifest: Manifest,
    pub(super) grounds: Grounds,
    pub(super) rounds: usize,
    pub(super) faults: BTreeMap<&'static str, u64>,
    pub(super) deeds: DeedCounts,
    pub(super) heal_ms: Vec<u64>,
    pub(super) latencies: Latencies,
    pub(super) flood_attempts: u64,
    pub(super) watch: Watch,
    pub(super) findings: Findings,
}

impl Report {
    /// Whether nothing was found.
    pub(super) fn is_sound(&self) -> bool {
        let findings = &self.findings;
        findings.violation_count == 0
            && findings.lost_final == 0
            && findings.double_effects == 0
            && findings.digests_equal
    }

    /// How much longer an honest action takes at the median while hostile
    /// clients are at all ports; none where too few were measured.
    fn flood_ratio(&self) -> Option<f64> {
        let Latencies {
            calm_ms,
            flooded_ms,
        } = &self.latencies;
        if calm_ms.len().min(flooded_ms.len()) < JUDGED_LATENCIES {
            return None;
        }
        let (calm, flooded) = (quantile(calm_ms, 50)?, quantile(flooded_ms, 50)?);
        Some(flooded as f64 / calm.max(1) as f64)
    }

    /// Resources beyond their bounds are findings too.
    pub(super) fn judge_bounds(&mut self) {
        let watch = &self.watch;
        let slope = watch.slope_mb_per_min().unwrap_or(0.0);
        let bounds = [
            (
                "MB of memory of a process",
                watch.resident_mb_max,
                RESIDENT_MB_MAX,
            ),
            (
                "open files of a process",
                watch.files_max as f64,
                FILES_MAX as f64,
            ),
            ("MB of disk of a node", watch.disk_mb_max, DISK_MB_MAX),
            (
                "times the calm latency under a flood",
                match self.theme {
                    Theme::Soak => self.flood_ratio().unwrap_or(0.0),
                    _ => 0.0,
                },
                FLOOD_RATIO_MAX,
            ),
            (
                "MB of memory more a minute",
                if self.minutes >= JUDGED_MINUTES {
                    slope
                } else {
                    0.0
                },
                SLOPE_MB_PER_MIN_MAX,
            ),
        ];
        for (what, is, most) in bounds {
            if is > most {
                self.findings
                    .violation(format!("{is:.1} {what}; {most} are allowed"));
            }
        }
    }

    fn count(&self, kinds: &[&str]) -> u64 {
        let counts = kinds.iter().filter_map(|kind| self.faults.get(kind));
        counts.sum()
    }

    /// For people.
    pub(super) fn tell(&self, story: &mut Story) {
        let findings = &self.findings;
        story.step(format!(
            "{} rounds, {} final actions, {} paid vends, {} violations",
            self.rounds, findings.final_actions, findings.vends, findings.violation_count
        ));
        story.tell(format!("faults: {:?}", self.faults));
        story.tell(format!("ends of vends: {:?}", findings.vends_by_end));
        for violation in &findings.violations {
            story.tell(format!("VIOLATION {violation}"));
        }
    }

    /// For programs.
    ///
    /// # Errors
    /// Where a part is no JSON.
    pub(super) fn into_json(self) -> Result<Value> {
        let (kills, power_cuts) = (
            self.count(&["kill", "kill_agent"]),
            self.count(&["power_cut", "agent_power_cut"]),
        );
        let flood_ratio = self.flood_ratio();
        let mut latencies_ms = self.latencies.calm_ms;
        latencies_ms.extend(&self.latencies.flooded_ms);
        let (disk_first, disk_last) = self.watch.disk_mb.unwrap_or_default();
        let findings = self.findings;
        Ok(json!({
            "ok": findings.violation_count == 0,
            "violations": findings.violation_count,
            "violation_list": findings.violations,
            "kills": kills,
            "power_cuts": power_cuts,
            "faults": self.faults,
            "relays": self.deeds,
            "final_actions": findings.final_actions,
            "lost_final": findings.lost_final,
            "double_effects": findings.double_effects,
            "unanswered": findings.unanswered,
            "certificates_verified": findings.certificates,
            "vends": findings.vends,
            "vends_by_end": findings.vends_by_end,
            "digests_equal": findings.digests_equal,
            "heights_compared": findings.heights_compared,
            "rss_slope_mb_per_min": self.watch.slope_mb_per_min(),
            "rss_mb_max": self.watch.resident_mb_max.round(),
            "open_files_max": self.watch.files_max,
            "disk_mb_max": self.watch.disk_mb_max.round(),
            "disk_growth_mb": (disk_last - disk_first).round(),
            "heal_ms_p50": quantile(&self.heal_ms, 50),
            "heal_ms_max": self.heal_ms.iter().max(),
            "final_ms_p50": quantile(&latencies_ms, 50),
            "final_ms_p99": quantile(&latencies_ms, 99),
            "flood_attempts": self.flood_attempts,
            "flood_latency_ratio": flood_ratio,
            "rounds": self.rounds,
            "seed": self.seed,
            "nodes": self.nodes,
            "minutes": self.minutes,
            "theme": self.theme,
            "disks": self.grounds.disks,
            "nets": self.grounds.nets,
            "manifest": serde_json::to_value(&self.manifest)?,
        }))
    }
}

/// The value that `percent` of a hundred are not above; none of none.
pub(super) fn quantile(values: &[u64], percent: usize) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_sorted_values() {
        let values: Vec<u64> = (0..100).rev().collect();
        assert_eq!(quantile(&values, 50), Some(50));
        assert_eq!(quantile(&values, 99), Some(99));
        assert_eq!(quantile(&[7], 99), Some(7));
        assert_eq!(quantile(&[], 50), None);
    }
}
