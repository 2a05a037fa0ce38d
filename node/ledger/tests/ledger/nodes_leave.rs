//! Nodes that go: by themselves, or for another one.

use dctrl_proto::v1::{NodeApprove, NodeLeave, TimeTick};

use crate::common::nodes::{ALPHA, BRAVO, CHARLIE, DELTA, ECHO, names, replace, rule};
use crate::common::{Federation, OPERATOR};

#[test]
fn a_node_leaves_by_itself_under_its_own_name() {
    let mut federation = Federation::new();
    for seed in [ALPHA, BRAVO, CHARLIE] {
        federation.submit(seed, &TimeTick {}).unwrap();
    }
    assert_eq!(rule(federation.leave(DELTA, "node-0")), "node.name");
    assert_eq!(rule(federation.leave(OPERATOR, "node-3")), "action.role");
    federation.leave(DELTA, "node-3").unwrap();
    let next = federation.next_roster().unwrap();
    assert_eq!(names(&next), ["node-0", "node-1", "node-2"]);
    assert_eq!(next.changes[0].approved_by, [3]);
    assert!(next.changes[0].proposal.is_empty());
}

#[test]
fn a_node_does_not_leave_those_who_could_not_go_on_unless_it_must() {
    let mut federation = Federation::new();
    federation.submit(BRAVO, &TimeTick {}).unwrap();
    assert_eq!(rule(federation.leave(ALPHA, "node-0")), "node.quorum");
    let leave = NodeLeave {
        name: "node-0".into(),
        reason: "the hall is closed".into(),
        force: true,
    };
    federation.submit(ALPHA, &leave).unwrap();
    assert_eq!(federation.roster().nodes.len(), 3);
}

#[test]
fn not_all_nodes_leave_in_one_block() {
    let mut federation = Federation::of(2);
    let mut block = Vec::new();
    for (seed, name) in [(ALPHA, "node-0"), (BRAVO, "node-1"), (ALPHA, "node-0")] {
        let leave = NodeLeave {
            name: name.into(),
            force: true,
            ..NodeLeave::default()
        };
        block.push(federation.action(seed, &leave));
    }
    let receipts = federation.block(&block);
    let rules: Vec<&str> = receipts
        .iter()
        .map(|receipt| receipt.refusal.as_ref().map_or("", |refusal| &refusal.rule))
        .collect();
    assert_eq!(rules, ["", "node.last", "node.leave"]);
    assert_eq!(federation.names(), ["node-1"]);
}

#[test]
fn a_node_that_has_gone_is_a_stranger_and_one_that_joins_is_none_from_the_next_block_on() {
    let mut federation = Federation::new();
    let digest = federation.decide(replace(DELTA, ECHO), &[ALPHA, BRAVO]);
    let approve = NodeApprove { proposal: digest };
    let block = [
        federation.action(CHARLIE, &approve),
        federation.action(DELTA, &TimeTick {}),
        federation.action(ECHO, &TimeTick {}),
    ];
    assert_eq!(federation.block(&block).len(), 2, "late-50 is nobody yet");
    let block = [
        federation.action(DELTA, &TimeTick {}),
        federation.action(ECHO, &TimeTick {}),
    ];
    assert_eq!(
        federation.block(&block).len(),
        1,
        "node-3 is nobody any more"
    );
    assert_eq!(federation.names()[3], "late-50");
}
