//! Signed transactions of the wallet: taken where its scripts are satisfied.

use std::rc::Rc;

use bitcoin::Transaction;
use dctrl_effects::chain::{self, Hash, Output};

use super::super::keys::{Keys, Spent};
use super::{Net, No, Tx};

impl Net {
    /// Learns of a signed transaction, and hands it to one mempool.
    pub(in super::super) fn submit(
        &mut self,
        keys: &Keys,
        at: usize,
        raw: &Transaction,
    ) -> Result<Hash, No> {
        let txid = Hash::from_internal(*raw.compute_txid().as_ref());
        if !self.txs.contains_key(&txid) {
            let tx = self.checked(keys, txid, raw)?;
            self.txs.insert(txid, Rc::new(tx));
        }
        self.accept(at, txid).map(|()| txid)
    }

    fn checked(&self, keys: &Keys, txid: Hash, raw: &Transaction) -> Result<Tx, No> {
        let mut has: u64 = 0;
        let mut inputs = Vec::new();
        for (position, input) in raw.input.iter().enumerate() {
            let parent = Hash::from_internal(*input.previous_output.txid.as_ref());
            let vout = input.previous_output.vout;
            let output = self.output(&(parent, vout)).ok_or(No::Missing)?;
            let (chain, index) = self.ours.get(&output.script).ok_or(No::Script)?;
            let spent = Spent {
                output: bitcoin::TxOut {
                    value: bitcoin::Amount::from_sat(output.amount_sats),
                    script_pubkey: output.script.clone().into(),
                },
                leaf: keys.leaf(*chain, *index),
            };
            if !keys.holds(raw, position, &spent) {
                return Err(No::Script);
            }
            has += output.amount_sats;
            inputs.push((parent, vout));
        }
        let outputs: Vec<Output> = (0..)
            .zip(&raw.output)
            .map(|(vout, one)| Output {
                vout,
                script: one.script_pubkey.to_bytes(),
                amount_sats: one.value.to_sat(),
            })
            .collect();
        let pays: u64 = outputs.iter().map(|one| one.amount_sats).sum();
        let fee_sats = has.checked_sub(pays).ok_or(No::Missing)?;
        Ok(Tx {
            slim: chain::Transaction {
                txid,
                coinbase: false,
                inputs,
                outputs,
            },
            fee_sats,
            virtual_size: u64::try_from(raw.vsize()).unwrap_or(u64::MAX),
            lock_time: raw.lock_time.to_consensus_u32(),
        })
    }
}
