//! Changes of the nodes: what takes effect, when, and what is refused.

use dctrl_ledger::query;
use dctrl_proto::v1::bus_body::Event;
use dctrl_proto::v1::node_change::Kind;
use dctrl_proto::v1::{
    MemberSet, NodeApprove, NodeChange, NodeLeave, NodeReincarnate, NodeUpdate, ProposalState,
    RefusalCode, SignedAction, TimeTick,
};

use crate::common::nodes::{
    ALPHA, BRAVO, CHARLIE, DELTA, ECHO, FOXTROT, GOLF, WAIT_MS, add, names, reincarnate, remove,
    remove_for_fork, replace, row, rule,
};
use crate::common::{ALICE, Federation, Key, MACHINE, OPERATOR};

/// What was told of proposals, in order.
fn fates(federation: &Federation) -> Vec<ProposalState> {
    let told = federation.told.iter().filter_map(|body| match &body.event {
        Some(Event::Proposal(changed)) => Some(changed.state()),
        _ => None,
    });
    told.collect()
}

fn approval(federation: &mut Federation, seed: u8, digest: &[u8]) -> SignedAction {
    let proposal = digest.to_vec();
    federation.action(seed, &NodeApprove { proposal })
}

#[test]
fn a_change_takes_effect_in_the_block_of_the_approval_that_makes_the_quorum() {
    let mut federation = Federation::new();
    federation.submit(DELTA, &TimeTick {}).unwrap();
    let digest = federation.propose(OPERATOR, add(ECHO)).unwrap();
    for seed in [ALPHA, BRAVO] {
        federation.approve(seed, &digest).unwrap();
        assert_eq!(federation.next_roster(), None);
    }
    federation.approve(CHARLIE, &digest).unwrap();
    let next = federation.next_roster().unwrap();
    assert_eq!((next.number, next.since_height), (1, federation.height + 1));
    assert_eq!(
        names(&next),
        ["node-0", "node-1", "node-2", "node-3", "late-50"]
    );
    assert_eq!(next.changes[0].approved_by, [0, 1, 2]);
    assert_eq!(next.nodes[4].node, Some(row(ECHO)));
    assert_eq!((next.nodes[4].seat, next.nodes[4].incarnation), (4, 1));
    assert_eq!(federation.roster(), next);
    federation.wait(1);
    assert_eq!(federation.next_roster(), None);
    let told = federation.told.iter().find_map(|body| match &body.event {
        Some(Event::Roster(changed)) => changed.roster.clone(),
        _ => None,
    });
    assert_eq!(told, Some(next));
    assert_eq!(query::proposals(&federation.state), []);
}

#[test]
fn a_node_that_proposes_approves_with_that_and_an_operator_does_not() {
    let mut federation = Federation::new();
    let by_node = federation.propose(ALPHA, remove(DELTA)).unwrap();
    federation.approve(BRAVO, &by_node).unwrap();
    assert_eq!(rule(federation.approve(ALPHA, &by_node)), "node.approval");
    federation.approve(CHARLIE, &by_node).unwrap();
    assert_eq!(federation.names(), ["node-0", "node-1", "node-2"]);

    let mut federation = Federation::new();
    let by_operator = federation.decide(remove(DELTA), &[ALPHA, BRAVO]);
    assert_eq!(federation.next_roster(), None);
    let waits = &query::proposals(&federation.state)[0].waits_for;
    assert_eq!(waits, "1 more approvals of 3");
    federation.approve(CHARLIE, &by_operator).unwrap();
    assert!(federation.next_roster().is_some());
}

#[test]
fn only_nodes_approve_and_only_nodes_and_operators_propose() {
    let mut federation = Federation::new();
    assert_eq!(
        rule(federation.propose(ALICE, remove(DELTA))),
        "action.role"
    );
    assert_eq!(
        rule(federation.propose(MACHINE, remove(DELTA))),
        "action.role"
    );
    let digest = federation.propose(OPERATOR, remove(DELTA)).unwrap();
    assert_eq!(rule(federation.approve(OPERATOR, &digest)), "action.role");
}

#[test]
fn all_changes_of_one_block_make_one_next_roster() {
    let mut federation = Federation::new();
    let gone = federation.roster().nodes[0].node.clone().unwrap();
    let mut digests = Vec::new();
    for kind in [add(ECHO), remove(BRAVO), replace(CHARLIE, FOXTROT)] {
        let digest = federation.force(ALPHA, kind).unwrap();
        federation.approve(DELTA, &digest).unwrap();
        digests.push(digest);
    }
    let mut block = Vec::new();
    for digest in &digests {
        block.push(approval(&mut federation, CHARLIE, digest));
    }
    let leave = NodeLeave {
        name: "node-0".into(),
        reason: String::new(),
        force: true,
    };
    block.push(federation.action(ALPHA, &leave));
    let receipts = federation.block(&block);
    assert!(receipts.iter().all(|receipt| receipt.refusal.is_none()));
    let next = federation.next_roster().unwrap();
    assert_eq!((next.number, next.changes.len()), (1, 4));
    assert_eq!(names(&next), ["late-51", "node-3", "late-50"]);
    let seats: Vec<u32> = next.nodes.iter().map(|node| node.seat).collect();
    assert_eq!(seats, [5, 3, 4]);
    for node in &next.nodes {
        let key = &node.node.as_ref().unwrap().key;
        assert_eq!(query::seat_of(&federation.state, key), Some(node.seat));
    }
    assert_eq!(query::seat_of(&federation.state, &gone.key), None);
}

#[test]
fn a_node_that_is_to_go_has_no_veto_and_its_approval_counts() {
    let mut federation = Federation::new();
    federation.decide(remove(DELTA), &[ALPHA, BRAVO, CHARLIE]);
    assert_eq!(federation.roster().number, 1);
    let mut federation = Federation::new();
    federation.decide(remove(DELTA), &[ALPHA, BRAVO, DELTA]);
    // Two of the three that remain have been heard of; all three must work.
    assert_eq!(federation.roster().number, 0);
    federation.submit(CHARLIE, &TimeTick {}).unwrap();
    assert_eq!(federation.roster().number, 1);
}

#[test]
fn a_change_waits_until_a_quorum_of_those_who_stay_has_been_heard_of() {
    let mut federation = Federation::new();
    federation.decide(add(ECHO), &[ALPHA, BRAVO, CHARLIE]);
    assert_eq!(federation.next_roster(), None, "four of five must work");
    let waits = query::proposals(&federation.state)[0].waits_for.clone();
    assert!(waits.contains("only 3 have been heard of"), "{waits}");
    federation.submit(DELTA, &TimeTick {}).unwrap();
    assert_eq!(federation.next_roster().unwrap().nodes.len(), 5);

    let mut silent = Federation::new();
    let digest = silent.force(OPERATOR, add(ECHO)).unwrap();
    for seed in [ALPHA, BRAVO, CHARLIE] {
        silent.approve(seed, &digest).unwrap();
    }
    assert!(silent.next_roster().is_some(), "with force");
}

#[test]
fn a_node_that_was_heard_of_long_ago_may_be_down() {
    let mut federation = Federation::new();
    federation.submit(DELTA, &TimeTick {}).unwrap();
    federation.wait(WAIT_MS + 1);
    federation.decide(add(ECHO), &[ALPHA, BRAVO, CHARLIE]);
    assert_eq!(federation.next_roster(), None);
}

#[test]
fn one_two_and_three_nodes_grow_and_shrink() {
    let mut federation = Federation::of(1);
    assert_eq!(rule(federation.propose(ALPHA, remove(ALPHA))), "node.last");
    assert_eq!(rule(federation.leave(ALPHA, "node-0")), "node.last");
    assert_eq!(rule(federation.propose(ALPHA, add(ECHO))), "node.quorum");
    federation.force(ALPHA, add(ECHO)).unwrap();
    assert_eq!(federation.names(), ["node-0", "late-50"]);
    let digest = federation.force(ALPHA, add(FOXTROT)).unwrap();
    assert_eq!(federation.next_roster(), None, "two of two approve");
    federation.approve(ECHO, &digest).unwrap();
    assert_eq!(federation.roster().nodes.len(), 3);
    federation.submit(FOXTROT, &TimeTick {}).unwrap();
    let digest = federation.propose(ALPHA, add(GOLF)).unwrap();
    federation.approve(FOXTROT, &digest).unwrap();
    assert_eq!(federation.next_roster(), None, "three of three approve");
    federation.approve(ECHO, &digest).unwrap();
    assert_eq!(federation.roster().nodes.len(), 4, "three of four work");
    federation.submit(GOLF, &TimeTick {}).unwrap();
    for (seed, name) in [(ECHO, "late-50"), (FOXTROT, "late-51"), (GOLF, "late-52")] {
        federation.leave(seed, name).unwrap();
        assert!(federation.next_roster().is_some());
    }
    assert_eq!(federation.names(), ["node-0"]);
    assert_eq!(federation.roster().number, 6);
}

#[test]
fn a_proposal_expires_by_consensus_time() {
    let mut federation = Federation::new();
    let digest = federation.decide(remove(DELTA), &[ALPHA, BRAVO]);
    federation.now_ms += WAIT_MS;
    assert_eq!(rule(federation.approve(CHARLIE, &digest)), "node.expired");
    assert_eq!(fates(&federation).last(), Some(&ProposalState::Expired));
    assert_eq!(rule(federation.approve(CHARLIE, &digest)), "node.proposal");
    assert_eq!(federation.roster().number, 0);
    let mut change = federation.change(remove(DELTA));
    change.expires_at_ms = federation.now_ms;
    let late = federation.propose_change(ALPHA, change.clone());
    assert_eq!(rule(late), "node.expired");
    change.expires_at_ms = federation.now_ms + 31 * 24 * 3_600_000;
    assert_eq!(
        rule(federation.propose_change(ALPHA, change)),
        "node.expiry"
    );
}

#[test]
fn an_approval_is_for_the_words_of_one_digest_only() {
    let mut federation = Federation::new();
    let first = federation.decide(remove(DELTA), &[ALPHA, BRAVO]);
    let second = federation.decide(remove(CHARLIE), &[ALPHA]);
    assert_ne!(first, second);
    federation.approve(CHARLIE, &second).unwrap();
    assert_eq!(federation.roster().number, 0, "two and two are not three");
    assert_eq!(rule(federation.approve(CHARLIE, &[7; 32])), "node.proposal");
    assert_eq!(rule(federation.approve(CHARLIE, &[7; 31])), "bytes.length");
    let again = federation.change(remove(DELTA));
    let again = NodeChange {
        expires_at_ms: query::proposals(&federation.state)[0]
            .proposal
            .clone()
            .unwrap()
            .change
            .unwrap()
            .expires_at_ms,
        ..again
    };
    let digest = federation.propose_change(DELTA, again);
    assert_eq!(rule(digest), "node.proposal", "it is open already");
}

#[test]
fn an_approval_that_was_taken_back_does_not_count() {
    let mut federation = Federation::new();
    let digest = federation.decide(remove(DELTA), &[ALPHA, BRAVO]);
    federation.withdraw(ALPHA, &digest).unwrap();
    federation.approve(CHARLIE, &digest).unwrap();
    assert_eq!(federation.roster().number, 0);
    assert_eq!(rule(federation.withdraw(DELTA, &digest)), "node.withdraw");
    federation.approve(ALPHA, &digest).unwrap();
    assert_eq!(federation.roster().number, 1);
}

#[test]
fn who_proposed_takes_the_whole_proposal_back() {
    let mut federation = Federation::new();
    let digest = federation.decide(remove(DELTA), &[ALPHA, BRAVO]);
    federation.withdraw(OPERATOR, &digest).unwrap();
    assert_eq!(rule(federation.approve(CHARLIE, &digest)), "node.proposal");
    assert_eq!(fates(&federation).last(), Some(&ProposalState::Withdrawn));
}

#[test]
fn approvals_of_a_node_that_has_gone_are_void() {
    let mut federation = Federation::of(5);
    let waits = federation.propose(OPERATOR, remove(ALPHA)).unwrap();
    for seed in [DELTA, ECHO] {
        federation.approve(seed, &waits).unwrap();
    }
    federation.decide(remove(DELTA), &[ALPHA, BRAVO, CHARLIE, ECHO]);
    assert_eq!(federation.roster().number, 1);
    let open = query::proposals(&federation.state);
    let approvals = &open[0].proposal.as_ref().unwrap().approvals;
    let seats: Vec<u32> = approvals.iter().map(|approval| approval.seat).collect();
    assert_eq!(seats, [4]);
    federation.approve(BRAVO, &waits).unwrap();
    assert_eq!(federation.roster().number, 1);
    federation.approve(CHARLIE, &waits).unwrap();
    assert_eq!(
        federation.roster().number,
        2,
        "three of the four that remained"
    );
}

#[test]
fn a_smaller_quorum_lets_an_approved_change_take_effect_in_the_next_block() {
    let mut federation = Federation::of(5);
    let waits = federation.propose(OPERATOR, add(FOXTROT)).unwrap();
    for seed in [ALPHA, BRAVO, CHARLIE] {
        federation.approve(seed, &waits).unwrap();
    }
    federation.decide(remove(DELTA), &[ALPHA, BRAVO, CHARLIE, ECHO]);
    assert_eq!(
        federation.names(),
        ["node-0", "node-1", "node-2", "late-50"]
    );
    federation.wait(1);
    let names = federation.names();
    assert_eq!(names, ["node-0", "node-1", "node-2", "late-50", "late-51"]);
}

#[test]
fn nobody_joins_under_a_name_key_or_endpoint_that_is_taken() {
    let mut federation = Federation::new();
    let mut refused = |change: &dyn Fn(&mut dctrl_proto::v1::Node), expected: &str| {
        let Kind::Add(mut joins) = add(ECHO) else {
            unreachable!("an addition")
        };
        change(joins.node.as_mut().unwrap());
        let found = rule(federation.propose(ALPHA, Kind::Add(joins)));
        assert_eq!(found, expected);
    };
    refused(&|node| node.name = "node-2".into(), "node.name");
    refused(&|node| node.name = "Late".into(), "id.format");
    refused(&|node| node.key = Key::new(BRAVO).public(), "node.key");
    refused(&|node| node.key = Key::new(ALICE).public(), "node.key");
    refused(&|node| node.key = Key::new(MACHINE).public(), "node.key");
    refused(
        &|node| node.key = [&[1][..], &[0; 31]].concat(),
        "key.point",
    );
    refused(&|node| node.key = vec![0xff; 32], "key.point");
    refused(&|node| node.key.clear(), "bytes.length");
    refused(
        &|node| node.curve_key = vec![BRAVO + 100; 32],
        "node.curve_key",
    );
    refused(
        &|node| node.curve_key = vec![MACHINE + 100; 32],
        "node.curve_key",
    );
    let taken = "tcp://192.0.2.1:7001";
    refused(&|node| node.gossip_endpoint = taken.into(), "node.endpoint");
    refused(
        &|node| node.door_endpoint = "tcp://*:1".into(),
        "node.endpoint",
    );
}

#[test]
fn what_is_no_change_is_refused() {
    let mut federation = Federation::new();
    let empty = NodeChange {
        kind: None,
        ..federation.change(remove(DELTA))
    };
    assert_eq!(rule(federation.propose_change(ALPHA, empty)), "node.change");
    assert_eq!(rule(federation.propose(ALPHA, remove(ECHO))), "node.key");
    let node = federation.roster().nodes[0].node.clone().unwrap();
    let same = Kind::Update(NodeUpdate {
        key: node.key,
        curve_key: node.curve_key,
        gossip_endpoint: node.gossip_endpoint,
        bus_endpoint: node.bus_endpoint,
        door_endpoint: node.door_endpoint,
    });
    assert_eq!(rule(federation.propose(ALPHA, same)), "node.change");
}

#[test]
fn a_key_that_is_taken_while_the_proposal_waits_makes_it_void() {
    let mut federation = Federation::new();
    let digest = federation.decide(add(ECHO), &[ALPHA, BRAVO, DELTA]);
    assert_eq!(federation.next_roster(), None);
    let mut alice = query::member(&federation.state, "alice").unwrap();
    alice.key = Key::new(ECHO).public();
    let member = Some(alice);
    federation.submit(OPERATOR, &MemberSet { member }).unwrap();
    assert_eq!(fates(&federation).last(), Some(&ProposalState::Void));
    assert_eq!(rule(federation.approve(CHARLIE, &digest)), "node.proposal");
    assert_eq!(federation.roster().number, 0);
}

#[test]
fn a_key_that_was_removed_for_a_fork_never_comes_back() {
    let mut federation = Federation::new();
    federation.decide(remove_for_fork(DELTA), &[ALPHA, BRAVO, CHARLIE]);
    assert_eq!(federation.roster().nodes.len(), 3);
    let again = federation.force(ALPHA, add(DELTA));
    assert_eq!(rule(again), "node.banned");
    assert_eq!(
        rule(federation.force(ALPHA, replace(BRAVO, DELTA))),
        "node.banned"
    );

    let mut honest = Federation::new();
    honest.decide(remove(DELTA), &[ALPHA, BRAVO, CHARLIE]);
    let digest = honest.propose(ALPHA, add(DELTA)).unwrap();
    for seed in [BRAVO, CHARLIE] {
        honest.approve(seed, &digest).unwrap();
    }
    assert_eq!(honest.names()[3], format!("late-{DELTA}"));
    assert_eq!(honest.roster().nodes[3].seat, 4, "no seat is given twice");
}

#[test]
fn a_node_comes_back_under_the_next_incarnation_only() {
    let mut federation = Federation::new();
    let wrong = federation.propose(ALPHA, reincarnate(DELTA, 3));
    assert_eq!(rule(wrong), "node.incarnation");
    federation.decide(reincarnate(DELTA, 2), &[ALPHA, BRAVO, CHARLIE]);
    let node = federation.next_roster().unwrap().nodes[3].clone();
    assert_eq!((node.seat, node.incarnation), (3, 2));
    assert_eq!(
        rule(federation.propose(ALPHA, reincarnate(DELTA, 2))),
        "node.incarnation"
    );
    federation.submit(DELTA, &TimeTick {}).unwrap();
}

#[test]
fn of_two_that_ask_to_be_the_same_node_anew_one_wins() {
    let mut federation = Federation::new();
    let anew = |seed: u8| {
        Kind::Reincarnate(NodeReincarnate {
            key: Key::new(DELTA).public(),
            incarnation: 2,
            new_key: Key::new(seed).public(),
            new_curve_key: vec![seed + 100; 32],
            instance: 0,
        })
    };
    let first = federation.decide(anew(ECHO), &[ALPHA, BRAVO]);
    let second = federation.decide(anew(FOXTROT), &[ALPHA, BRAVO]);
    let block = [
        approval(&mut federation, CHARLIE, &second),
        approval(&mut federation, CHARLIE, &first),
    ];
    federation.block(&block);
    let next = federation.next_roster().unwrap();
    assert_eq!(next.changes.len(), 1);
    let node = &next.nodes[3];
    assert_eq!((node.seat, node.incarnation), (4, 2));
    let row = node.node.as_ref().unwrap();
    assert_eq!((&*row.name, &row.key), ("node-3", &Key::new(ECHO).public()));
    assert!(fates(&federation).contains(&ProposalState::Void));
}

#[test]
fn a_liar_cannot_fill_the_list_of_proposals() {
    let mut federation = Federation::new();
    for seed in [ECHO, FOXTROT, GOLF, GOLF + 1] {
        federation.propose(DELTA, add(seed)).unwrap();
    }
    let refusal = federation.propose(DELTA, remove(ALPHA)).unwrap_err();
    assert_eq!(refusal.rule, "node.proposals");
    assert_eq!(refusal.code(), RefusalCode::Exhausted);
    federation.propose(ALPHA, remove(DELTA)).unwrap();
}

#[test]
fn the_history_names_every_roster_and_comes_in_pages() {
    let mut federation = Federation::new();
    for incarnation in [2, 3] {
        let kind = reincarnate(DELTA, incarnation);
        federation.decide(kind, &[ALPHA, BRAVO, CHARLIE]);
    }
    let page = query::rosters(&federation.state, 2, "").unwrap();
    let numbers: Vec<u64> = page.rows.iter().map(|roster| roster.number).collect();
    assert_eq!((numbers, &*page.next), (vec![0, 1], "1"));
    let page = query::rosters(&federation.state, 2, &page.next).unwrap();
    assert_eq!((page.rows[0].number, &*page.next), (2, ""));
    assert_eq!(page.rows[0], federation.roster());
    assert!(query::rosters(&federation.state, 2, "x").is_err());
    assert_eq!(query::quorum(&federation.state), 3);
}
