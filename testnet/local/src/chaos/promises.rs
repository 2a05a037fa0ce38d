//! What the federation has said to be final: remembered outside of it, and
//! compared with what it says later.

use std::{collections::BTreeMap, time::Instant};

use dctrl_proto::v1::Receipt;
use prost::Message;

/// Contradictions that are kept as text; more are only counted.
const WRONG_MAX: usize = 50;

/// An action's id.
pub(super) type Id = [u8; 32];

/// What an action was to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Put one unit into the slot that counts.
    Count,
    /// Something whose effect is not counted.
    Other,
}

/// One final answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Promise {
    pub(super) work: Work,
    pub(super) height: u64,
    /// Encoded, as the node gave it.
    pub(super) receipt: Vec<u8>,
    /// Who gave it.
    pub(super) node: usize,
}

/// A sale that was paid on the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sale {
    pub(super) vend: String,
    pub(super) sats: u64,
}

/// Everything that was promised.
#[derive(Debug)]
pub(super) struct Promises {
    finals: BTreeMap<Id, Promise>,
    open: BTreeMap<Id, Work>,
    wrong: Vec<String>,
    wrong_count: usize,
    answered: Vec<Option<Instant>>,
    pub(super) sales: Vec<Sale>,
}

impl Promises {
    pub(super) fn new(nodes: usize) -> Self {
        Self {
            finals: BTreeMap::new(),
            open: BTreeMap::new(),
            wrong: Vec::new(),
            wrong_count: 0,
            answered: vec![None; nodes],
            sales: Vec::new(),
        }
    }

    /// An action goes out.
    pub(super) fn asks(&mut self, id: Id, work: Work) {
        if !self.finals.contains_key(&id) {
            self.open.insert(id, work);
        }
    }

    /// `node` says that an action is final with this receipt.
    pub(super) fn told(&mut self, id: Id, node: usize, receipt: &Receipt, now: Instant) {
        let work = self.open.remove(&id);
        if let Some(answered) = self.answered.get_mut(node) {
            *answered = Some(now);
        }
        let promise = Promise {
            work: work.unwrap_or(Work::Other),
            height: receipt.height,
            receipt: receipt.encode_to_vec(),
            node,
        };
        match self.finals.get(&id) {
            None => {
                self.finals.insert(id, promise);
            }
            Some(before) if before.receipt == promise.receipt => {}
            Some(before) => {
                let (first, action) = (before.node, hex::encode(id));
                self.wrong(format!(
                    "nodes {first} and {node} gave different final answers to action {action}"
                ));
            }
        }
    }

    /// Something that must never be.
    pub(super) fn wrong(&mut self, what: String) {
        self.wrong_count += 1;
        if self.wrong.len() < WRONG_MAX {
            self.wrong.push(what);
        }
    }

    /// What was wrong up to now, and how often.
    pub(super) fn wrongs(&self) -> (&[String], usize) {
        (&self.wrong, self.wrong_count)
    }

    /// Every final answer.
    pub(super) fn finals(&self) -> &BTreeMap<Id, Promise> {
        &self.finals
    }

    /// Actions whose answer is not known.
    pub(super) fn open(&self) -> Vec<Id> {
        self.open.keys().copied().collect()
    }

    /// Whether each node has answered since `then`.
    pub(super) fn all_answered_since(&self, then: Instant) -> bool {
        self.answered
            .iter()
            .all(|at| at.is_some_and(|at| at > then))
    }

    /// Nodes that have not.
    pub(super) fn silent_since(&self, then: Instant) -> Vec<usize> {
        let silent = |(_, at): &(usize, &Option<Instant>)| at.is_none_or(|at| at <= then);
        let answered = self.answered.iter().enumerate();
        answered.filter(silent).map(|(node, _)| node).collect()
    }
}

/// How one node's answers at the end compare with what was promised.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    /// Promised as final, and not known or not final.
    pub(super) lost: Vec<Id>,
    /// Known with another receipt.
    pub(super) changed: Vec<Id>,
}

/// Compares final answers with what a node says now: the encoded receipts of
/// the actions that it holds as final.
pub(super) fn compare(
    promised: &BTreeMap<Id, Promise>,
    found: &BTreeMap<Id, Vec<u8>>,
) -> Comparison {
    let mut comparison = Comparison::default();
    for (id, promise) in promised {
        match found.get(id) {
            None => comparison.lost.push(*id),
            Some(receipt) if *receipt != promise.receipt => comparison.changed.push(*id),
            Some(_) => {}
        }
    }
    comparison
}

/// Whether so many units in the counting slot mean that an action had more
/// than one effect, or none: `applied` took effect by their receipts. Gives
/// the difference.
pub(super) fn miscounted(applied: u64, received: u64) -> Option<i128> {
    let difference = i128::from(received) - i128::from(applied);
    (difference != 0).then_some(difference)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(height: u64) -> Receipt {
        Receipt {
            height,
            ..Receipt::default()
        }
    }

    fn promised() -> Promises {
        let mut promises = Promises::new(4);
        for action in 1..=3u8 {
            promises.asks([action; 32], Work::Count);
            promises.told([action; 32], 0, &receipt(action.into()), Instant::now());
        }
        promises
    }

    fn held(promises: &Promises) -> BTreeMap<Id, Vec<u8>> {
        let rows = promises.finals().iter();
        rows.map(|(id, promise)| (*id, promise.receipt.clone()))
            .collect()
    }

    #[test]
    fn a_node_that_holds_everything_unchanged_is_sound() {
        let promises = promised();
        let compared = compare(promises.finals(), &held(&promises));
        assert_eq!(compared, Comparison::default());
    }

    #[test]
    fn a_lost_final_action_is_found() {
        let promises = promised();
        let mut held = held(&promises);
        held.remove(&[2; 32]);
        assert_eq!(compare(promises.finals(), &held).lost, [[2; 32]]);
    }

    #[test]
    fn a_final_action_with_another_receipt_is_found() {
        let promises = promised();
        let mut held = held(&promises);
        held.insert([3; 32], receipt(9).encode_to_vec());
        assert_eq!(compare(promises.finals(), &held).changed, [[3; 32]]);
    }

    #[test]
    fn a_double_and_a_missing_effect_are_found() {
        assert_eq!(miscounted(7, 7), None);
        assert_eq!(miscounted(7, 8), Some(1));
        assert_eq!(miscounted(7, 6), Some(-1));
    }

    #[test]
    fn two_nodes_that_answer_differently_contradict_each_other() {
        let mut promises = promised();
        promises.told([1; 32], 2, &receipt(1), Instant::now());
        assert_eq!(promises.wrongs().1, 0);
        promises.told([1; 32], 2, &receipt(5), Instant::now());
        assert_eq!(promises.wrongs().1, 1);
    }

    #[test]
    fn an_action_is_open_until_it_is_answered_and_a_node_silent_until_it_answers() {
        let mut promises = Promises::new(2);
        let begun = Instant::now();
        promises.asks([1; 32], Work::Count);
        assert_eq!(promises.open(), [[1; 32]]);
        let later = begun + std::time::Duration::from_secs(1);
        promises.told([1; 32], 1, &receipt(1), later);
        assert!(promises.open().is_empty());
        assert_eq!(promises.silent_since(begun), [0]);
        assert!(!promises.all_answered_since(begun));
    }
}
