//! Random histories of proposals, approvals and departures: no roster comes
//! about without a quorum of the roster before it, and a second node comes to
//! the same rosters.
//!
//! Who approved is counted here by what was signed and not refused, apart
//! from what the ledger keeps; the full audit after each block checks that
//! every roster follows from its changes.

use std::collections::{BTreeMap, BTreeSet};

use dctrl_ledger::{BlockInput, MemoryState, apply, query};
use dctrl_proto::proposal::proposal_digest;
use dctrl_proto::v1::node_change::Kind;
use dctrl_proto::v1::{
    NodeApprove, NodeChange, NodeLeave, NodePropose, NodeReincarnate, NodeRoster, NodeWithdraw,
    PriceObserve, SignedAction,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use crate::common::nodes::{ECHO, add, names, reincarnate, remove, remove_for_fork, replace};
use crate::common::{Federation, Key, OPERATOR};

/// Keys that are or may become nodes: those of the genesis, and five more.
const SEEDS: [u8; 9] = [10, 11, 12, 13, ECHO, ECHO + 1, ECHO + 2, ECHO + 3, ECHO + 4];

/// One thing that happens. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Step {
    Propose {
        by: usize,
        kind: u8,
        target: usize,
        joins: usize,
        force: bool,
    },
    Approve {
        by: usize,
        proposal: usize,
    },
    Withdraw {
        by: usize,
        proposal: usize,
    },
    Leave {
        by: usize,
        force: bool,
    },
    Observe {
        by: usize,
        price: u64,
    },
    Wait {
        ms: u64,
    },
    EndBlock,
}

fn step() -> impl Strategy<Value = Step> {
    let seed = || 0..SEEDS.len();
    prop_oneof![
        5 => (0..=SEEDS.len(), 0..6u8, seed(), seed(), any::<bool>()).prop_map(
            |(by, kind, target, joins, force)| Step::Propose { by, kind, target, joins, force }
        ),
        20 => (seed(), 0..4usize).prop_map(|(by, proposal)| Step::Approve { by, proposal }),
        2 => (seed(), 0..4usize).prop_map(|(by, proposal)| Step::Withdraw { by, proposal }),
        1 => (seed(), any::<bool>()).prop_map(|(by, force)| Step::Leave { by, force }),
        4 => (seed(), 1..9u64).prop_map(|(by, price)| Step::Observe { by, price }),
        1 => prop_oneof![Just(1000), Just(3_000_000), Just(4_000_000)]
            .prop_map(|ms| Step::Wait { ms }),
        12 => Just(Step::EndBlock),
    ]
}

/// What was signed and is not decided yet: who stands behind which proposal.
type Behind = BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>;

/// What the signer wants, to be counted where it is not refused.
#[derive(Clone)]
enum Meant {
    Approval(Vec<u8>),
    Withdrawal(Vec<u8>),
    Other,
}

struct History {
    federation: Federation,
    waiting: Vec<(SignedAction, Meant)>,
    behind: Behind,
    /// The next roster of each block so far.
    made: Vec<Option<NodeRoster>>,
}

impl History {
    fn new() -> Self {
        Self {
            federation: Federation::new(),
            waiting: Vec::new(),
            behind: Behind::new(),
            made: Vec::new(),
        }
    }

    fn happen(&mut self, step: Step) {
        match step {
            Step::Propose {
                by,
                kind,
                target,
                joins,
                force,
            } => self.propose(by, self.kind(kind, SEEDS[target], SEEDS[joins]), force),
            Step::Approve { by, proposal } => {
                if let Some(proposal) = self.open(proposal) {
                    let meant = Meant::Approval(proposal.clone());
                    let action = self.federation.action(SEEDS[by], &NodeApprove { proposal });
                    self.waiting.push((action, meant));
                }
            }
            Step::Withdraw { by, proposal } => {
                if let Some(proposal) = self.open(proposal) {
                    let meant = Meant::Withdrawal(proposal.clone());
                    let action = self
                        .federation
                        .action(SEEDS[by], &NodeWithdraw { proposal });
                    self.waiting.push((action, meant));
                }
            }
            Step::Leave { by, force } => {
                let key = Key::new(SEEDS[by]).public();
                let nodes = self.federation.roster().nodes;
                let own = nodes.iter().filter_map(|one| one.node.as_ref());
                let mut name = own
                    .filter(|node| node.key == key)
                    .map(|node| node.name.clone());
                let leave = NodeLeave {
                    name: name.next_back().unwrap_or_else(|| "nobody".into()),
                    force,
                    ..NodeLeave::default()
                };
                let action = self.federation.action(SEEDS[by], &leave);
                self.waiting.push((action, Meant::Other));
            }
            Step::Observe { by, price } => {
                let observed = PriceObserve {
                    currency: "EUR".into(),
                    minor_per_bitcoin: price,
                    sources: 1,
                };
                let action = self.federation.action(SEEDS[by], &observed);
                self.waiting.push((action, Meant::Other));
            }
            Step::Wait { ms } => {
                self.flush();
                self.federation.now_ms += ms;
            }
            Step::EndBlock => self.flush(),
        }
    }

    fn kind(&self, kind: u8, target: u8, joins: u8) -> Kind {
        match kind {
            0 | 1 => add(joins),
            2 => remove(target),
            3 => replace(target, joins),
            4 if joins.is_multiple_of(2) => remove_for_fork(target),
            _ => {
                let key = Key::new(target).public();
                let nodes = self.federation.roster().nodes;
                let mut nodes = nodes.iter();
                let known = nodes.find(|one| one.node.as_ref().is_some_and(|one| one.key == key));
                let next = known.map_or(1, |one| one.incarnation) + 1;
                match reincarnate(target, next) {
                    Kind::Reincarnate(anew) if joins.is_multiple_of(3) => {
                        Kind::Reincarnate(NodeReincarnate {
                            new_key: Key::new(joins).public(),
                            new_curve_key: vec![joins + 100; 32],
                            instance: 0,
                            ..anew
                        })
                    }
                    same => same,
                }
            }
        }
    }

    fn propose(&mut self, by: usize, kind: Kind, force: bool) {
        let change = NodeChange {
            force,
            ..self.federation.change(kind)
        };
        let digest = proposal_digest(&self.federation.cluster, &change).to_vec();
        let propose = NodePropose {
            change: Some(change),
        };
        let (seed, meant) = match SEEDS.get(by) {
            Some(seed) => (*seed, Meant::Approval(digest)),
            None => (OPERATOR, Meant::Other),
        };
        let action = self.federation.action(seed, &propose);
        self.waiting.push((action, meant));
    }

    fn open(&self, position: usize) -> Option<Vec<u8>> {
        let open = query::proposals(&self.federation.state);
        Some(open.get(position)?.proposal.as_ref()?.digest.clone())
    }

    /// Applies the block and checks what it made of the nodes.
    fn flush(&mut self) {
        let before = self.federation.roster();
        let waiting = std::mem::take(&mut self.waiting);
        let actions: Vec<SignedAction> = waiting.iter().map(|(action, _)| action.clone()).collect();
        let receipts = self.federation.block(&actions);
        for (action, meant) in waiting {
            let id = dctrl_proto::action::action_id(&action);
            let mut ended = receipts.iter().filter(|receipt| receipt.action_id == id);
            if ended.any(|receipt| receipt.refusal.is_none()) {
                match meant {
                    Meant::Approval(digest) => {
                        self.behind.entry(digest).or_default().insert(action.key);
                    }
                    Meant::Withdrawal(digest) => {
                        if let Some(behind) = self.behind.get_mut(&digest) {
                            behind.remove(&action.key);
                        }
                    }
                    Meant::Other => {}
                }
            }
        }
        let next = self.federation.next_roster();
        match &next {
            None => assert_eq!(self.federation.roster(), before, "nobody said so"),
            Some(next) => {
                assert_eq!(self.federation.roster(), *next);
                self.is_approved(&before, next);
            }
        }
        self.made.push(next);
    }

    fn is_approved(&self, before: &NodeRoster, next: &NodeRoster) {
        assert_eq!(next.number, before.number + 1);
        assert_eq!(next.since_height, self.federation.height + 1);
        assert_ne!(next.nodes, before.nodes, "a change changes the nodes");
        let quorum = 2 * before.nodes.len() / 3 + 1;
        let keys: BTreeMap<u32, &Vec<u8>> = before
            .nodes
            .iter()
            .map(|one| (one.seat, &one.node.as_ref().unwrap().key))
            .collect();
        for change in &next.changes {
            let approvers: BTreeSet<&Vec<u8>> =
                change.approved_by.iter().map(|seat| keys[seat]).collect();
            if change.proposal.is_empty() {
                assert_eq!(approvers.len(), 1, "who leaves leaves alone");
                continue;
            }
            assert!(approvers.len() >= quorum, "{} of {quorum}", approvers.len());
            let signed = &self.behind[&change.proposal];
            assert!(
                approvers.iter().all(|key| signed.contains(*key)),
                "nobody is counted who did not approve"
            );
        }
        let distinct: BTreeSet<String> = names(next).into_iter().collect();
        assert_eq!(distinct.len(), next.nodes.len());
    }
}

#[test]
fn random_histories_do_change_the_nodes() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let steps = proptest::collection::vec(step(), 100..160);
    let mut changes = 0;
    for _ in 0..20 {
        let mut history = History::new();
        for step in steps.new_tree(&mut runner).unwrap().current() {
            history.happen(step);
        }
        changes += history.made.iter().flatten().count();
    }
    assert!(changes >= 20, "{changes} changes in 20 histories");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_roster_comes_about_without_a_quorum_of_the_one_before(
        steps in proptest::collection::vec(step(), 1..160)
    ) {
        let mut history = History::new();
        for step in steps {
            history.happen(step);
        }
        history.flush();

        let mut replica = MemoryState::default();
        let genesis = crate::common::genesis::genesis();
        replica.apply(&dctrl_ledger::genesis(&genesis).unwrap().changes);
        let log = &history.federation.log;
        // The first block of a federation of the tests is a heartbeat.
        let made = std::iter::once(&None).chain(&history.made);
        for ((height, (time_ms, transactions)), made) in (1..).zip(log).zip(made) {
            let transactions: Vec<&[u8]> = transactions.iter().map(Vec::as_slice).collect();
            let block = BlockInput { height, time_ms: *time_ms, transactions: &transactions };
            let applied = apply(&replica, &block);
            replica.apply(&applied.changes);
            prop_assert_eq!(&applied.next_roster, made);
            prop_assert_eq!(applied.state_digest, query::state_digest(&replica));
        }
        prop_assert!(replica == history.federation.state);
    }
}
