//! Whether each roster follows from the one before by what was approved.

use std::collections::BTreeSet;

use dctrl_proto::proposal::proposal_digest;
use dctrl_proto::v1::{
    ChainVote, LedgerMeta, NodeProposal, NodeRoster, Payment, PaymentState, PriceVotes,
    RosterChange,
};

use super::full::Findings;
use crate::caller::Principal;
use crate::votes::quorum_of;
use crate::{StateRead, keys, roster, tables};

/// All that concerns the nodes.
pub(super) fn check(state: &dyn StateRead, found: &mut Findings) {
    let meta = tables::meta(state);
    history_is_approved(state, &meta, found);
    keys_are_the_present_nodes(state, found);
    proposals_are_what_was_approved(state, &meta, found);
    if meta.votes_roster_number == meta.roster_number {
        votes_are_of_present_nodes(state, &meta.seats, found);
    }
    for table in [keys::NODES_LEAVING, keys::NODES_RENEWING] {
        found.expect(state.scan(table, None, 1).is_empty(), || {
            "A node goes on leaving or changing its disk after its block.".to_owned()
        });
    }
}

fn seats(roster: &NodeRoster) -> BTreeSet<u32> {
    roster.nodes.iter().map(|node| node.seat).collect()
}

fn history_is_approved(state: &dyn StateRead, meta: &LedgerMeta, found: &mut Findings) {
    let rosters: Vec<NodeRoster> = tables::rows(state, keys::ROSTERS).collect();
    for (number, roster) in (0..).zip(&rosters) {
        found.expect(roster.number == number, || {
            format!("Roster {number} is missing.")
        });
    }
    let mut next_seat = rosters.first().map_or(0, |first| first.nodes.len());
    for pair in rosters.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        let number = after.number;
        let mut nodes = before.nodes.clone();
        for made in &after.changes {
            found.expect(is_approved(before, made), || {
                format!("A change in roster {number} had too few approvals.")
            });
            let seat = u32::try_from(next_seat).unwrap_or(u32::MAX);
            let change = made.change.clone().unwrap_or_default();
            match roster::applied_to(&nodes, &change, seat) {
                Ok(next) => nodes = next,
                Err(refusal) => found.expect(false, || {
                    format!("A change in roster {number} does not fit: {refusal}.")
                }),
            }
            next_seat += usize::from(nodes.iter().any(|node| node.seat == seat));
        }
        found.expect(nodes == after.nodes && !after.changes.is_empty(), || {
            format!("Roster {number} does not follow from its changes.")
        });
        found.expect(before.since_height < after.since_height, || {
            format!("Roster {number} began before the one before.")
        });
    }
    let last = rosters.last();
    let as_kept = last.is_some_and(|last| {
        last.number == meta.roster_number
            && last
                .nodes
                .iter()
                .map(|node| node.seat)
                .eq(meta.seats.iter().copied())
    });
    found.expect(as_kept && next_seat == meta.next_seat as usize, || {
        "The present roster is not the last one.".to_owned()
    });
}

/// Stops the process where a block makes a roster that the one before did not
/// approve.
pub(super) fn assert_approved(state: &dyn StateRead, roster: &NodeRoster) {
    let Some(number) = roster.number.checked_sub(1) else {
        return;
    };
    let before: NodeRoster =
        tables::read(state, &keys::roster(number)).expect("every roster is kept");
    for made in &roster.changes {
        assert!(is_approved(&before, made), "{made:?} was not approved");
    }
}

/// A quorum of the roster before approved, or the one node that went.
fn is_approved(before: &NodeRoster, made: &RosterChange) -> bool {
    let approved: BTreeSet<u32> = made.approved_by.iter().copied().collect();
    let distinct = approved.len() == made.approved_by.len();
    let enough = if made.proposal.is_empty() {
        approved.len() == 1
    } else {
        approved.len() >= quorum_of(before.nodes.len())
    };
    distinct && enough && approved.is_subset(&seats(before))
}

fn keys_are_the_present_nodes(state: &dyn StateRead, found: &mut Findings) {
    let present = roster::present(state);
    let nodes = tables::walk(state, keys::PRINCIPALS)
        .filter(|(_, who)| who.starts_with(b"node/"))
        .count();
    found.expect(nodes == present.nodes.len(), || {
        format!("{nodes} keys are held by {} nodes.", present.nodes.len())
    });
    for node in &present.nodes {
        let key = &roster::row(node).key;
        let holds = Principal::find(state, key) == Some(Principal::Node(node.seat));
        let free = state.get(&keys::node_banned(key)).is_none();
        found.expect(holds && free, || {
            format!("Seat {} does not hold its key.", node.seat)
        });
    }
}

fn proposals_are_what_was_approved(state: &dyn StateRead, meta: &LedgerMeta, found: &mut Findings) {
    for proposal in tables::rows::<NodeProposal>(state, keys::NODE_PROPOSALS) {
        let change = proposal.change.clone().unwrap_or_default();
        let digest = proposal_digest(&meta.cluster, &change);
        found.expect(proposal.digest == digest, || {
            format!(
                "Proposal {} is of other words.",
                hex::encode(&proposal.digest)
            )
        });
        let seats: Vec<u32> = proposal.approvals.iter().map(|one| one.seat).collect();
        let sound = seats.windows(2).all(|pair| pair[0] < pair[1])
            && seats.iter().all(|seat| meta.seats.contains(seat));
        found.expect(sound, || {
            format!("Proposal {} is approved by {seats:?}.", hex::encode(digest))
        });
    }
}

/// Payments that can still change; the others are not looked at any more.
fn is_open(payment: &Payment) -> bool {
    use PaymentState::{Confirmed, Reported, Seen};
    matches!(payment.state(), Reported | Seen | Confirmed)
}

fn votes_are_of_present_nodes(state: &dyn StateRead, seats: &[u32], found: &mut Findings) {
    let mut voted: BTreeSet<u32> = BTreeSet::new();
    voted.extend(
        tables::tip(state)
            .votes
            .iter()
            .map(|vote: &ChainVote| vote.node),
    );
    for votes in tables::rows::<PriceVotes>(state, keys::PRICE_VOTES) {
        voted.extend(votes.votes.iter().map(|vote| vote.node));
    }
    for payment in tables::rows::<Payment>(state, keys::PAYMENTS).filter(is_open) {
        voted.extend(payment.votes.iter().map(|vote| vote.node));
    }
    for (key, _) in tables::walk(state, keys::REPORTED) {
        voted.insert(keys::parse_reported(&key));
    }
    let gone: Vec<&u32> = voted.iter().filter(|seat| !seats.contains(seat)).collect();
    found.expect(gone.is_empty(), || {
        format!("Votes of the seats {gone:?} count, which nobody holds.")
    });
}
