//! The bitcoin network of a run: one chain, a mempool at each node and one at
//! the miners, replacement, and reorganisation.
//!
//! Spends of the wallet are checked against its script, so that nothing
//! leaves it without enough copayers' signatures. Deposits come from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use bitcoin::Transaction;
use dctrl_consensus::crypto::sha256;
use dctrl_effects::chain::{self, Block, Hash, Output, Tip};
use dctrl_proto::genesis::simulated_chain_genesis;

use super::keys::{CHANGE, Keys, PAYMENTS, Spent};

/// An output, by its transaction.
pub(super) type Place = (Hash, u32);

/// Replacement costs so much more for each virtual byte (BIP-125).
const INCREMENT: u64 = 1;

/// A transaction of the network.
pub(super) struct Tx {
    pub(super) slim: chain::Transaction,
    fee_sats: u64,
    virtual_size: u64,
    lock_time: u32,
}

/// Why a mempool does not take a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum No {
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
struct Pool {
    order: Vec<Hash>,
    spends: BTreeMap<Place, Hash>,
}

/// The network.
pub(super) struct Net {
    txs: BTreeMap<Hash, Rc<Tx>>,
    blocks: Vec<Block>,
    stale: BTreeMap<Hash, Block>,
    unspent: BTreeMap<Place, Output>,
    mined: BTreeMap<Hash, u32>,
    pools: Vec<Pool>,
    /// The wallet's addresses that were ever paid to, by script.
    ours: BTreeMap<Vec<u8>, (u32, u32)>,
    known_indices: [u32; 2],
    counter: u64,
    /// The planted error: blocks may spend what is spent.
    pub(super) double_spends: bool,
}

impl Net {
    /// A chain of so many empty blocks, a mempool for each node, and the miners'.
    pub(super) fn new(nodes: usize, blocks: u32) -> Self {
        let genesis = Block {
            height: 0,
            hash: Hash(simulated_chain_genesis()),
            previous: Hash::default(),
            transactions: Vec::new(),
        };
        let mut net = Self {
            txs: BTreeMap::new(),
            blocks: vec![genesis],
            stale: BTreeMap::new(),
            unspent: BTreeMap::new(),
            mined: BTreeMap::new(),
            pools: vec![Pool::default(); nodes + 1],
            ours: BTreeMap::new(),
            known_indices: [0; 2],
            counter: 0,
            double_spends: false,
        };
        (0..blocks).for_each(|_| net.mine());
        net
    }

    /// The wallet has given out addresses up to these.
    pub(super) fn know(&mut self, keys: &Keys, payments: u32, change: u32) {
        for (chain, until) in [(PAYMENTS, payments), (CHANGE, change)] {
            let known = &mut self.known_indices[usize::try_from(chain).expect("two chains")];
            for index in *known..until {
                let script = keys.leaf(chain, index).output.to_bytes();
                self.ours.insert(script, (chain, index));
            }
            *known = until.max(*known);
        }
    }

    /// Whether an output belongs to the wallet.
    pub(super) fn is_ours(&self, script: &[u8]) -> bool {
        self.ours.contains_key(script)
    }

    /// Whether it belongs to the wallet's change.
    pub(super) fn is_change(&self, script: &[u8]) -> bool {
        self.ours
            .get(script)
            .is_some_and(|(chain, _)| *chain == CHANGE)
    }

    pub(super) fn miners(&self) -> usize {
        self.pools.len() - 1
    }

    pub(super) fn tip(&self) -> Tip {
        let last = self.blocks.last().expect("block 0 is always there");
        Tip {
            height: last.height,
            hash: last.hash,
        }
    }

    pub(super) fn block_at(&self, height: u32) -> Option<&Block> {
        self.blocks.get(usize::try_from(height).ok()?)
    }

    pub(super) fn block(&self, hash: &Hash) -> Option<&Block> {
        let mut blocks = self.blocks.iter().rev();
        blocks
            .find(|block| block.hash == *hash)
            .or_else(|| self.stale.get(hash))
    }

    pub(super) fn height_of(&self, txid: &Hash) -> Option<u32> {
        self.mined.get(txid).copied()
    }

    pub(super) fn pool(&self, at: usize) -> &[Hash] {
        &self.pools[at].order
    }

    /// What waits at `at` and spends an output.
    pub(super) fn spender(&self, at: usize, place: &Place) -> Option<Hash> {
        self.pools[at].spends.get(place).copied()
    }

    pub(super) fn tx(&self, txid: &Hash) -> Option<&Rc<Tx>> {
        self.txs.get(txid)
    }

    /// All that the wallet could spend, were all its keys together.
    pub(super) fn unspent_of_wallet(&self) -> impl Iterator<Item = (&Place, &Output)> {
        self.unspent
            .iter()
            .filter(|(_, output)| self.is_ours(&output.script))
    }

    /// Somebody from outside pays.
    pub(super) fn pay(&mut self, script: Vec<u8>, amount_sats: u64) -> Hash {
        self.counter += 1;
        let txid = Hash(
            sha256(
                b"dctrl-sim-deposit\0",
                &[&self.counter.to_be_bytes(), &script],
            )
            .0,
        );
        let slim = chain::Transaction {
            txid,
            coinbase: false,
            inputs: Vec::new(),
            outputs: vec![Output {
                vout: 0,
                script,
                amount_sats,
            }],
        };
        let tx = Tx {
            slim,
            fee_sats: 0,
            virtual_size: 100,
            lock_time: 0,
        };
        self.txs.insert(txid, Rc::new(tx));
        txid
    }

    /// Learns of a signed transaction, and hands it to one mempool.
    pub(super) fn submit(&mut self, keys: &Keys, at: usize, raw: &Transaction) -> Result<Hash, No> {
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

    /// An output, whether its transaction is in the chain or not.
    pub(super) fn output(&self, place: &Place) -> Option<&Output> {
        let parent = self.txs.get(&place.0)?;
        let mut outputs = parent.slim.outputs.iter();
        outputs.find(|output| output.vout == place.1)
    }

    /// Where a coin is, for people.
    pub(super) fn describe(&self, place: &Place) -> String {
        let (txid, vout) = place;
        let spends = |one: &&chain::Transaction| one.inputs.contains(place);
        let mined = self.blocks.iter().flat_map(|block| &block.transactions);
        let by = mined.clone().find(spends).map(|one| one.txid);
        let made = self.height_of(txid);
        match (made, by) {
            (None, _) => format!("{txid}:{vout} is not in the chain"),
            (Some(_), None) => format!("{txid}:{vout} is unspent"),
            (Some(_), Some(by)) => format!("{txid}:{vout} is spent by {by}"),
        }
    }

    /// A mempool hears of a transaction.
    pub(super) fn accept(&mut self, at: usize, txid: Hash) -> Result<(), No> {
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
        let pays: u64 = rivals.iter().map(|rival| self.txs[rival].fee_sats).sum();
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
    pub(super) fn force(&mut self, txid: Hash) -> Result<(), No> {
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
    pub(super) fn relay(&mut self, from: usize, to: usize) {
        for txid in self.pools[from].order.clone() {
            let _ = self.accept(to, txid);
        }
    }

    /// A mempool forgets a transaction and what depends on it.
    pub(super) fn evict(&mut self, at: usize, txid: Hash) {
        let gone = descendants(&self.pools[at], &self.txs, BTreeSet::from([txid]));
        drop_from(&mut self.pools[at], &self.txs, &gone);
    }

    /// The miners find a block.
    pub(super) fn mine(&mut self) {
        let at = self.miners();
        let txids = std::mem::take(&mut self.pools[at]).order;
        let transactions = txids.iter().map(|txid| self.txs[txid].slim.clone());
        let transactions: Vec<chain::Transaction> = transactions.collect();
        self.connect(transactions);
    }

    /// The planted error: a block spends what is spent.
    pub(super) fn mine_twice(&mut self, txid: Hash) {
        let transaction = self.txs[&txid].slim.clone();
        self.connect(vec![transaction]);
    }

    fn connect(&mut self, transactions: Vec<chain::Transaction>) {
        let tip = self.tip();
        self.counter += 1;
        let mut parts: Vec<&[u8]> = vec![&tip.hash.0];
        let counter = self.counter.to_be_bytes();
        parts.push(&counter);
        parts.extend(transactions.iter().map(|one| &one.txid.0[..]));
        let hash = Hash(sha256(b"dctrl-sim-payout-block\0", &parts).0);
        let height = tip.height + 1;
        for one in &transactions {
            for place in &one.inputs {
                let there = self.unspent.remove(place).is_some();
                assert!(there || self.double_spends, "a block spends what is there");
            }
            for output in &one.outputs {
                self.unspent.insert((one.txid, output.vout), output.clone());
            }
            self.mined.insert(one.txid, height);
        }
        self.blocks.push(Block {
            height,
            hash,
            previous: tip.hash,
            transactions,
        });
        self.look_through(&[]);
    }

    /// The newest blocks are gone. Their transactions wait again, but for those
    /// that nobody remembers.
    pub(super) fn disconnect(&mut self, depth: u32, forgotten: &dyn Fn(&Hash) -> bool) {
        let mut returned: Vec<Hash> = Vec::new();
        for _ in 0..depth.min(self.tip().height) {
            let block = self.blocks.pop().expect("block 0 stays");
            for one in block.transactions.iter().rev() {
                for output in &one.outputs {
                    self.unspent.remove(&(one.txid, output.vout));
                }
                for place in &one.inputs {
                    if let Some(output) = self.output(place).cloned() {
                        self.unspent.insert(*place, output);
                    }
                }
                self.mined.remove(&one.txid);
            }
            let txids = block.transactions.iter().map(|one| one.txid);
            returned.splice(0..0, txids);
            self.stale.insert(block.hash, block);
        }
        returned.retain(|txid| !forgotten(txid));
        self.look_through(&returned);
    }

    /// Each mempool is built anew: what came back first, then what waited, as
    /// far as it can still be mined.
    fn look_through(&mut self, returned: &[Hash]) {
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
