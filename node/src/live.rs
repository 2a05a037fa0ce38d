//! What the node shows of itself beside the state: for `GetStatus`.

use std::sync::{Arc, Mutex, PoisonError};

use dctrl_api::LiveStatus;
use dctrl_consensus::{PublicKey, Roster, Summary, Timestamp};
use dctrl_proto::v1::PeerStatus;

use crate::{admission::wall_clock_ms, scrub::Findings, space::Space};

/// A peer that was not heard from for this long is shown as unreachable,
/// milliseconds. Idle nodes still exchange a summary every three seconds.
const PEER_SILENT_MS_MAX: u64 = 10_000;

/// Alerts of the effects, as sentences.
pub(crate) type Alerts = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// Where the present condition is read from.
pub(crate) struct LiveViews {
    pub(crate) summary: Arc<Mutex<Summary>>,
    pub(crate) roster: Arc<Mutex<Roster>>,
    pub(crate) me: PublicKey,
    pub(crate) alerts: Alerts,
    /// How each bitcoin backend stands, one sentence each.
    pub(crate) chain: Alerts,
    pub(crate) space: Space,
    pub(crate) damage: Findings,
}

impl LiveViews {
    /// The present condition.
    pub(crate) fn read(&self) -> LiveStatus {
        let summary = self
            .summary
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        LiveStatus {
            round: summary.round,
            pool: u32::try_from(summary.pool_transactions).unwrap_or(u32::MAX),
            undecided_events: u32::try_from(summary.undecided_events).unwrap_or(u32::MAX),
            peers: self.peers(&summary),
            alerts: self
                .space
                .trouble()
                .into_iter()
                .chain(self.damage.sentences())
                .chain((self.alerts)())
                .collect(),
            chain_backends: (self.chain)(),
        }
    }

    fn peers(&self, summary: &Summary) -> Vec<PeerStatus> {
        let now_ms = wall_clock_ms();
        let roster = self.roster.lock().unwrap_or_else(PoisonError::into_inner);
        // For a moment the one may be of another epoch than the other.
        let known = summary.last_heard.len().min(summary.known.len());
        let rows = roster.members.iter().enumerate().take(known);
        rows.filter(|(_, node)| node.key != self.me)
            .map(|(index, node)| {
                let heard_ms_ago = summary.last_heard[index].map_or(u64::MAX, |at: Timestamp| {
                    now_ms.saturating_sub(at.as_millis())
                });
                PeerStatus {
                    name: node.name.clone(),
                    index: u32::try_from(index).unwrap_or(u32::MAX),
                    reachable: heard_ms_ago <= PEER_SILENT_MS_MAX,
                    last_heard_ms_ago: heard_ms_ago,
                    last_event_sequence: summary.known[index]
                        .map_or(-1, |sequence| i64::try_from(sequence).unwrap_or(i64::MAX)),
                    forked: summary
                        .forked
                        .iter()
                        .any(|node| usize::from(node.0) == index),
                }
            })
            .collect()
    }
}
