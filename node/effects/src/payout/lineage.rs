//! What made the inputs of payouts: their transactions, and what each of them
//! spends in turn.
//!
//! When a reorganisation puts another transaction of the payer in the place of
//! a deposit, nothing spends the deposit's output: it is not there any more.
//! What shows it is a block with a transaction that spends what the deposit has
//! spent. So that is looked up while the block of the deposit is still known,
//! in the chain or, as bitcoind keeps it, beside it.
//!
//! Absent: where the deposit's own inputs come from. It takes a reorganisation
//! below those to make them vanish, too.

use std::collections::{BTreeMap, BTreeSet};

use dctrl_proto::v1::{Payout, PayoutOrigin};

use super::view::Place;
use super::walk::REORGANISED_MAX;
use crate::chain::{ChainSource, Hash};

/// What each transaction that made an input spends, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Lineage {
    spends: BTreeMap<Hash, BTreeSet<Place>>,
}

impl Lineage {
    /// Looks up what is not known yet of a payout's origins; whether something
    /// was found. A backend that does not have it is asked again next time.
    pub(super) fn learn(&mut self, payout: &Payout, source: &dyn ChainSource) -> bool {
        let known = self.spends.len();
        for origin in &payout.origins {
            let Some(txid) = Hash::from_slice(&origin.txid) else {
                continue;
            };
            if self.spends.contains_key(&txid) {
                continue;
            }
            if !origin.spends.is_empty() {
                let spends = origin.spends.iter().filter_map(super::place::of);
                self.spends.insert(txid, spends.collect());
            } else if may_vanish(payout, origin) {
                self.read_block(payout, origin, source);
            }
        }
        self.spends.len() > known
    }

    /// One block may have made several of the inputs.
    fn read_block(&mut self, payout: &Payout, origin: &PayoutOrigin, source: &dyn ChainSource) {
        let Some(hash) = Hash::from_slice(&origin.block_hash) else {
            return;
        };
        let block = match source.block(origin.block_height, hash) {
            Ok(block) => block,
            Err(error) => {
                tracing::debug!(payout = payout.id, %error, "what made an input is not known");
                return;
            }
        };
        for transaction in block.transactions {
            let made = |one: &PayoutOrigin| one.txid == transaction.txid.0;
            if payout.origins.iter().any(made) {
                let spends = transaction.inputs.into_iter().collect();
                self.spends.insert(transaction.txid, spends);
            }
        }
    }

    /// Keeps what concerns these payouts.
    pub(super) fn retain<'p>(&mut self, payouts: impl Iterator<Item = &'p Payout>) {
        let of = payouts.flat_map(|payout| &payout.origins);
        let wanted: BTreeSet<&[u8]> = of.map(|origin| origin.txid.as_slice()).collect();
        self.spends.retain(|txid, _| wanted.contains(&txid.0[..]));
    }

    /// Everything that the known transactions spend.
    pub(super) fn coins(&self) -> impl Iterator<Item = Place> {
        self.spends.values().flatten().copied()
    }

    /// Which of `inputs` are not there in a chain that has this transaction:
    /// it spends what their own one spends.
    pub(super) fn gone(
        &self,
        inputs: &BTreeSet<Place>,
        txid: Hash,
        spends: &[Place],
    ) -> BTreeSet<Place> {
        let takes = |(origin, of): &(&Hash, &BTreeSet<Place>)| {
            **origin != txid && spends.iter().any(|place| of.contains(place))
        };
        let rivals = self.spends.iter().filter(takes);
        let mut undone: BTreeSet<Hash> = rivals.map(|(origin, _)| *origin).collect();
        // And what spends an output of those, as a child's parent may.
        loop {
            let mut left = self.spends.iter().filter(|one| !undone.contains(one.0));
            let next = left.find(|(_, of)| of.iter().any(|(parent, _)| undone.contains(parent)));
            let Some((origin, _)) = next else { break };
            undone.insert(*origin);
        }
        let gone = inputs.iter().filter(|(origin, _)| undone.contains(origin));
        gone.copied().collect()
    }
}

/// Whether a reorganisation could have reached it since the payout was
/// proposed, or still can.
fn may_vanish(payout: &Payout, origin: &PayoutOrigin) -> bool {
    origin.block_height.saturating_add(REORGANISED_MAX) > payout.chain_height
}
