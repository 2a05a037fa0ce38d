//! What those beside a [`Watch`] are told: a backend that shows only what
//! concerns known scripts, and a second walk that is compared with this one.

#[cfg(test)]
use super::Seen;
use super::{super::cross::View, Place, Watch};

impl Watch {
    /// The scripts of [`Self::take_fresh`] with their addresses, which stay there.
    pub(in crate::chain) fn fresh(&self) -> Vec<(Vec<u8>, u32)> {
        let fresh = self.fresh.iter();
        fresh
            .filter_map(|script| Some((script.clone(), *self.scripts.get(script)?)))
            .collect()
    }

    /// The scripts that are watched since this was last asked.
    pub(in crate::chain) fn take_fresh(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.fresh)
    }

    /// The payments in the blocks that are kept, the oldest of which is where
    /// the walk began.
    pub(in crate::chain) fn view(&self) -> View {
        let above = self.blocks.front().map_or(0, |block| block.height);
        let found = self.payments.iter();
        let found = found.filter_map(|(key, known)| match known.place {
            Place::Block(tip) if tip.height > above => Some((*key, tip)),
            _ => None,
        });
        View {
            above,
            tip: self.tip().map_or(0, |tip| tip.height),
            found: found.collect(),
        }
    }

    /// Blocks from `height` on must be looked at again, as far as they are kept.
    pub(in crate::chain) fn rewind(&mut self, height: u32) {
        while self.blocks.len() > 1 && self.tip().is_some_and(|tip| tip.height >= height) {
            self.disconnect();
        }
    }

    /// The lowest height above which blocks were looked at again since this was
    /// last asked; whoever walks beside this one must look there as well.
    pub(in crate::chain) fn take_went_back(&mut self) -> Option<u32> {
        self.went_back.take()
    }

    /// As after more transactions than are remembered.
    #[cfg(test)]
    pub(in crate::chain) fn forget_seen(&mut self) {
        self.seen = Seen::default();
    }
}
