//! The bitcoin network of a run: one chain, a mempool at each node and one at
//! the miners, replacement, and reorganisation.
//!
//! Spends of the wallet are checked against its script, so that nothing
//! leaves it without enough copayers' signatures. Deposits come from outside.

mod pool;
mod signed;

use std::collections::BTreeMap;
use std::rc::Rc;

use dctrl_consensus::crypto::sha256;
use dctrl_effects::chain::{self, Block, Hash, Output, Tip};
use dctrl_proto::genesis::simulated_chain_genesis;

pub(super) use pool::No;
use pool::Pool;

use crate::copayer_keys::{CHANGE, Keys, PAYMENTS};

/// An output, by its transaction.
pub(super) type Place = (Hash, u32);

/// The script of payers' own coins.
const PAYER: &[u8] = b"payer";
/// What a payer pays for taking a payment back: more than for the payment.
const TAKEN_BACK_FEE: u64 = 1_000;

/// A transaction of the network.
pub(super) struct Tx {
    pub(super) slim: chain::Transaction,
    fee_sats: u64,
    virtual_size: u64,
    lock_time: u32,
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

    pub(super) fn tx(&self, txid: &Hash) -> Option<&Rc<Tx>> {
        self.txs.get(txid)
    }

    /// All that the wallet could spend, were all its keys together.
    pub(super) fn unspent_of_wallet(&self) -> impl Iterator<Item = (&Place, &Output)> {
        self.unspent
            .iter()
            .filter(|(_, output)| self.is_ours(&output.script))
    }

    /// Somebody from outside pays, with a coin that has been there for ever.
    pub(super) fn pay(&mut self, script: Vec<u8>, amount_sats: u64) -> Hash {
        let coin = self.foreign(Vec::new(), PAYER.to_vec(), amount_sats, 0);
        let output = self.output(&(coin, 0)).cloned();
        self.unspent
            .extend(output.map(|output| ((coin, 0), output)));
        self.foreign(vec![(coin, 0)], script, amount_sats, 0)
    }

    /// The payer takes the coin of a payment back, by a transaction that no
    /// mempool puts behind the payment.
    pub(super) fn take_back(&mut self, payment: &Hash) -> Option<Hash> {
        let slim = self.txs.get(payment)?.slim.clone();
        let amount_sats = slim.outputs.first()?.amount_sats;
        Some(self.foreign(slim.inputs, PAYER.to_vec(), amount_sats, TAKEN_BACK_FEE))
    }

    /// A transaction of strangers.
    fn foreign(
        &mut self,
        inputs: Vec<Place>,
        script: Vec<u8>,
        amount_sats: u64,
        fee_sats: u64,
    ) -> Hash {
        self.counter += 1;
        let counter = self.counter.to_be_bytes();
        let txid = Hash(sha256(b"dctrl-sim-deposit\0", &[&counter, &script]).0);
        let output = Output {
            vout: 0,
            script,
            amount_sats: amount_sats.saturating_sub(fee_sats),
        };
        let slim = chain::Transaction {
            txid,
            coinbase: false,
            inputs,
            outputs: vec![output],
        };
        let tx = Tx {
            slim,
            fee_sats,
            virtual_size: 100,
            lock_time: 0,
        };
        self.txs.insert(txid, Rc::new(tx));
        txid
    }

    /// Whether a block's transaction spends what is the wallet's.
    pub(super) fn spends_ours(&self, spend: &chain::Transaction) -> bool {
        let ours = |place: &Place| {
            let output = self.output(place);
            output.is_some_and(|output| self.is_ours(&output.script))
        };
        spend.inputs.iter().any(ours)
    }

    /// What spends an output in the chain.
    pub(super) fn mined_spender(&self, place: &Place) -> Option<Hash> {
        let mined = self.blocks.iter().rev().flat_map(|one| &one.transactions);
        let mut spends = mined.filter(|one| one.inputs.contains(place));
        spends.next().map(|one| one.txid)
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
}
