//! The nodes: who they are, who they were, and what is proposed.

use dctrl_proto::v1::{NodeProposalView, NodeRoster, Refusal};

use super::{Page, bad_cursor, page_rows};
use crate::caller::Principal;
use crate::scope::Scope;
use crate::votes::quorum_of;
use crate::{StateRead, keys, roster, tables};

/// Rosters of a page at most: each names up to 128 nodes.
pub const ROSTERS_PAGE_MAX: usize = 100;

/// The present roster: the nodes that order and sign the next block.
#[must_use]
pub fn roster(state: &dyn StateRead) -> NodeRoster {
    roster::present(state)
}

/// The seat of the present node with this key: by it the ledger names the node
/// in votes.
#[must_use]
pub fn seat_of(state: &dyn StateRead, key: &[u8]) -> Option<u32> {
    match Principal::find(state, key)? {
        Principal::Node(seat) => Some(seat),
        Principal::Machine(_) | Principal::Member(_) => None,
    }
}

/// Present nodes that must approve a change.
#[must_use]
pub fn quorum(state: &dyn StateRead) -> usize {
    quorum_of(tables::meta(state).seats.len())
}

/// Every roster there was, by number; the cursor is a roster's number.
///
/// # Errors
/// INVALID for a cursor that is no number.
pub fn rosters(
    state: &dyn StateRead,
    limit: usize,
    after: &str,
) -> Result<Page<NodeRoster>, Refusal> {
    let limit = page_rows(limit).min(ROSTERS_PAGE_MAX);
    let after = match after {
        "" => None,
        text => Some(keys::roster(text.parse().map_err(|_| bad_cursor())?)),
    };
    let entries = state.scan(keys::ROSTERS, after.as_deref(), limit);
    let rows: Vec<NodeRoster> = entries
        .iter()
        .map(|(key, value)| tables::decode(key, value))
        .collect();
    let last = rows.last().map_or(0, |roster| roster.number);
    let next = if last < tables::meta(state).roster_number && !rows.is_empty() {
        last.to_string()
    } else {
        String::new()
    };
    Ok(Page { rows, next })
}

/// The open proposals, the oldest first, each with what it waits for.
#[must_use]
pub fn proposals(state: &dyn StateRead) -> Vec<NodeProposalView> {
    let scope = Scope::open(state, 0, 0);
    let view = scope.view();
    let show = |proposal| NodeProposalView {
        waits_for: roster::waits_for(&view, &proposal),
        proposal: Some(proposal),
    };
    roster::all(state).into_iter().map(show).collect()
}
