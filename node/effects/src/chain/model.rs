//! A pure model of a bitcoin chain: blocks, a mempool, replacement and
//! reorganisation, and numbered notices of all that happens.
//!
//! Deliberately absent: scripts, signatures and proof of work. A block
//! that left the chain stays known by its hash, as a real node keeps it.

use std::collections::{BTreeMap, VecDeque};

use dctrl_proto::v1::PaymentDoubts;
use ring::digest::{Context, SHA256};

use super::{Block, ChainError, ChainSource, Hash, Output, Tip, Transaction};

/// Most blocks that one call mines or drops.
pub const BLOCKS_PER_CALL_MAX: u32 = 1_000;
/// Most transactions that wait for a block.
pub const MEMPOOL_MAX: usize = 10_000;
/// All bitcoin there will ever be, satoshi.
pub const AMOUNT_SATS_MAX: u64 = 21_000_000 * 100_000_000;
/// Notices kept for whoever takes them; older ones are lost, which the
/// sequence numbers show.
pub const NOTICES_MAX: usize = 4_096;

/// Block 0 of every simulated chain.
#[must_use]
pub fn genesis_hash() -> Hash {
    Hash(dctrl_proto::genesis::simulated_chain_genesis())
}

/// Why the model refuses. Each names the field at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimError {
    /// Nothing, or more than there is.
    #[error("an amount is 1 to {AMOUNT_SATS_MAX} sats, not {0}")]
    Amount(u64),
    /// Only what waits in the mempool can be replaced.
    #[error("transaction {0} is not in the mempool")]
    NotInMempool(Hash),
    /// The number of blocks is out of range.
    #[error("blocks must be 1 to {BLOCKS_PER_CALL_MAX}, not {0}")]
    Blocks(u32),
    /// Block 0 cannot be dropped.
    #[error("depth must be 1 to {max}, not {depth}")]
    Depth {
        /// What was asked for.
        depth: u32,
        /// What there is.
        max: u32,
    },
    /// It waits, or is in a block.
    #[error("transaction {0} is known already")]
    Known(Hash),
    /// An input is not there, or a block has another transaction that spends it.
    #[error("input {0}:{1} is missing or spent")]
    Spent(Hash, u32),
    /// Another transaction that waits spends an input and pays no less fee.
    #[error("transaction {0} spends an input and pays as much fee")]
    Fee(Hash),
    /// Too many transactions wait.
    #[error("the mempool is full at {MEMPOOL_MAX} transactions: mine a block")]
    MempoolFull,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A transaction entered the mempool.
    Added(Transaction),
    /// A transaction left the mempool without being mined.
    Removed(Hash),
    /// A block was connected.
    Connected(Tip),
    /// A block was disconnected.
    Disconnected(Tip),
}

/// What happened, numbered from 1 without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// One more than the notice before.
    pub sequence: u64,
    /// What happened.
    pub event: Event,
}

/// The chain.
#[derive(Debug)]
pub struct SimChain {
    /// By height; block 0 is always there.
    blocks: Vec<Block>,
    /// Blocks that left the chain.
    stale: BTreeMap<Hash, Block>,
    /// In the order of arrival.
    mempool: Vec<Transaction>,
    /// Makes equal contents hash differently.
    counter: u64,
    sequence: u64,
    notices: VecDeque<Notice>,
}

impl Default for SimChain {
    fn default() -> Self {
        let genesis = Block {
            height: 0,
            hash: genesis_hash(),
            previous: Hash::default(),
            transactions: Vec::new(),
        };
        Self {
            blocks: vec![genesis],
            stale: BTreeMap::new(),
            mempool: Vec::new(),
            counter: 0,
            sequence: 0,
            notices: VecDeque::new(),
        }
    }
}

impl SimChain {
    /// The newest block.
    #[must_use]
    pub fn tip(&self) -> Tip {
        let height = self.blocks.len() - 1;
        Tip {
            height: u32::try_from(height).unwrap_or(u32::MAX),
            hash: self.blocks[height].hash,
        }
    }

    /// The block at a height of the present chain.
    #[must_use]
    pub fn block_at(&self, height: u32) -> Option<&Block> {
        self.blocks.get(usize::try_from(height).ok()?)
    }

    /// The block with a hash, whether it is still in the chain or not.
    #[must_use]
    pub fn block(&self, hash: &Hash) -> Option<&Block> {
        let mut chain = self.blocks.iter().rev();
        chain
            .find(|block| block.hash == *hash)
            .or_else(|| self.stale.get(hash))
    }

    /// What waits for a block, in the order of arrival.
    #[must_use]
    pub fn mempool(&self) -> &[Transaction] {
        &self.mempool
    }

    /// Notices since the last call, oldest first.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        self.notices.drain(..).collect()
    }

    /// Puts a payment into the mempool.
    ///
    /// # Errors
    /// The amount is out of range or the mempool is full.
    pub fn pay(&mut self, script: Vec<u8>, amount_sats: u64) -> Result<Transaction, SimError> {
        if self.mempool.len() >= MEMPOOL_MAX {
            return Err(SimError::MempoolFull);
        }
        let transaction = self.transaction(script, amount_sats)?;
        self.accept(transaction.clone());
        Ok(transaction)
    }

    /// Replaces what waits under `txid` by a payment elsewhere (BIP-125).
    ///
    /// # Errors
    /// The transaction does not wait in the mempool, or the amount is out of range.
    pub fn replace(
        &mut self,
        txid: &Hash,
        script: Vec<u8>,
        amount_sats: u64,
    ) -> Result<Transaction, SimError> {
        let position = self.mempool.iter().position(|one| one.txid == *txid);
        let position = position.ok_or(SimError::NotInMempool(*txid))?;
        let transaction = self.transaction(script, amount_sats)?;
        self.mempool.remove(position);
        self.notify(Event::Removed(*txid));
        self.accept(transaction.clone());
        Ok(transaction)
    }

    /// Takes in a transaction that spends outputs of the chain or of what waits;
    /// what waits and spends the same with less fee makes way (BIP-125).
    ///
    /// # Errors
    /// It is known, or cannot be mined, or pays too little fee to replace.
    pub fn submit(&mut self, transaction: Transaction) -> Result<Transaction, SimError> {
        let txid = transaction.txid;
        let mined = self.blocks.iter().flat_map(|block| &block.transactions);
        if mined.chain(&self.mempool).any(|one| one.txid == txid) {
            return Err(SimError::Known(txid));
        }
        let pays: u64 = transaction.outputs.iter().map(|one| one.amount_sats).sum();
        let mut has: u64 = 0;
        for (parent, vout) in &transaction.inputs {
            has += self.unspent(parent, *vout)?;
        }
        if pays > has {
            return Err(SimError::Amount(pays));
        }
        let spends =
            |one: &Transaction| one.inputs.iter().any(|it| transaction.inputs.contains(it));
        let rivals: Vec<Hash> = self
            .mempool
            .iter()
            .filter(|one| spends(one))
            .map(|one| one.txid)
            .collect();
        for rival in &rivals {
            let waiting = self.mempool.iter().find(|one| one.txid == *rival);
            if waiting.is_some_and(|waiting| self.fee(waiting) >= has - pays) {
                return Err(SimError::Fee(*rival));
            }
        }
        for rival in rivals {
            self.mempool.retain(|one| one.txid != rival);
            self.notify(Event::Removed(rival));
        }
        if self.mempool.len() >= MEMPOOL_MAX {
            return Err(SimError::MempoolFull);
        }
        self.accept(transaction.clone());
        Ok(transaction)
    }

    /// What an output is worth that no block has spent.
    fn unspent(&self, parent: &Hash, vout: u32) -> Result<u64, SimError> {
        let spent = |one: &Transaction| one.inputs.contains(&(*parent, vout));
        let mined = || self.blocks.iter().flat_map(|block| &block.transactions);
        let gone = mined().any(spent);
        self.amount(parent, vout)
            .filter(|_| !gone)
            .ok_or(SimError::Spent(*parent, vout))
    }

    fn amount(&self, parent: &Hash, vout: u32) -> Option<u64> {
        let mined = self.blocks.iter().flat_map(|block| &block.transactions);
        let mut all = mined.chain(&self.mempool);
        let parent = all.find(|one| one.txid == *parent)?;
        let outputs = &parent.outputs;
        let output = outputs.iter().find(|output| output.vout == vout)?;
        Some(output.amount_sats)
    }

    fn fee(&self, waiting: &Transaction) -> u64 {
        let inputs = waiting.inputs.iter();
        let has: u64 = inputs
            .filter_map(|(txid, vout)| self.amount(txid, *vout))
            .sum();
        let pays: u64 = waiting.outputs.iter().map(|one| one.amount_sats).sum();
        has.saturating_sub(pays)
    }

    /// Mines blocks: the first takes the whole mempool, the others are empty.
    ///
    /// # Errors
    /// The number is out of range.
    pub fn mine(&mut self, blocks: u32) -> Result<Tip, SimError> {
        if !(1..=BLOCKS_PER_CALL_MAX).contains(&blocks) {
            return Err(SimError::Blocks(blocks));
        }
        for _ in 0..blocks {
            self.mine_one();
        }
        Ok(self.tip())
    }

    /// Drops the newest blocks. Their transactions return to the mempool, or
    /// are lost, as if their payer had spent the money elsewhere.
    ///
    /// # Errors
    /// The depth is out of range.
    pub fn reorganise(&mut self, depth: u32, drop_transactions: bool) -> Result<Tip, SimError> {
        let max = self.tip().height.min(BLOCKS_PER_CALL_MAX);
        if !(1..=max).contains(&depth) {
            return Err(SimError::Depth { depth, max });
        }
        let keep = self.blocks.len() - depth as usize;
        let dropped = self.blocks.split_off(keep);
        let mut returned = Vec::new();
        for block in dropped.into_iter().rev() {
            self.notify(Event::Disconnected(Tip {
                height: block.height,
                hash: block.hash,
            }));
            returned.splice(0..0, block.transactions.iter().cloned());
            self.stale.insert(block.hash, block);
        }
        if !drop_transactions {
            for transaction in returned {
                self.accept(transaction);
            }
        }
        Ok(self.tip())
    }

    fn mine_one(&mut self) {
        let tip = self.tip();
        let transactions = std::mem::take(&mut self.mempool);
        self.counter += 1;
        let mut hash = Context::new(&SHA256);
        hash.update(b"dctrl/sim-block/1\0");
        hash.update(&self.counter.to_be_bytes());
        hash.update(&tip.hash.0);
        for transaction in &transactions {
            hash.update(&transaction.txid.0);
        }
        self.blocks.push(Block {
            height: tip.height + 1,
            hash: finish(hash),
            previous: tip.hash,
            transactions,
        });
        self.notify(Event::Connected(self.tip()));
    }

    fn transaction(&mut self, script: Vec<u8>, amount_sats: u64) -> Result<Transaction, SimError> {
        if !(1..=AMOUNT_SATS_MAX).contains(&amount_sats) {
            return Err(SimError::Amount(amount_sats));
        }
        self.counter += 1;
        let mut hash = Context::new(&SHA256);
        hash.update(b"dctrl/sim-transaction/1\0");
        hash.update(&self.counter.to_be_bytes());
        hash.update(&amount_sats.to_be_bytes());
        hash.update(&script);
        Ok(Transaction {
            txid: finish(hash),
            coinbase: false,
            inputs: Vec::new(),
            outputs: vec![Output {
                vout: 0,
                script,
                amount_sats,
            }],
        })
    }

    fn accept(&mut self, transaction: Transaction) {
        self.mempool.push(transaction.clone());
        self.notify(Event::Added(transaction));
    }

    fn notify(&mut self, event: Event) {
        self.sequence += 1;
        if self.notices.len() == NOTICES_MAX {
            self.notices.pop_front();
        }
        self.notices.push_back(Notice {
            sequence: self.sequence,
            event,
        });
    }
}

impl ChainSource for SimChain {
    fn tip(&self) -> Result<Tip, ChainError> {
        Ok(Self::tip(self))
    }

    fn hash_at(&self, height: u32) -> Result<Hash, ChainError> {
        let block = self.block_at(height).map(|block| block.hash);
        block.ok_or_else(|| ChainError::NotFound(format!("block {height}")))
    }

    fn block(&self, _: u32, hash: Hash) -> Result<Block, ChainError> {
        let block = Self::block(self, &hash).cloned();
        block.ok_or_else(|| ChainError::NotFound(format!("block {hash}")))
    }

    fn knows_block(&self, block: Tip) -> Result<bool, ChainError> {
        Ok(Self::block(self, &block.hash).is_some())
    }

    fn mempool(&self) -> Result<Vec<Hash>, ChainError> {
        Ok(self.mempool.iter().map(|one| one.txid).collect())
    }

    fn in_mempool(&self, txid: Hash) -> Result<Option<PaymentDoubts>, ChainError> {
        let waits = self.mempool.iter().any(|one| one.txid == txid);
        Ok(waits.then(PaymentDoubts::default))
    }

    fn mempool_transaction(&self, txid: Hash) -> Result<Option<Transaction>, ChainError> {
        Ok(self.mempool.iter().find(|one| one.txid == txid).cloned())
    }

    fn mempool_spenders(&self, outputs: &[(Hash, u32)]) -> Result<Vec<Hash>, ChainError> {
        let spends = |one: &&Transaction| one.inputs.iter().any(|it| outputs.contains(it));
        Ok(self
            .mempool
            .iter()
            .filter(spends)
            .map(|one| one.txid)
            .collect())
    }
}

fn finish(hash: Context) -> Hash {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.finish().as_ref());
    Hash(bytes)
}

#[cfg(test)]
mod tests;
