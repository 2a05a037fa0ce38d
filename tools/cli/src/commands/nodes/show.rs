//! Nodes, rosters and proposals in words.

use dctrl_proto::v1::{
    Node, NodeChange, NodeList, NodeProposal, NodeRoster, ProposalChanged, RosterChanged,
    RosterList, node_change::Kind,
};

use super::change::row;
use crate::{
    args::more,
    table::{Table, printable},
    text::{or_dash, short, time, words as words_of},
};

/// The present nodes and the open proposals.
pub(super) fn list(list: &NodeList) -> String {
    let roster = list.roster.clone().unwrap_or_default();
    let mut table = Table::new(&["NODE", ">SEAT", ">RUN", "KEY", "GOSSIP", "BUS", "DOOR"]);
    for one in &roster.nodes {
        let node = row(one);
        table.row([
            node.name,
            one.seat.to_string(),
            one.incarnation.to_string(),
            short(&node.key),
            node.gossip_endpoint,
            node.bus_endpoint,
            node.door_endpoint,
        ]);
    }
    let mut text = format!(
        "roster {} since height {}: {} nodes, of which {} approve a change\n{table}",
        roster.number,
        roster.since_height,
        roster.nodes.len(),
        list.quorum,
    );
    for view in &list.proposals {
        let Some(proposal) = &view.proposal else {
            continue;
        };
        text += &words(proposal);
        let seats = proposal.approvals.iter().map(|approval| approval.seat);
        text += &format!(
            "    approved by {}; waits for {}\n",
            names(&roster, seats),
            printable(&view.waits_for)
        );
    }
    text + &format!("at height {}\n", list.height)
}

/// Every roster, and what made it of the one before.
pub(super) fn history(list: &RosterList) -> String {
    let mut text = String::new();
    let mut before: Option<&NodeRoster> = None;
    for roster in &list.rosters {
        let names: Vec<String> = roster.nodes.iter().map(|one| row(one).name).collect();
        text += &format!(
            "roster {} since height {} ({}): {}\n",
            roster.number,
            roster.since_height,
            time(roster.since_ms),
            printable(&names.join(", "))
        );
        for change in &roster.changes {
            let what = change.change.clone().unwrap_or_default();
            let seats = change.approved_by.iter().copied();
            let approved = match before {
                Some(before) => self::names(before, seats),
                None => format!("{} nodes", change.approved_by.len()),
            };
            let how = if change.proposal.is_empty() {
                "by itself".to_owned()
            } else {
                let digest = short(&change.proposal);
                format!("proposal {digest}, approved by {approved}")
            };
            text += &format!("    {}, {how}\n", sentence(&what));
        }
        before = Some(roster);
    }
    text + &format!("at height {}\n{}", list.height, more(&list.next))
}

/// A change of the nodes in one line.
pub(crate) fn roster_event(event: &RosterChanged) -> String {
    let roster = event.roster.clone().unwrap_or_default();
    let names: Vec<String> = roster.nodes.iter().map(|one| row(one).name).collect();
    format!(
        "roster {} from height {}: {}",
        roster.number,
        roster.since_height,
        names.join(", ")
    )
}

/// How a proposal stands, in one line.
pub(crate) fn proposal_event(event: &ProposalChanged) -> String {
    let proposal = event.proposal.clone().unwrap_or_default();
    format!(
        "proposal {} {}, {} approvals {}",
        short(&proposal.digest),
        words_of(
            event
                .state()
                .as_str_name()
                .trim_start_matches("PROPOSAL_STATE_")
        ),
        proposal.approvals.len(),
        event.detail
    )
}

/// A proposal as it is approved.
pub(super) fn words(proposal: &NodeProposal) -> String {
    let change = proposal.change.clone().unwrap_or_default();
    format!(
        "proposal {}\n    {}\n    reason {}; by {}, until {}{}\n",
        hex::encode(&proposal.digest),
        sentence(&change),
        printable(or_dash(&change.reason)),
        printable(&proposal.proposed_by),
        time(change.expires_at_ms),
        if change.force { ", with force" } else { "" },
    )
}

fn names(roster: &NodeRoster, seats: impl Iterator<Item = u32>) -> String {
    let name = |seat: u32| {
        let node = roster.nodes.iter().find(|one| one.seat == seat);
        node.map_or_else(|| format!("seat {seat}"), |one| row(one).name)
    };
    let names: Vec<String> = seats.map(name).collect();
    printable(or_dash(&names.join(", "))).clone()
}

fn described(node: Option<&Node>) -> String {
    let node = node.cloned().unwrap_or_default();
    printable(&format!(
        "{} (key {}, curve key {}, {} {} {})",
        node.name,
        hex::encode(&node.key),
        short(&node.curve_key),
        node.gossip_endpoint,
        node.bus_endpoint,
        node.door_endpoint,
    ))
}

fn held_against(evidence: &[u8]) -> String {
    if evidence.is_empty() {
        return String::new();
    }
    format!(", for the fork proven by {}", hex::encode(evidence))
}

/// What a change does.
fn sentence(change: &NodeChange) -> String {
    match &change.kind {
        None => "nothing".to_owned(),
        Some(Kind::Add(add)) => format!("add {}", described(add.node.as_ref())),
        Some(Kind::Remove(remove)) => format!(
            "remove the node with key {}{}",
            hex::encode(&remove.key),
            held_against(&remove.evidence)
        ),
        Some(Kind::Replace(replace)) => format!(
            "replace the node with key {} by {}{}",
            hex::encode(&replace.key),
            described(replace.node.as_ref()),
            held_against(&replace.evidence)
        ),
        Some(Kind::Update(update)) => printable(&format!(
            "the node with key {} is reached at {} {} {}, curve key {}",
            hex::encode(&update.key),
            update.gossip_endpoint,
            update.bus_endpoint,
            update.door_endpoint,
            short(&update.curve_key)
        )),
        Some(Kind::Reincarnate(anew)) => {
            let mut text = format!(
                "the node with key {} starts anew as incarnation {}",
                hex::encode(&anew.key),
                anew.incarnation
            );
            if !anew.new_key.is_empty() {
                text += &format!(" under key {}", hex::encode(&anew.new_key));
            }
            if anew.instance != 0 {
                text += &format!(" from disk {}", anew.instance);
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dctrl_proto::v1::{
        NodeAdd, NodeApproval, NodeProposalView, NodeRemove, RosterChange, RosterNode,
    };

    fn node(name: &str, seat: u32) -> RosterNode {
        let key = u8::try_from(seat).unwrap();
        RosterNode {
            node: Some(Node {
                name: name.into(),
                key: vec![key; 32],
                curve_key: vec![key; 32],
                gossip_endpoint: format!("tcp://h:{seat}1"),
                bus_endpoint: format!("tcp://h:{seat}2"),
                door_endpoint: format!("tcp://h:{seat}3"),
            }),
            seat,
            incarnation: 1,
            instance: 0,
        }
    }

    #[test]
    fn a_list_names_who_approved_and_what_is_missing() {
        let change = NodeChange {
            kind: Some(Kind::Add(NodeAdd {
                node: node("echo", 4).node,
            })),
            reason: "a new hall".into(),
            expires_at_ms: 1_750_000_000_000,
            force: true,
        };
        let proposal = NodeProposal {
            digest: vec![0xab; 32],
            change: Some(change),
            proposed_by: "member/olga".into(),
            approvals: vec![NodeApproval {
                seat: 1,
                ..NodeApproval::default()
            }],
            ..NodeProposal::default()
        };
        let shown = list(&NodeList {
            height: 9,
            roster: Some(NodeRoster {
                since_height: 1,
                nodes: vec![node("alpha", 0), node("bravo", 1)],
                ..NodeRoster::default()
            }),
            quorum: 2,
            proposals: vec![NodeProposalView {
                proposal: Some(proposal),
                waits_for: "1 more approvals of 2".into(),
            }],
        });
        let digest = "ab".repeat(32);
        let key = "04".repeat(32);
        let expected = format!(
            "\
roster 0 since height 1: 2 nodes, of which 2 approve a change
NODE   SEAT  RUN  KEY          GOSSIP      BUS         DOOR
alpha     0    1  0000000000…  tcp://h:01  tcp://h:02  tcp://h:03
bravo     1    1  0101010101…  tcp://h:11  tcp://h:12  tcp://h:13
proposal {digest}
    add echo (key {key}, curve key 0404040404…, tcp://h:41 tcp://h:42 tcp://h:43)
    reason a new hall; by member/olga, until 2025-06-15T15:06:40.000Z, with force
    approved by bravo; waits for 1 more approvals of 2
at height 9
"
        );
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_history_tells_approved_changes_from_voluntary_ones() {
        let gone = |proposal: Vec<u8>, approved_by| RosterChange {
            change: Some(NodeChange {
                kind: Some(Kind::Remove(NodeRemove {
                    key: vec![1; 32],
                    evidence: Vec::new(),
                })),
                ..NodeChange::default()
            }),
            proposal,
            approved_by,
        };
        let roster = |number, changes| NodeRoster {
            number,
            since_height: 10 * number + 1,
            nodes: vec![node("alpha", 0)],
            changes,
            ..NodeRoster::default()
        };
        let mut first = roster(0, Vec::new());
        first.nodes.push(node("bravo", 1));
        let rosters = vec![
            first,
            roster(1, vec![gone(vec![7; 32], vec![0, 1])]),
            roster(2, vec![gone(Vec::new(), vec![1])]),
        ];
        let shown = history(&RosterList {
            height: 30,
            rosters,
            next: "2".into(),
        });
        let removed = format!("    remove the node with key {}", "01".repeat(32));
        let expected = format!(
            "\
roster 0 since height 1 (-): alpha, bravo
roster 1 since height 11 (-): alpha
{removed}, proposal 0707070707…, approved by alpha, bravo
roster 2 since height 21 (-): alpha
{removed}, by itself
at height 30
more with --after 2
"
        );
        assert_eq!(shown, expected);
    }
}
