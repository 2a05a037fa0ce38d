//! What this node believes about payments to the federation, and which part
//! of it it has not yet said. Pure: no socket, no clock.
//!
//! A payment is somewhere ([`Place`]); a view is what the node says of it. A
//! view is said once, and again only after it has changed.

mod beside;
mod strays;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use dctrl_proto::v1::{
    Outpoint, Payment, PaymentDoubts, PaymentObserve, PaymentState, PaymentView,
};

use super::{Block, Hash, Output, Tip, Transaction, seen::Seen};
use strays::Strays;

/// Addresses watched. They are never given up, since late payments count.
pub(super) const SCRIPTS_MAX: usize = 1_000_000;
/// Payments kept; the oldest final ones go first.
const PAYMENTS_MAX: usize = 200_000;
/// Newest blocks whose hashes are kept, which is the deepest reorganisation
/// that is followed block by block.
pub(super) const BLOCKS_KEPT: usize = 300;

/// An outpoint in the order of the map.
pub(super) type Key = (Hash, u32);

/// Where a payment was last found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// To be looked for in the mempool.
    Unchecked,
    Mempool,
    Block(Tip),
    /// Neither in the mempool nor in the chain.
    Absent,
}

/// No place that is ever said, so that even an absence is news behind it.
const NEVER_SAID: (Place, PaymentDoubts) = (
    Place::Unchecked,
    PaymentDoubts {
        unconfirmed_parent: false,
        long_chain: false,
        not_final: false,
    },
);

#[derive(Debug)]
struct Known {
    address_index: u32,
    amount_sats: u64,
    coinbase: bool,
    place: Place,
    /// What speaks against it while it waits.
    doubts: PaymentDoubts,
    /// The view that was said last.
    said: Option<(Place, PaymentDoubts)>,
    /// What the ledger has of this node instead, as far as it was told since.
    told: Option<(Place, PaymentDoubts)>,
    /// It was said since this process began, so the bus, which tells of
    /// older views while it catches up, knows nothing newer.
    said_here: bool,
    is_final: bool,
}

impl Known {
    /// What there is to say: doubts count only while it waits.
    fn view(&self) -> (Place, PaymentDoubts) {
        match self.place {
            Place::Mempool => (self.place, self.doubts),
            place => (place, PaymentDoubts::default()),
        }
    }
}

/// The node's view of the chain, as far as the federation cares.
#[derive(Debug, Default)]
pub(super) struct Watch {
    scripts: BTreeMap<Vec<u8>, u32>,
    /// Scripts that no backend has been told of.
    fresh: Vec<Vec<u8>>,
    payments: BTreeMap<Key, Known>,
    strays: Strays,
    seen: Seen,
    /// Newest last, without holes.
    blocks: VecDeque<Tip>,
    /// Some payments stand in blocks that were not seen in this run.
    unverified: bool,
    /// Height above which all blocks have been looked at.
    begun: u32,
    /// Blocks are to be looked at again.
    back: Option<Back>,
    /// The lowest height above which that was done since this was last asked.
    went_back: Option<u32>,
}

/// How far to look back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Back {
    /// To the blocks above this height.
    Above(u32),
    /// As far as after a start that knows nothing.
    Far,
}

impl Watch {
    /// The newest block that has been looked at.
    pub(super) fn tip(&self) -> Option<Tip> {
        self.blocks.back().copied()
    }

    /// The newest block that is `depth` below the newest one at least, and no
    /// higher than `height`, where it is kept.
    pub(super) fn below_tip(&self, depth: usize, height: u32) -> Option<Tip> {
        let deep = self.blocks.len().checked_sub(depth)?;
        let mut deep = self.blocks.iter().take(deep).rev();
        deep.find(|tip| tip.height <= height).copied()
    }

    /// Whether what pays an address that was given out at this height has been
    /// met, or will be: `slack` blocks on, it is among what was seen lately.
    pub(super) fn covers(&self, since: Option<u32>, slack: u32) -> bool {
        let Some(tip) = self.tip() else {
            // The walk has not begun.
            return true;
        };
        since.is_some_and(|since| since >= self.begun && tip.height <= since.saturating_add(slack))
    }

    /// The next walk begins above this height, or far below the tip; of several
    /// wishes the furthest counts.
    pub(super) fn look_back(&mut self, above: Option<u32>) {
        self.back = Some(match (self.back, above) {
            (Some(Back::Far), _) | (_, None) => Back::Far,
            (Some(Back::Above(before)), Some(above)) => Back::Above(above.min(before)),
            (None, Some(above)) => Back::Above(above),
        });
    }

    pub(super) fn back(&self) -> Option<Back> {
        self.back
    }

    pub(super) fn watches(&self, script: &[u8]) -> bool {
        self.scripts.contains_key(script)
    }

    pub(super) fn watches_nothing(&self) -> bool {
        self.scripts.is_empty()
    }

    /// Watches an address from now on, and finds what has paid it already.
    /// False when there are too many.
    pub(super) fn watch(&mut self, script: Vec<u8>, address_index: u32) -> bool {
        if self.scripts.contains_key(&script) {
            return true;
        }
        if self.scripts.len() >= SCRIPTS_MAX {
            return false;
        }
        for early in self.seen.to_script(&script) {
            let place = match early.block {
                Some(block) if self.blocks.contains(&block) => Place::Block(block),
                _ => Place::Unchecked,
            };
            self.found(
                early.txid,
                early.coinbase,
                &early.output,
                address_index,
                place,
            );
        }
        self.fresh.push(script.clone());
        self.scripts.insert(script, address_index);
        true
    }

    /// A transaction passed by. Where it is now must be asked.
    pub(super) fn see(&mut self, transaction: &Transaction) {
        self.seen.add(transaction, None);
        self.matches(transaction, Place::Unchecked);
    }

    /// The next block of the chain.
    pub(super) fn connect(&mut self, block: &Block) {
        let tip = Tip {
            height: block.height,
            hash: block.hash,
        };
        for transaction in &block.transactions {
            self.seen.add(transaction, Some(tip));
            self.matches(transaction, Place::Block(tip));
        }
        self.blocks.push_back(tip);
        if self.blocks.len() > BLOCKS_KEPT {
            self.blocks.pop_front();
        }
        // What the block displaced by spending the same coins is gone.
        self.recheck();
        self.find_strays();
    }

    /// The newest block has left the chain: its payments must be looked for.
    pub(super) fn disconnect(&mut self) {
        let Some(gone) = self.blocks.pop_back() else {
            return;
        };
        for known in self.payments.values_mut() {
            if known.place == Place::Block(gone) {
                known.place = Place::Unchecked;
            }
        }
    }

    /// Begins anew above `below`, after which nothing is known of the chain.
    pub(super) fn begin_above(&mut self, below: Tip) {
        self.blocks.clear();
        self.blocks.push_back(below);
        self.begun = below.height;
        if self.back.take().is_some() {
            let height = below.height;
            self.went_back = Some(self.went_back.map_or(height, |one| one.min(height)));
        }
        self.unverified = true;
        self.find_strays();
    }

    /// Blocks in which payments stand though nobody knows whether they are
    /// still in the chain. Final ones are not looked for where no reorganisation
    /// that is followed reaches them.
    pub(super) fn blocks_to_verify(&self) -> BTreeSet<(u32, Hash)> {
        if !self.unverified {
            return BTreeSet::new();
        }
        let top = self.tip().map_or(0, |tip| tip.height);
        let buried = |height: u32| top.saturating_sub(height) as usize >= BLOCKS_KEPT;
        let known = self.payments.values();
        known
            .filter_map(|known| match known.place {
                Place::Block(tip) if known.is_final && buried(tip.height) => None,
                Place::Block(tip) if !self.blocks.contains(&tip) => Some((tip.height, tip.hash)),
                _ => None,
            })
            .collect()
    }

    /// All of [`Self::blocks_to_verify`] have been asked for.
    pub(super) fn verified(&mut self) {
        self.unverified = false;
    }

    /// A block is not in the chain.
    pub(super) fn not_in_chain(&mut self, hash: Hash) {
        for known in self.payments.values_mut() {
            if matches!(known.place, Place::Block(tip) if tip.hash == hash) {
                known.place = Place::Unchecked;
            }
        }
    }

    /// All unconfirmed payments must be looked for again.
    pub(super) fn recheck(&mut self) {
        for known in self.payments.values_mut() {
            if known.place == Place::Mempool {
                known.place = Place::Unchecked;
            }
        }
    }

    /// A transaction may have left the mempool.
    pub(super) fn removed(&mut self, txid: Hash) {
        for (_, known) in self.payments.range_mut((txid, 0)..=(txid, u32::MAX)) {
            if known.place == Place::Mempool {
                known.place = Place::Unchecked;
            }
        }
    }

    /// Transactions to look for in the mempool.
    pub(super) fn unchecked(&self) -> BTreeSet<Hash> {
        let unchecked = self.payments.iter();
        unchecked
            .filter(|(_, known)| known.place == Place::Unchecked)
            .map(|((txid, _), _)| *txid)
            .collect()
    }

    /// The answer for a transaction of [`Self::unchecked`]: what speaks
    /// against it in the mempool, or nothing where it is not there.
    pub(super) fn checked(&mut self, txid: Hash, in_mempool: Option<PaymentDoubts>) {
        for (_, known) in self.payments.range_mut((txid, 0)..=(txid, u32::MAX)) {
            if known.place == Place::Unchecked {
                known.place = match in_mempool {
                    Some(_) => Place::Mempool,
                    None => Place::Absent,
                };
                known.doubts = in_mempool.unwrap_or_default();
            }
        }
    }

    /// The bus tells of a payment, and perhaps of this node's own earlier view.
    pub(super) fn told(&mut self, payment: &Payment, own_seat: Option<u32>) {
        let Some(key) = payment.outpoint.as_ref().and_then(key) else {
            return;
        };
        let is_final = payment.state() == PaymentState::Final;
        if let Some(known) = self.payments.get_mut(&key) {
            known.is_final = is_final;
        }
        let votes = payment.votes.iter();
        if is_final && self.payments.len() >= PAYMENTS_MAX && !self.payments.contains_key(&key) {
            return;
        }
        let own = votes
            .filter(|vote| Some(vote.node) == own_seat)
            .find_map(|vote| {
                let place = place(vote.view(), vote.block_height, &vote.block_hash)?;
                Some((place, vote.doubts.unwrap_or_default()))
            });
        let Some(own) = own else {
            return self.note_stray(key, payment);
        };
        let known = self.payments.entry(key).or_insert(Known {
            address_index: payment.address_index,
            amount_sats: payment.amount_sats,
            coinbase: payment.coinbase,
            place: Place::Unchecked,
            doubts: PaymentDoubts::default(),
            said: None,
            told: None,
            said_here: false,
            is_final,
        });
        known.told = Some(own);
        if known.said_here {
            return;
        }
        known.said = Some(own);
        if matches!(own.0, Place::Block(_)) && !matches!(known.place, Place::Block(_)) {
            // An earlier run found it there; whether it still is, is verified.
            known.place = own.0;
            self.unverified = true;
        }
    }

    /// What has changed since it was last said.
    pub(super) fn unsaid(&self) -> Vec<(Key, PaymentObserve)> {
        let changed = self.payments.iter().filter(|(_, known)| {
            known.place != Place::Unchecked
                && known.said != Some(known.view())
                // Nobody needs to hear that there is nothing.
                && (known.said.is_some() || known.place != Place::Absent)
        });
        changed
            .map(|(key, known)| (*key, observation(*key, known)))
            .collect()
    }

    /// The present view of a payment is on its way.
    pub(super) fn said(&mut self, key: Key) {
        if let Some(known) = self.payments.get_mut(&key) {
            known.said = Some(known.view());
            known.said_here = true;
        }
    }

    /// The ledger has refused a view. An absence is refused where it comes before
    /// what it takes back, or before what others say: then it is said once more.
    pub(super) fn refused(&mut self, key: Key) {
        if let Some(known) = self.payments.get_mut(&key)
            && matches!(known.said, Some((Place::Absent, _)))
        {
            known.said = known.told.take();
            known.said_here = false;
        }
    }

    /// The view never reached the ledger: it must be said again.
    pub(super) fn unsay(&mut self, key: Key) {
        if let Some(known) = self.payments.get_mut(&key) {
            known.said = Some(NEVER_SAID);
        }
    }

    fn matches(&mut self, transaction: &Transaction, place: Place) {
        for output in &transaction.outputs {
            if let Some(address_index) = self.scripts.get(&output.script).copied() {
                let Transaction { txid, coinbase, .. } = *transaction;
                self.found(txid, coinbase, output, address_index, place);
            }
        }
    }

    fn found(
        &mut self,
        txid: Hash,
        coinbase: bool,
        output: &Output,
        address_index: u32,
        place: Place,
    ) {
        self.make_room();
        let known = self.payments.entry((txid, output.vout)).or_insert(Known {
            address_index,
            amount_sats: output.amount_sats,
            coinbase,
            place,
            doubts: PaymentDoubts::default(),
            said: None,
            told: None,
            said_here: false,
            is_final: false,
        });
        known.coinbase = coinbase;
        // A passing transaction says nothing against a block.
        if !(matches!(known.place, Place::Block(_)) && place == Place::Unchecked) {
            known.place = place;
        }
    }

    fn make_room(&mut self) {
        if self.payments.len() < PAYMENTS_MAX {
            return;
        }
        let rank = |known: &Known| match known.place {
            Place::Block(tip) => (!known.is_final, tip.height),
            _ => (true, u32::MAX),
        };
        let oldest = self.payments.iter().min_by_key(|(_, known)| rank(known));
        if let Some(key) = oldest.map(|(key, _)| *key) {
            self.payments.remove(&key);
        }
    }
}

fn key(outpoint: &Outpoint) -> Option<Key> {
    Some((Hash::from_slice(&outpoint.txid)?, outpoint.vout))
}

fn place(view: PaymentView, height: u32, hash: &[u8]) -> Option<Place> {
    match view {
        PaymentView::InMempool => Some(Place::Mempool),
        PaymentView::InBlock => Some(Place::Block(Tip {
            height,
            hash: Hash::from_slice(hash)?,
        })),
        PaymentView::Absent => Some(Place::Absent),
        PaymentView::Unspecified => None,
    }
}

fn observation(key: Key, known: &Known) -> PaymentObserve {
    let (view, block) = match known.place {
        Place::Mempool => (PaymentView::InMempool, None),
        Place::Block(tip) => (PaymentView::InBlock, Some(tip)),
        Place::Absent | Place::Unchecked => (PaymentView::Absent, None),
    };
    PaymentObserve {
        outpoint: Some(Outpoint {
            txid: key.0.0.to_vec(),
            vout: key.1,
        }),
        address_index: known.address_index,
        amount_sats: known.amount_sats,
        view: view.into(),
        block_height: block.map_or(0, |tip| tip.height),
        block_hash: block.map_or(Vec::new(), |tip| tip.hash.0.to_vec()),
        coinbase: known.coinbase,
        doubts: Some(known.view().1).filter(|doubts| *doubts != PaymentDoubts::default()),
    }
}

#[cfg(test)]
mod tests;
