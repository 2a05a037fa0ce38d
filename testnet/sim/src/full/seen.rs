//! What runs of the whole world met, by name: a campaign that never met one of
//! these has not tested it.

use std::collections::BTreeMap;

/// Faults that a campaign must meet.
pub(super) const FAULTS: &[&str] = &[
    "agent_kills",
    "agent_power_losses",
    "backend_down",
    "backend_lagging",
    "blocks_reorganised",
    "censored",
    "broadcasts_withheld",
    "chain_lies",
    "disks_corrupted",
    "double_drops",
    "fee_lies",
    "forged_frames",
    "frames_doubled",
    "frames_lost",
    "hints_lost",
    "jams",
    "journals_damaged",
    "journals_lost",
    "late_drops",
    "node_crashes",
    "payments_dropped_by_reorg",
    "payments_replaced",
    "payout_lies",
    "price_lies",
    "replies_lost",
    "stuck_sensors",
    "writes_misdirected",
    "writes_stalled",
];

/// Rare branches that a campaign must meet.
pub(super) const BRANCHES: &[&str] = &[
    "acknowledged_final",
    "agents_reset",
    "already_applied",
    "damage_detected",
    "frames_held",
    "idempotent_retries",
    "members_suspended",
    "outcome_credited",
    "outcome_dispensed",
    "outcome_expired",
    "outcome_paid_late",
    "outcome_uncertain",
    "paid_exactly",
    "paid_in_parts",
    "paid_late",
    "paid_over",
    "paid_twice",
    "paid_under",
    "payments_reorged",
    "payouts_cancelled",
    "payouts_proposed",
    "payouts_raised",
    "payouts_rejected",
    "payouts_sent",
    "payouts_sent_again",
    "payouts_sent_by_others",
    "payouts_settled",
    "real_signatures",
    "refused_after_revocation",
    "replays",
    "resolved_by_operator",
    "restocked",
    "taken_back_later",
    "ticks",
    "topped_up",
];

/// How often each was met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    /// Counts one.
    pub(super) fn hit(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    /// How often it was met.
    #[must_use]
    pub fn count(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    /// Those of a list, met or not.
    pub(super) fn of(&self, names: &[&'static str]) -> BTreeMap<&'static str, u64> {
        names.iter().map(|name| (*name, self.count(name))).collect()
    }

    /// All that was met and begins so, without that beginning.
    pub(super) fn under(&self, prefix: &str) -> BTreeMap<&'static str, u64> {
        let found = self.0.iter();
        found
            .filter_map(|(name, count)| Some((name.strip_prefix(prefix)?, *count)))
            .collect()
    }
}
