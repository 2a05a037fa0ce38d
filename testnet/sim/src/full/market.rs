//! The chain, and the buyers who pay over it.

use std::collections::BTreeMap;

use dctrl_effects::chain::model::SimChain;
use dctrl_effects::chain::{Block, ChainError, ChainSource, Hash, Hint, Output, Tip, Transaction};
use dctrl_proto::v1::{PaymentDoubts, SignedAction};

use super::founding::SLOTS;
use super::grid::Goods;
use super::plan::Plan;
use super::world::{Happening, World};
use crate::prng::Prng;
use crate::scenario::{MILLISECOND, SECOND, pick};

/// Blocks before the first quote, so that a chain can be reorganised deeply.
const BLOCKS_BEFORE: u32 = 120;

/// How somebody pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pays {
    Exactly,
    Over,
    Under,
    /// Too little, and then the rest.
    InParts,
    Twice,
    Late,
    /// The payment is replaced by one to somebody else.
    Replaced,
    Never,
}

/// How far a purchase has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Begin,
    /// The quote was handed in.
    Asked,
    /// What is to be paid is known.
    Quoted,
    PaidOnce,
    Done,
}

/// One purchase of one unit.
pub(super) struct Purchase {
    pub(super) buyer: usize,
    pub(super) guest: bool,
    pub(super) machine: usize,
    pub(super) slot: &'static str,
    pub(super) pays: Pays,
    pub(super) step: Step,
    pub(super) action: Option<(SignedAction, u64)>,
    pub(super) id: [u8; 32],
    pub(super) tries: u32,
    pub(super) vend: String,
    pub(super) script: Vec<u8>,
    pub(super) price_sats: u64,
    pub(super) expires_at_ms: u64,
    pub(super) paid: Vec<Hash>,
}

/// The chain and the purchases.
pub(super) struct Market {
    pub(super) chain: SimChain,
    pub(super) purchases: Vec<Purchase>,
    /// By node, until when its backend does not answer, and until when it
    /// lags behind the height.
    pub(super) backends: Vec<(u64, u64, u32)>,
    /// All that was ever paid to the federation: script and amount.
    pub(super) paid: BTreeMap<Hash, (Vec<u8>, u64)>,
    /// The price that sources show, cents for a bitcoin.
    pub(super) cents: u64,
}

impl Market {
    pub(super) fn new(plan: &Plan, chance: &mut Prng) -> Self {
        let mut chain = SimChain::default();
        // A number of blocks within the model's bound.
        let _ = chain.mine(BLOCKS_BEFORE);
        chain.take_notices();
        let purchase = |chance: &mut Prng| Purchase {
            buyer: pick(chance, plan.buyers),
            guest: chance.chance(300),
            machine: pick(chance, plan.machines),
            slot: slot(plan, chance),
            pays: pays(plan, chance),
            step: Step::Begin,
            action: None,
            id: [0; 32],
            tries: 0,
            vend: String::new(),
            script: Vec::new(),
            price_sats: 0,
            expires_at_ms: 0,
            paid: Vec::new(),
        };
        Self {
            chain,
            purchases: (0..plan.purchases).map(|_| purchase(chance)).collect(),
            backends: vec![(0, 0, 0); plan.nodes],
            paid: BTreeMap::new(),
            cents: 6_000_000,
        }
    }

    /// An output of what is in the chain or waits.
    pub(super) fn output(&self, (txid, vout): &(Hash, u32)) -> Option<Output> {
        let blocks = (0..=self.chain.tip().height).rev();
        let mined = blocks.filter_map(|height| self.chain.block_at(height));
        let mined = mined.flat_map(|block| &block.transactions);
        let mut all = self.chain.mempool().iter().chain(mined);
        let transaction = all.find(|one| one.txid == *txid)?;
        transaction.outputs.get(*vout as usize).cloned()
    }
}

fn slot(plan: &Plan, chance: &mut Prng) -> &'static str {
    let any = usize::from(chance.chance(300));
    let goods = plan.blow.map(|blow| blow.step.goods);
    let slot = match goods {
        None => any,
        Some(Goods::Can) => 0,
        Some(Goods::Bar) => 1,
    };
    SLOTS[slot].0
}

fn pays(plan: &Plan, chance: &mut Prng) -> Pays {
    if let Some(blow) = plan.blow {
        return blow.step.pays;
    }
    if !plan.stormy {
        return Pays::Exactly;
    }
    match chance.below(100) {
        0..80 => Pays::Exactly,
        80..84 => Pays::Over,
        84..87 => Pays::Under,
        87..90 => Pays::InParts,
        90..92 => Pays::Twice,
        92..95 => Pays::Late,
        95..98 => Pays::Replaced,
        _ => Pays::Never,
    }
}

/// What one node's backend shows of the chain.
pub(super) struct Backend<'a> {
    pub(super) chain: &'a SimChain,
    pub(super) down: bool,
    /// It knows nothing above this.
    pub(super) height_max: Option<u32>,
}

impl Backend<'_> {
    fn up(&self) -> Result<(), ChainError> {
        if self.down {
            Err(ChainError::Unreachable("it is down".to_owned()))
        } else {
            Ok(())
        }
    }
}

impl ChainSource for Backend<'_> {
    fn tip(&self) -> Result<Tip, ChainError> {
        self.up()?;
        let tip = self.chain.tip();
        match self.height_max.filter(|most| *most < tip.height) {
            Some(height) => Ok(Tip {
                height,
                hash: ChainSource::hash_at(self.chain, height)?,
            }),
            None => Ok(tip),
        }
    }

    fn hash_at(&self, height: u32) -> Result<Hash, ChainError> {
        self.up()?;
        if self.height_max.is_some_and(|most| height > most) {
            return Err(ChainError::NotFound(format!("block {height}")));
        }
        self.chain.hash_at(height)
    }

    fn block(&self, height: u32, hash: Hash) -> Result<Block, ChainError> {
        self.up()?;
        ChainSource::block(self.chain, height, hash)
    }

    fn knows_block(&self, block: Tip) -> Result<bool, ChainError> {
        self.up()?;
        let block = self.chain.block(&block.hash);
        let most = self.height_max.unwrap_or(u32::MAX);
        Ok(block.is_some_and(|block| block.height <= most))
    }

    fn mempool(&self) -> Result<Vec<Hash>, ChainError> {
        self.up()?;
        ChainSource::mempool(self.chain)
    }

    fn in_mempool(&self, txid: Hash) -> Result<Option<PaymentDoubts>, ChainError> {
        self.up()?;
        self.chain.in_mempool(txid)
    }

    fn mempool_transaction(&self, txid: Hash) -> Result<Option<Transaction>, ChainError> {
        self.up()?;
        self.chain.mempool_transaction(txid)
    }

    fn mempool_spenders(&self, outputs: &[(Hash, u32)]) -> Result<Vec<Hash>, ChainError> {
        self.up()?;
        self.chain.mempool_spenders(outputs)
    }
}

impl World {
    /// Plans the first block, all purchases and the rounds of the people.
    pub(super) fn open_market(&mut self) {
        for purchase in 0..self.plan.purchases {
            let at = 2 * SECOND + self.chance.below(self.plan.busy_until);
            self.agenda.plan(at, Happening::Buy { purchase });
        }
        self.agenda.plan(SECOND, Happening::Mine);
        self.agenda.plan(3 * SECOND, Happening::Rounds);
        self.plan_copayers();
    }

    pub(super) fn mine(&mut self) {
        // One block is within the model's bound.
        let _ = self.market.chain.mine(1);
        self.check_spends(self.market.chain.tip().height);
        self.tell_of_the_chain();
        let every = self.plan.block_every;
        let wait = self.chance.between(every / 2, every * 3 / 2);
        self.agenda.plan(self.now + wait, Happening::Mine);
        self.trouble_backends();
    }

    /// Blocks are replaced by others, one more than there were.
    pub(super) fn reorganise(&mut self, depth: u32, drop: bool) {
        let first = self.market.chain.tip().height + 1 - depth;
        let lost: usize = (first..=self.market.chain.tip().height)
            .filter_map(|height| self.market.chain.block_at(height))
            .map(|block| block.transactions.len())
            .sum();
        let chain = &mut self.market.chain;
        if chain.reorganise(depth, drop).is_ok() && chain.mine(depth + 1).is_ok() {
            self.seen.hit("blocks_reorganised");
            if drop && lost > 0 {
                self.seen.hit("payments_dropped_by_reorg");
            }
        }
        self.check_spends(first);
        self.tell_of_the_chain();
    }

    /// Now and then a backend does not answer, or lags.
    fn trouble_backends(&mut self) {
        if !self.stormy() {
            return;
        }
        let height = self.market.chain.tip().height;
        for seat in 0..self.plan.nodes {
            let until = self.now + self.chance.between(SECOND, 15 * SECOND);
            if self.chance.chance(40) {
                self.seen.hit("backend_down");
                self.market.backends[seat].0 = until;
            }
            if self.chance.chance(60) {
                self.seen.hit("backend_lagging");
                self.market.backends[seat].1 = until;
                self.market.backends[seat].2 = height;
            }
        }
    }

    /// Each node's backend gives hints of what happened; some are lost.
    pub(super) fn tell_of_the_chain(&mut self) {
        use dctrl_effects::chain::model::Event;
        let notices = self.market.chain.take_notices();
        let mut hints: Vec<Hint> = Vec::new();
        for notice in notices {
            let hint = match notice.event {
                Event::Added(transaction) => Hint::Transaction(transaction),
                Event::Removed(txid) => Hint::Removed(txid),
                Event::Connected(_) | Event::Disconnected(_) => Hint::Block,
            };
            if hints.last() != Some(&hint) {
                hints.push(hint);
            }
        }
        for seat in 0..self.plan.nodes {
            let life = self.nodes[seat].life;
            for hint in hints.clone() {
                if self.stormy() && self.chance.chance(100) {
                    self.seen.hit("hints_lost");
                    continue;
                }
                let at = self.now + self.chance.between(MILLISECOND, 500 * MILLISECOND);
                self.agenda.plan(at, Happening::Hinted { seat, life, hint });
            }
        }
    }
}
