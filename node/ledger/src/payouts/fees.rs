//! The fee rate, as the federation agrees on it from what its nodes find.

use dctrl_proto::v1::{FeeVote, FeeVotes};

use super::rules::rules;
use crate::scope::{Scope, View};
use crate::{keys, tables};

/// An observation older than this does not count: an hour.
const AGE_MS_MAX: u64 = 60 * 60 * 1000;

/// Takes in what a node finds right.
pub(crate) fn observe(scope: &mut Scope<'_>, node: u32, fee_rate: u64) {
    let mut votes: FeeVotes = tables::read(scope, keys::FEE_VOTES).unwrap_or_default();
    let present = scope.federation();
    votes
        .votes
        .retain(|vote| vote.node != node && present.has(vote.node));
    votes.votes.push(FeeVote {
        node,
        fee_rate,
        at_ms: scope.time_ms(),
    });
    votes.votes.sort_by_key(|vote| vote.node);
    scope.put(keys::FEE_VOTES.to_vec(), &votes);
}

/// The median of the fresh observations within the bounds of the rules, and
/// how it was found. With fewer than a quorum of them, liars could move it out
/// of the range of the honest ones: then the lowest rate serves.
pub(super) fn rate(view: &View<'_>) -> (u64, String) {
    let rules = rules(view.genesis);
    let votes: FeeVotes = tables::read(view.state, keys::FEE_VOTES).unwrap_or_default();
    let mut fresh: Vec<u64> = votes
        .votes
        .iter()
        .filter(|vote| view.federation.has(vote.node))
        .filter(|vote| view.time_ms.saturating_sub(vote.at_ms) <= AGE_MS_MAX)
        .map(|vote| vote.fee_rate)
        .collect();
    let (found, quorum) = (fresh.len(), view.federation.quorum());
    if found < quorum {
        let note = format!("the lowest rate: {found} of {quorum} nodes know a better one");
        return (rules.fee_rate_min, note);
    }
    fresh.sort_unstable();
    let median = fresh[(found - 1) / 2];
    let rate = median.clamp(rules.fee_rate_min, rules.fee_rate_max);
    let note = if rate == median {
        format!("the median of {found} nodes")
    } else {
        format!("the median of {found} nodes is {median}, out of bounds")
    };
    (rate, note)
}
