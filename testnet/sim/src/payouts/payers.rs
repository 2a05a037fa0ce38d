//! Payers who take a payment back, when a deep reorganisation has given them
//! the chance: another transaction of theirs is mined in its place, so that a
//! coin which payouts may hold is not there any more.

use dctrl_effects::chain::Hash;
use dctrl_proto::v1::Payout;

use super::checks::{is_over, places};
use super::planted::Planted;
use super::world::World;

/// Where a payout's transaction has more confirmations the payment stays: what
/// is settled on it meanwhile is a matter for people.
const CONFIRMATIONS_MAX: u32 = 2;

impl World {
    /// A payment among the newest blocks that its payer can take back.
    pub(super) fn take_back_something(&mut self, depth: u32) -> Option<Hash> {
        let always = self.plan.planted == Some(Planted::Unwatched);
        if !always && !self.chance.chance(600) {
            return None;
        }
        let candidates = self.can_be_taken_back(depth);
        let held = |txid: &&Hash| self.is_held(txid);
        let some_held: Vec<Hash> = candidates.iter().filter(held).copied().collect();
        let among = if some_held.is_empty() {
            candidates
        } else {
            some_held
        };
        let at = self.chance.below(among.len() as u64);
        among.get(usize::try_from(at).unwrap_or(0)).copied()
    }

    /// Payments among the newest blocks that their payers can take back.
    pub(super) fn can_be_taken_back(&self, depth: u32) -> Vec<Hash> {
        let lowest = self.net.tip().height.saturating_sub(depth);
        let deposits = self.people.deposits.iter().copied();
        deposits
            .filter(|txid| self.net.height_of(txid).is_some_and(|at| at > lowest))
            .filter(|txid| self.may_be_taken_back(txid))
            .collect()
    }

    fn holders(&self, payment: &Hash) -> impl Iterator<Item = &Payout> {
        let coin = (*payment, 0);
        let all = self.known.values();
        all.filter(move |payout| {
            payout
                .versions
                .iter()
                .any(|one| places(one).any(|it| it == coin))
        })
    }

    /// Whether an open payout spends it.
    fn is_held(&self, payment: &Hash) -> bool {
        self.holders(payment).any(|payout| !is_over(payout))
    }

    /// What rests on it is not settled, and no thief's.
    fn may_be_taken_back(&self, payment: &Hash) -> bool {
        if self.holders(payment).any(|payout| payout.settled) {
            return false;
        }
        let Some(spender) = self.net.mined_spender(&(*payment, 0)) else {
            return true;
        };
        let height = self.net.height_of(&spender).unwrap_or(0);
        let shallow = self.net.tip().height.saturating_sub(height) < CONFIRMATIONS_MAX;
        shallow && !self.people.thefts.contains(&spender)
    }

    /// The miners have the payer's other transaction.
    pub(super) fn replace_payment(&mut self, payment: &Hash) {
        self.people.deposits.retain(|txid| txid != payment);
        let miners = self.net.miners();
        if let Some(instead) = self.net.take_back(payment)
            && self.net.accept(miners, instead).is_ok()
        {
            self.people.replacements.push(instead);
            self.hit("payment_taken_back");
        } else {
            self.violation(format!("{payment} cannot be taken back"));
        }
    }

    /// Counts what the ledger makes of it.
    pub(super) fn note_undone(&mut self, before: Option<&Payout>, payout: &Payout) {
        let ended = payout.settled && !before.is_some_and(|one| one.settled);
        let gone = payout
            .seen
            .as_ref()
            .is_some_and(|seen| !seen.gone.is_empty());
        if ended && gone {
            self.hit("payout_without_its_coin");
        }
        if before.is_some_and(|one| one.versions_dropped < payout.versions_dropped) {
            self.hit("version_without_its_coin");
        }
    }
}
