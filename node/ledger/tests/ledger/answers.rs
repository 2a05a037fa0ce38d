//! One effect and one answer for each action, whatever comes again, late, in
//! another order or after a restart.

use dctrl_ledger::{BlockInput, MemoryState, admit, apply, query, receipts};
use dctrl_proto::action::{action_id, body};
use dctrl_proto::receipt::{receipt_digest, receipts_digest};
use dctrl_proto::v1::bus_body::Event;
use dctrl_proto::v1::{ChainObserve, Receipt, SignedAction, SlotRestock};
use proptest::prelude::*;
use prost::Message;

use crate::common::genesis::genesis;
use crate::common::{Federation, NODES, STAFF};

const HOUR_MS: u64 = 3_600_000;

/// One thing that happens. Numbers choose among the actions there are.
#[derive(Clone, Debug)]
enum Step {
    Make {
        lasting: bool,
        life_ms: u64,
    },
    /// Another body under the request id of an action.
    Other {
        of: usize,
    },
    /// A block of any of them, again or for the first time.
    Order(Vec<usize>),
    Wait {
        ms: u64,
    },
    /// Another node, or this one from its blocks, comes to the same state.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let life_ms = prop_oneof![
        Just(5),
        Just(60_000),
        Just(24 * HOUR_MS),
        Just(25 * HOUR_MS)
    ];
    let ms = prop_oneof![Just(1), Just(30_000), Just(HOUR_MS), Just(24 * HOUR_MS)];
    prop_oneof![
        4 => (any::<bool>(), life_ms).prop_map(|(lasting, life_ms)| Step::Make { lasting, life_ms }),
        1 => (0usize..12).prop_map(|of| Step::Other { of }),
        6 => proptest::collection::vec(0usize..12, 0..6).prop_map(Step::Order),
        2 => ms.prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Restart),
    ]
}

/// What a node would answer about an action.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Open,
    Ended(Receipt),
    Expired,
    Forgotten,
}

struct Made {
    action: SignedAction,
    name: &'static str,
    request_id: [u8; 16],
    expires_at_ms: u64,
    last: Answer,
}

struct World {
    federation: Federation,
    made: Vec<Made>,
    received_before: u64,
}

fn received(state: &MemoryState) -> u64 {
    let slots = query::slots(state, "m1");
    let slot = slots.iter().find(|slot| slot.slot == "A1").unwrap();
    slot.received
}

impl World {
    fn new() -> Self {
        let federation = Federation::new();
        Self {
            received_before: received(&federation.state),
            federation,
            made: Vec::new(),
        }
    }

    fn make(&mut self, lasting: bool, expires_at_ms: u64, request_id: [u8; 16]) {
        let number = self.made.len() as u64;
        let cluster = &self.federation.cluster;
        let restock = SlotRestock {
            machine_id: "m1".into(),
            slot: "A1".into(),
            added: 1,
            ..SlotRestock::default()
        };
        let chain = ChainObserve {
            height: u32::try_from(number).unwrap() + 1,
            hash: vec![9; 32],
        };
        let (seed, name, body) = if lasting {
            let body = body(cluster, request_id, expires_at_ms, &restock);
            (STAFF, "slot.restock", body)
        } else {
            let body = body(cluster, request_id, expires_at_ms, &chain);
            (NODES[0], "chain.observe", body)
        };
        self.made.push(Made {
            action: self.federation.sign(seed, body.encode_to_vec()),
            name,
            request_id,
            expires_at_ms,
            last: Answer::Open,
        });
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Make { lasting, life_ms } if self.made.len() < 12 => {
                let request_id = u128::MAX - self.made.len() as u128;
                let expires_at_ms = self.federation.now_ms + life_ms;
                self.make(lasting, expires_at_ms, request_id.to_be_bytes());
            }
            Step::Other { of } if of < self.made.len() && self.made.len() < 12 => {
                let first = &self.made[of];
                let lasting = first.name == "slot.restock";
                let later_ms = first.expires_at_ms + self.made.len() as u64;
                self.make(lasting, later_ms, first.request_id);
            }
            Step::Order(which) => {
                let made = which.iter().filter_map(|at| self.made.get(*at));
                let actions: Vec<SignedAction> = made.map(|one| one.action.clone()).collect();
                self.federation.block(&actions);
            }
            Step::Wait { ms } => {
                self.federation.now_ms += ms;
                self.federation.block(&[]);
            }
            Step::Restart => self.restart(),
            Step::Make { .. } | Step::Other { .. } => {}
        }
        self.check();
    }

    /// From the genesis and the blocks alone.
    fn restart(&mut self) {
        let mut state = MemoryState::default();
        state.apply(&dctrl_ledger::genesis(&genesis()).unwrap().changes);
        for (height, (time_ms, transactions)) in (1..).zip(&self.federation.log) {
            let transactions: Vec<&[u8]> = transactions.iter().map(Vec::as_slice).collect();
            let block = BlockInput {
                height,
                time_ms: *time_ms,
                transactions: &transactions,
            };
            state.apply(&apply(&state, &block).changes);
        }
        assert_eq!(state, self.federation.state);
        self.federation.state = state;
    }

    fn answer(&self, one: &Made) -> Answer {
        let state = &self.federation.state;
        let now_ms = query::meta(state).time_ms;
        match query::receipt(state, &action_id(&one.action)) {
            Some(receipt) => Answer::Ended(receipt),
            None if now_ms < one.expires_at_ms => Answer::Open,
            None if receipts::is_kept(one.name, one.expires_at_ms, now_ms) => Answer::Expired,
            None => Answer::Forgotten,
        }
    }

    fn check(&mut self) {
        for at in 0..self.made.len() {
            let now = self.answer(&self.made[at]);
            let before = self.made[at].last.clone();
            match (&before, &now) {
                (Answer::Open, _) => {}
                (_, Answer::Forgotten) => assert_eq!(self.made[at].name, "chain.observe"),
                (before, now) => assert_eq!(before, now, "another answer than before"),
            }
            self.resubmitted(&self.made[at], &now);
            self.made[at].last = now;
        }
        let effects = self.made.iter().filter(|one| {
            let applied = matches!(&one.last, Answer::Ended(receipt) if receipt.refusal.is_none());
            applied && one.name == "slot.restock"
        });
        let received = received(&self.federation.state) - self.received_before;
        assert_eq!(
            received,
            effects.count() as u64,
            "an effect without its answer"
        );
    }

    /// Handed in again, an action that has ended is answered and not taken.
    fn resubmitted(&self, one: &Made, answer: &Answer) {
        let now_ms = query::meta(&self.federation.state).time_ms;
        let admitted = admit(&self.federation.state, now_ms, &one.action);
        match answer {
            Answer::Ended(receipt) => {
                assert_eq!(admitted.unwrap().already.as_ref(), Some(receipt));
            }
            Answer::Expired | Answer::Forgotten => {
                let rule = admitted.unwrap_err().rule;
                assert!(["action.expired", "action.request_id"].contains(&rule.as_str()));
            }
            Answer::Open => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn any_interleaving_gives_one_effect_and_one_answer(
        steps in proptest::collection::vec(step(), 1..48)
    ) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        world.restart();
    }
}

#[test]
fn a_passing_answer_is_forgotten_an_hour_behind_its_expiry_and_no_replay_slips_through() {
    let mut world = World::new();
    let start_ms = world.federation.now_ms;
    world.make(false, start_ms + 1_000, [1; 16]);
    world.make(true, start_ms + 1_000, [2; 16]);
    world.take(Step::Order(vec![0, 1]));
    let ended = world.made[0].last.clone();
    assert!(matches!(ended, Answer::Ended(_)));
    world.take(Step::Wait { ms: HOUR_MS });
    assert_eq!(world.made[0].last, ended);
    world.take(Step::Wait { ms: 1_000 });
    assert_eq!(world.made[0].last, Answer::Forgotten);
    world.take(Step::Order(vec![0, 0, 1]));
    assert_eq!(
        world.made[0].last,
        Answer::Forgotten,
        "a replay leaves nothing"
    );
    assert!(matches!(world.made[1].last, Answer::Ended(_)), "for ever");
}

#[test]
fn what_was_never_ordered_in_time_is_void_whenever_it_comes() {
    let mut world = World::new();
    let start_ms = world.federation.now_ms;
    world.make(true, start_ms + 10, [1; 16]);
    world.take(Step::Wait { ms: 9 });
    assert_eq!(world.made[0].last, Answer::Expired);
    world.take(Step::Order(vec![0]));
    assert_eq!(world.made[0].last, Answer::Expired);
}

#[test]
fn forgetting_keeps_up_with_what_blocks_add() {
    let mut federation = Federation::new();
    let start_ms = federation.now_ms;
    let mut tick = |number: u128| {
        let chain = ChainObserve {
            height: 1,
            hash: vec![9; 32],
        };
        let body = body(
            &federation.cluster,
            number.to_be_bytes(),
            start_ms + 60_000,
            &chain,
        );
        federation.sign(NODES[0], body.encode_to_vec())
    };
    let actions: Vec<SignedAction> = (1 << 64..(1 << 64) + 1_000).map(&mut tick).collect();
    federation.block(&actions);
    let known = |federation: &Federation| {
        let ids = actions.iter().map(action_id);
        ids.filter(|id| query::receipt(&federation.state, id).is_some())
            .count()
    };
    assert_eq!(known(&federation), 1_000);
    federation.now_ms += 2 * HOUR_MS;
    for _ in 0..4 {
        federation.block(&[]);
    }
    assert_eq!(known(&federation), 0);
}

#[test]
fn a_block_vouches_for_the_receipts_that_stay() {
    let mut world = World::new();
    let expires_at_ms = world.federation.now_ms + 60_000;
    for number in 1..5 {
        world.make(number != 3, expires_at_ms, [number; 16]);
    }
    world.take(Step::Order(vec![3, 2, 1, 0, 1]));
    let height = world.federation.height;
    let ids = world.made.iter().map(|one| action_id(&one.action));
    let kept = receipts::of_block(&world.federation.state, height, ids.collect());
    assert_eq!(kept.len(), 3, "the passing one is not among them");
    let digests: Vec<[u8; 32]> = kept.iter().map(|one| receipt_digest(one)).collect();
    let told = world.federation.outputs().pop().and_then(|body| body.event);
    let Some(Event::Block(block)) = told else {
        panic!("the last frame of a block is its own");
    };
    assert_eq!(block.receipts, receipts_digest(&digests));
    world.take(Step::Order(vec![0]));
    let told = world.federation.outputs().pop().and_then(|body| body.event);
    let Some(Event::Block(block)) = told else {
        panic!("the last frame of a block is its own");
    };
    assert!(block.receipts.is_empty(), "nothing ended in it");
}
