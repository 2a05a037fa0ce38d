//! The blocks in which a payout's inputs may be spent, or what made them be
//! replaced, walked once each.

use std::collections::BTreeSet;

use super::view::Place;
use crate::chain::{Block, ChainError, ChainSource, Hash, Tip};

/// Blocks that are kept; a payout that is open for longer is looked for in the
/// newest of them only.
const BLOCKS_MAX: u32 = 2_016;

/// A reorganisation this deep may put what was spent at one height below it:
/// then the spend of a payout is in a block below the one it was proposed at.
pub(super) const REORGANISED_MAX: u32 = 100;

/// A transaction that spends an input of interest, and its block.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) tip: Tip,
    pub(super) txid: Hash,
    pub(super) inputs: Vec<Place>,
}

/// The blocks that have been looked through, ascending without gaps.
#[derive(Debug, Default)]
pub(super) struct Walk {
    blocks: Vec<(Tip, Vec<Found>)>,
    /// Nothing below is of interest.
    from: Option<u32>,
}

impl Walk {
    /// Blocks above this height must be looked through, and so many below it as a
    /// reorganisation may replace: also those that were, since they were looked
    /// through for other coins.
    pub(super) fn back_to(&mut self, height: u32) {
        let lowest = height.saturating_sub(REORGANISED_MAX);
        if self.from.is_some_and(|from| from <= lowest) {
            self.blocks.retain(|(tip, _)| tip.height <= lowest);
        } else {
            self.from = Some(lowest);
            self.blocks.clear();
        }
    }

    /// Goes on to the backend's tip, and back first where the chain has left
    /// what was walked. What spends any of `wanted` is kept.
    ///
    /// # Errors
    /// The backend gives no answer; what was walked stays.
    pub(super) fn on(
        &mut self,
        adaptor: &dyn ChainSource,
        wanted: &BTreeSet<Place>,
    ) -> Result<(), ChainError> {
        let tip = adaptor.tip()?;
        while let Some((last, _)) = self.blocks.last() {
            let gone = last.height > tip.height || adaptor.hash_at(last.height)? != last.hash;
            if !gone {
                break;
            }
            self.blocks.pop();
        }
        let from = self.from.unwrap_or(tip.height);
        let oldest = from.max(tip.height.saturating_sub(BLOCKS_MAX));
        self.blocks.retain(|(one, _)| one.height > oldest);
        let next = self.blocks.last().map_or(oldest, |(last, _)| last.height);
        for height in next + 1..=tip.height {
            let hash = adaptor.hash_at(height)?;
            let block = adaptor.block(height, hash)?;
            let above = self.blocks.last().map(|(last, _)| last.hash);
            if above.is_some_and(|above| above != block.previous) {
                // The chain has changed on the way: from there, next time.
                return Ok(());
            }
            self.blocks
                .push((Tip { height, hash }, found(&block, wanted)));
        }
        Ok(())
    }

    /// All that was found, in the order of the chain.
    pub(super) fn found(&self) -> impl Iterator<Item = &Found> {
        self.blocks.iter().flat_map(|(_, found)| found)
    }
}

fn found(block: &Block, wanted: &BTreeSet<Place>) -> Vec<Found> {
    let tip = Tip {
        height: block.height,
        hash: block.hash,
    };
    let spends = block.transactions.iter().filter(|one| {
        let mut inputs = one.inputs.iter();
        inputs.any(|input| wanted.contains(input))
    });
    spends
        .map(|one| Found {
            tip,
            txid: one.txid,
            inputs: one.inputs.clone(),
        })
        .collect()
}
