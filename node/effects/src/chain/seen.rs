//! Outputs that passed by lately, by script: a payment can reach this node's
//! bitcoind before the quote that it pays reaches this node.

use std::collections::{BTreeMap, VecDeque};

use super::{Hash, Output, Tip, Transaction};

/// Outputs kept, about 150 bytes each. A busy network makes some twenty a
/// second, so this is more than an hour.
const OUTPUTS_MAX: usize = 100_000;

/// One output that was seen.
#[derive(Clone, Debug)]
pub(super) struct SeenOutput {
    pub(super) txid: Hash,
    pub(super) coinbase: bool,
    pub(super) output: Output,
    /// Where it was seen in a block.
    pub(super) block: Option<Tip>,
}

#[derive(Debug, Default)]
pub(super) struct Seen {
    order: VecDeque<Vec<u8>>,
    by_script: BTreeMap<Vec<u8>, VecDeque<SeenOutput>>,
}

impl Seen {
    pub(super) fn add(&mut self, transaction: &Transaction, block: Option<Tip>) {
        for output in &transaction.outputs {
            let script = &output.script;
            self.order.push_back(script.clone());
            let outputs = self.by_script.entry(script.clone()).or_default();
            outputs.push_back(SeenOutput {
                txid: transaction.txid,
                coinbase: transaction.coinbase,
                output: output.clone(),
                block,
            });
        }
        while self.order.len() > OUTPUTS_MAX {
            self.forget_oldest();
        }
    }

    /// What paid a script, oldest first; the same output may come twice, from
    /// the mempool and from a block.
    pub(super) fn to_script(&self, script: &[u8]) -> Vec<SeenOutput> {
        let outputs = self.by_script.get(script);
        outputs.into_iter().flatten().cloned().collect()
    }

    fn forget_oldest(&mut self) {
        let Some(script) = self.order.pop_front() else {
            return;
        };
        if let Some(outputs) = self.by_script.get_mut(&script) {
            outputs.pop_front();
            if outputs.is_empty() {
                self.by_script.remove(&script);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_outputs_are_forgotten_first() {
        let mut seen = Seen::default();
        let pay = |number: u32| Transaction {
            txid: Hash::default(),
            coinbase: false,
            inputs: Vec::new(),
            outputs: vec![Output {
                vout: number,
                script: number.to_be_bytes().to_vec(),
                amount_sats: 1,
            }],
        };
        for number in 0..=u32::try_from(OUTPUTS_MAX).unwrap() {
            seen.add(&pay(number), None);
        }
        assert!(seen.to_script(&0_u32.to_be_bytes()).is_empty());
        assert_eq!(seen.to_script(&1_u32.to_be_bytes()).len(), 1);
        assert_eq!(seen.by_script.len(), OUTPUTS_MAX);
    }
}
