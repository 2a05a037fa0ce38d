//! Mempools: what waits at each node and at the miners, and replacement.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use dctrl_effects::chain::Hash;

use super::{Net, Place, Tx};

/// Replacement costs so much more for each virtual byte (BIP-125).
const INCREMENT: u64 = 1;

/// Why a mempool does not take a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum No {
    /// It waits or is in a block.
    Known,
    /// An input is not there, or spent in a block.
    Missing,
    /// What it would replace pays too much.
    Fee,
    /// Not before a later block.
    NotFinal,
    /// A signature is missing or wrong.
    Script,
}

/// What waits at one place, parents first.
#[derive(Default, Clone)]
pub(super) struct Pool {
    pub(super) order: Vec<Hash>,
    spends: BTreeMap<Place, Hash>,
}

impl Net {
    pub(in super::super) fn pool(&self, at: usize) -> &[Hash] {
        &self.pools[at].order
    }

    /// What waits at `at` and spends an output.
    pub(in super::super) fn spender(&self, at: usize, place: &Place) -> Option<Hash> {
        self.pools[at].spends.get(place).copied()
    }

    /// A mempool hears of a transaction.
    pub(in super::super) fn accept(&mut self, at: usize, txid: Hash) -> Result<(), No> {
        let tx = Rc::clone(self.txs.get(&txid).ok_or(No::Missing)?);
        let rivals = self.rivals(at, &tx, self.tip().height)?;
        let pool = &mut self.pools[at];
        if !rivals.is_empty() {
            let gone = descendants(pool, &self.txs, rivals);
            drop_from(pool, &self.txs, &gone);
        }
        add(pool, &tx);
        Ok(())
    }

    /// What it would replace, where lock times up to this height have passed.
    fn rivals(&self, at: usize, tx: &Tx, height: u32) -> Result<BTreeSet<Hash>, No> {
        let txid = tx.slim.txid;
        let pool = &self.pools[at];
        if self.mined.contains_key(&txid) || pool.order.contains(&txid) {
            return Err(No::Known);
        }
        if tx.lock_time > height {
            return Err(No::NotFinal);
        }
        if !self.has_inputs(at, tx) {
            return Err(No::Missing);
        }
        let spends = tx.slim.inputs.iter();
        let rivals: BTreeSet<Hash> = spends
            .filter_map(|place| pool.spends.get(place).copied())
            .collect();
        // Children go with what they spend, and their fees with them.
        let gone = descendants(pool, &self.txs, rivals.clone());
        let pays: u64 = gone.iter().map(|one| self.txs[one].fee_sats).sum();
        let least = pays + INCREMENT * tx.virtual_size;
        if !rivals.is_empty() && tx.fee_sats < least {
            return Err(No::Fee);
        }
        Ok(rivals)
    }

    fn has_inputs(&self, at: usize, tx: &Tx) -> bool {
        let pool = &self.pools[at];
        tx.slim
            .inputs
            .iter()
            .all(|place| self.unspent.contains_key(place) || pool.order.contains(&place.0))
    }

    /// The miners take it whatever else waits for the same coins.
    pub(in super::super) fn force(&mut self, txid: Hash) -> Result<(), No> {
        let at = self.miners();
        let tx = Rc::clone(self.txs.get(&txid).ok_or(No::Missing)?);
        match self.rivals(at, &tx, self.tip().height) {
            Err(No::Fee) => {
                let pool = &mut self.pools[at];
                let spends = tx.slim.inputs.iter();
                let rivals = spends.filter_map(|place| pool.spends.get(place).copied());
                let rivals: BTreeSet<Hash> = rivals.collect();
                let gone = descendants(pool, &self.txs, rivals);
                drop_from(pool, &self.txs, &gone);
                add(pool, &tx);
                Ok(())
            }
            Err(no) => Err(no),
            Ok(_) => self.accept(at, txid),
        }
    }

    /// Everything of one mempool is told to another.
    pub(in super::super) fn relay(&mut self, from: usize, to: usize) {
        for txid in self.pools[from].order.clone() {
            let _ = self.accept(to, txid);
        }
    }

    /// A mempool forgets a transaction and what depends on it.
    pub(in super::super) fn evict(&mut self, at: usize, txid: Hash) {
        let gone = descendants(&self.pools[at], &self.txs, BTreeSet::from([txid]));
        drop_from(&mut self.pools[at], &self.txs, &gone);
    }

    /// Each mempool is built anew: what came back first, then what waited, as
    /// far as it can still be mined.
    pub(super) fn look_through(&mut self, returned: &[Hash]) {
        for at in 0..self.pools.len() {
            if returned.is_empty() && self.pools[at].order.is_empty() {
                continue;
            }
            let before = std::mem::take(&mut self.pools[at]).order;
            for txid in returned.iter().chain(&before) {
                let tx = Rc::clone(&self.txs[txid]);
                // What waited before a reorganisation waits on, whatever its lock time.
                let rivals = self.rivals(at, &tx, u32::MAX);
                if rivals.is_ok_and(|rivals| rivals.is_empty()) {
                    add(&mut self.pools[at], &tx);
                }
            }
        }
    }
}

fn add(pool: &mut Pool, tx: &Tx) {
    pool.order.push(tx.slim.txid);
    for place in &tx.slim.inputs {
        pool.spends.insert(*place, tx.slim.txid);
    }
}

/// These, and whatever spends their outputs.
fn descendants(
    pool: &Pool,
    txs: &BTreeMap<Hash, Rc<Tx>>,
    mut gone: BTreeSet<Hash>,
) -> BTreeSet<Hash> {
    // Parents come first, so that one pass is enough.
    for txid in &pool.order {
        let inputs = &txs[txid].slim.inputs;
        if inputs.iter().any(|(parent, _)| gone.contains(parent)) {
            gone.insert(*txid);
        }
    }
    gone
}

fn drop_from(pool: &mut Pool, txs: &BTreeMap<Hash, Rc<Tx>>, gone: &BTreeSet<Hash>) {
    pool.order.retain(|txid| !gone.contains(txid));
    for txid in gone {
        for place in &txs[txid].slim.inputs {
            if pool.spends.get(place) == Some(txid) {
                pool.spends.remove(place);
            }
        }
    }
}
