//! Signed transactions of the wallet: taken where its scripts are satisfied.

use std::rc::Rc;

use bitcoin::Transaction;
use dctrl_effects::chain::Hash;

use super::{Net, No, Tx};
use crate::copayer_keys::{Keys, Spent, reduced};

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
            let tx = self.checked(keys, raw)?;
            self.txs.insert(txid, Rc::new(tx));
        }
        self.accept(at, txid).map(|()| txid)
    }

    fn checked(&self, keys: &Keys, raw: &Transaction) -> Result<Tx, No> {
        let slim = reduced(raw);
        let mut has: u64 = 0;
        for (position, place) in slim.inputs.iter().enumerate() {
            let output = self.output(place).ok_or(No::Missing)?;
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
        }
        let pays: u64 = slim.outputs.iter().map(|one| one.amount_sats).sum();
        let fee_sats = has.checked_sub(pays).ok_or(No::Missing)?;
        Ok(Tx {
            slim,
            fee_sats,
            virtual_size: u64::try_from(raw.vsize()).unwrap_or(u64::MAX),
            lock_time: raw.lock_time.to_consensus_u32(),
        })
    }
}
