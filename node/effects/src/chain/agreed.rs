//! Which block of the chain the federation had agreed on at which height of its
//! own: no payment to an address is older than the address. Pure.

use std::collections::VecDeque;

use super::Tip;

/// Agreements that are remembered, the newest ones.
const AGREED_MAX: usize = 1_024;

/// The tips that the federation has agreed on.
#[derive(Debug, Default)]
pub(super) struct Agreed {
    newest: Option<Tip>,
    /// Height of the ledger and of the chain, ascending.
    tips: VecDeque<(u64, u32)>,
}

impl Agreed {
    /// From this height of the ledger on the newest block is `tip`.
    pub(super) fn take(&mut self, ledger_height: u64, tip: Option<Tip>) {
        self.newest = tip;
        let Some(tip) = tip else { return };
        // A fact may come again, from a later state.
        while self
            .tips
            .back()
            .is_some_and(|(height, _)| *height >= ledger_height)
        {
            self.tips.pop_back();
        }
        self.tips.push_back((ledger_height, tip.height));
        if self.tips.len() > AGREED_MAX {
            self.tips.pop_front();
        }
    }

    /// The newest one.
    pub(super) fn newest(&self) -> Option<Tip> {
        self.newest
    }

    /// Height of the chain's newest block when the ledger was at this height;
    /// `None` where that is not known.
    pub(super) fn at(&self, ledger_height: u64) -> Option<u32> {
        let mut tips = self.tips.iter().rev();
        let found = tips.find(|(height, _)| *height <= ledger_height)?;
        Some(found.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::Hash;

    #[test]
    fn an_agreement_holds_from_its_height_of_the_ledger_until_the_next() {
        let mut agreed = Agreed::default();
        for (ledger, chain) in [(5, 100), (9, 101), (9, 102)] {
            let hash = Hash::default();
            agreed.take(
                ledger,
                Some(Tip {
                    height: chain,
                    hash,
                }),
            );
        }
        let at = |height| agreed.at(height);
        assert_eq!(
            [at(4), at(5), at(8), at(9), at(99)],
            [None, Some(100), Some(100), Some(102), Some(102)]
        );
    }
}
