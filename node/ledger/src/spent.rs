//! Sums over the last few periods of consensus time, for caps by hour and day.

use dctrl_proto::v1::{Spent, SpentPart};

use crate::scope::Scope;
use crate::{StateRead, tables};

/// A cap over a sliding number of periods.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cap {
    /// Length of a period, milliseconds.
    pub(crate) period_ms: u64,
    /// Periods that count besides the present one.
    pub(crate) before: u64,
    /// Most in all of them.
    pub(crate) sats_max: u64,
}

impl Cap {
    fn oldest(&self, now_ms: u64) -> u64 {
        (now_ms / self.period_ms).saturating_sub(self.before)
    }

    /// Whether `sats` more stay within the cap.
    pub(crate) fn allows(&self, state: &dyn StateRead, key: &[u8], now_ms: u64, sats: u64) -> bool {
        let spent: Spent = tables::read(state, key).unwrap_or_default();
        let oldest = self.oldest(now_ms);
        let counted = spent.parts.iter().filter(|part| part.period >= oldest);
        let before = counted.fold(0_u64, |sum, part| sum.saturating_add(part.sats));
        before.saturating_add(sats) <= self.sats_max
    }

    /// Counts `sats`, and forgets what no longer counts.
    pub(crate) fn add(&self, scope: &mut Scope<'_>, key: Vec<u8>, sats: u64) {
        let mut spent: Spent = tables::read(scope, &key).unwrap_or_default();
        let (oldest, present) = (
            self.oldest(scope.time_ms()),
            scope.time_ms() / self.period_ms,
        );
        spent.parts.retain(|part| part.period >= oldest);
        match spent.parts.last_mut() {
            Some(last) if last.period == present => last.sats = last.sats.saturating_add(sats),
            _ => spent.parts.push(SpentPart {
                period: present,
                sats,
            }),
        }
        scope.put(key, &spent);
    }
}
