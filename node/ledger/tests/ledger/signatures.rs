//! Who says whether signatures hold, and how often the ledger asks.

use std::cell::RefCell;

use crate::common::{Federation, NODES};
use dctrl_ledger::{BlockInput, Claim, OneByOne, Signatures, admit_with, apply, apply_with};
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
fn admission_asks_the_same_judge() {
    let mut federation = Federation::new();
    let action = federation.action(NODES[0], &TimeTick {});
    let admit = |signatures: &dyn Signatures| {
        admit_with(&federation.state, federation.now_ms, &action, signatures)
    };
    assert!(admit(&OneByOne).is_ok());
    assert_eq!(admit(&Distrust).unwrap_err().rule, "action.signature");
}
