//! Who says whether signatures hold, and how often the ledger asks.

use std::cell::RefCell;

use crate::common::{Federation, NODES};
use dctrl_ledger::{BlockInput, Claim, OneByOne, Signatures, admit, admit_all, apply, apply_with};
use dctrl_proto::v1::{SignedAction, TimeTick};
use prost::Message;

/// Remembers how many claims each question had.
struct Asked(RefCell<Vec<usize>>);

impl Signatures for Asked {
    fn hold(&self, claims: &[Claim<'_>]) -> Vec<bool> {
        self.0.borrow_mut().push(claims.len());
        OneByOne.hold(claims)
    }
}

/// Takes every signature for wrong.
struct Distrust;

impl Signatures for Distrust {
    fn hold(&self, claims: &[Claim<'_>]) -> Vec<bool> {
        claims.iter().map(|_| false).collect()
    }
}

/// Ticks of all nodes, one of them with a damaged signature, and garbage.
fn transactions(federation: &mut Federation) -> Vec<Vec<u8>> {
    let mut actions: Vec<SignedAction> = NODES
        .iter()
        .map(|node| federation.action(*node, &TimeTick {}))
        .collect();
    actions[2].signature[40] ^= 1;
    let mut bytes: Vec<Vec<u8>> = actions.iter().map(Message::encode_to_vec).collect();
    bytes.insert(1, vec![0xff; 9]);
    bytes
}

#[test]
fn the_signatures_of_a_block_are_asked_for_once_and_decide_what_is_applied() {
    let mut federation = Federation::new();
    let transactions = transactions(&mut federation);
    let slices: Vec<&[u8]> = transactions.iter().map(Vec::as_slice).collect();
    let block = BlockInput {
        height: federation.height + 1,
        time_ms: federation.now_ms + 1,
        transactions: &slices,
    };
    let asked = Asked(RefCell::default());
    let applied = apply_with(&federation.state, &block, &asked);
    assert_eq!(*asked.0.borrow(), [NODES.len()], "garbage claims nothing");
    assert_eq!(applied.receipts.len(), NODES.len() - 1);
    assert_eq!(applied, apply(&federation.state, &block));
    let nothing = apply_with(&federation.state, &block, &Distrust);
    assert!(nothing.receipts.is_empty());
}

#[test]
fn actions_admitted_together_are_judged_as_if_each_came_alone_and_at_once() {
    let mut federation = Federation::new();
    let mut actions: Vec<SignedAction> = NODES
        .iter()
        .map(|node| federation.action(*node, &TimeTick {}))
        .collect();
    actions[1].signature[40] ^= 1;
    actions[2].body.clear();
    let state = &federation.state;
    let now_ms = federation.now_ms;
    let asked = Asked(RefCell::default());
    let together = admit_all(state, now_ms, &actions, &asked);
    let alone: Vec<_> = actions.iter().map(|it| admit(state, now_ms, it)).collect();
    assert_eq!(together, alone);
    assert!(together[0].is_ok() && together[1].is_err() && together[2].is_err());
    assert_eq!(*asked.0.borrow(), [NODES.len() - 1], "one claims nothing");
    let distrusted = admit_all(state, now_ms, &actions[..1], &Distrust);
    let refusal = distrusted[0].as_ref().expect_err("it is not believed");
    assert_eq!(refusal.rule, "action.signature");
}
