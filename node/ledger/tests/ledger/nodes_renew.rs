//! Nodes that speak from another disk than before.

use dctrl_proto::v1::node_change::Kind;
use dctrl_proto::v1::{NodeRenew, TimeTick};

use crate::common::nodes::{ALPHA, BRAVO, DELTA, ECHO, replace, rule};
use crate::common::{Federation, OPERATOR};

fn renew(incarnation: u32, instance: u64) -> NodeRenew {
    NodeRenew {
        incarnation,
        instance,
    }
}

#[test]
fn a_node_that_changed_its_disk_keeps_its_seat_and_nobody_approves() {
    let mut federation = Federation::new();
    assert_eq!(
        rule(federation.submit(OPERATOR, &renew(2, 77))),
        "action.role"
    );
    assert_eq!(
        rule(federation.submit(DELTA, &renew(2, 0))),
        "node.instance"
    );
    assert_eq!(
        rule(federation.submit(DELTA, &renew(3, 77))),
        "node.incarnation"
    );
    assert_eq!(federation.submit(DELTA, &renew(2, 77)).unwrap(), "node-3");
    let next = federation.next_roster().unwrap();
    let node = &next.nodes[3];
    assert_eq!((node.seat, node.incarnation, node.instance), (3, 2, 77));
    assert_eq!(next.changes[0].approved_by, [3]);
    let kind = next.changes[0].change.as_ref().unwrap().kind.as_ref();
    assert!(matches!(kind, Some(Kind::Reincarnate(anew)) if anew.instance == 77));
    federation.submit(DELTA, &TimeTick {}).unwrap();
}

#[test]
fn of_two_copies_of_a_node_the_first_to_be_ordered_wins() {
    let mut federation = Federation::new();
    let block = [
        federation.action(DELTA, &renew(2, 77)),
        federation.action(DELTA, &renew(2, 78)),
    ];
    let receipts = federation.block(&block);
    assert!(receipts[0].refusal.is_none());
    let refused = receipts[1].refusal.as_ref().unwrap();
    assert_eq!(refused.rule, "node.instance");
    assert_eq!(federation.roster().nodes[3].instance, 77);
    assert_eq!(
        rule(federation.submit(DELTA, &renew(2, 78))),
        "node.incarnation"
    );
}

#[test]
fn a_node_changes_its_disk_once_a_minute_at_most_since_all_end_an_epoch_for_it() {
    let mut federation = Federation::new();
    federation.submit(DELTA, &renew(2, 77)).unwrap();
    assert_eq!(rule(federation.submit(DELTA, &renew(3, 78))), "node.renew");
    federation.submit(ALPHA, &renew(2, 5)).unwrap();
    federation.now_ms += 60_000;
    federation.submit(DELTA, &renew(3, 78)).unwrap();
    assert_eq!(federation.roster().number, 3);
}

#[test]
fn who_is_replaced_in_the_same_block_does_not_come_back() {
    let mut federation = Federation::new();
    let digest = federation.decide(replace(DELTA, ECHO), &[ALPHA, BRAVO]);
    let approve = dctrl_proto::v1::NodeApprove { proposal: digest };
    let block = [
        federation.action(DELTA, &renew(2, 77)),
        federation.action(crate::common::nodes::CHARLIE, &approve),
    ];
    federation.block(&block);
    let node = federation.roster().nodes[3].clone();
    assert_eq!((node.seat, node.instance), (4, 0));
}
