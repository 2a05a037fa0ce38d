//! Payouts in the books.
//!
//! What is proposed is reserved at once: an expense, owed to the payout. The
//! chain's coins stay ours in the books until the payout is settled.

use dctrl_proto::v1::Payout;

use crate::books;
use crate::scope::Scope;

/// Reserves exactly `paid` and `fee` for the payout, whatever was before.
pub(crate) fn reserve(scope: &mut Scope<'_>, payout: &mut Payout, paid: u64, fee: u64, text: &str) {
    let more_paid = books::signed(paid) - books::signed(payout.reserved_sats);
    let more_fee = books::signed(fee) - books::signed(payout.reserved_fee_sats);
    let owed = books::payout(&payout.id);
    let postings = [
        (books::PAYOUTS, more_paid),
        (books::FEES, more_fee),
        (owed.as_str(), -more_paid - more_fee),
    ];
    books::post(scope, &payout.id, text, &postings);
    payout.reserved_sats = paid;
    payout.reserved_fee_sats = fee;
}

/// What was reserved has left the wallet.
pub(super) fn pay(scope: &mut Scope<'_>, payout: &Payout) {
    let sats = payout.reserved_sats + payout.reserved_fee_sats;
    let owed = books::payout(&payout.id);
    books::transfer(scope, &payout.id, "settled", &owed, books::BITCOIN, sats);
}

/// Coins that somebody has spent without the federation.
pub(super) fn lose(scope: &mut Scope<'_>, payout: &Payout, sats: u64) {
    let (debit, credit) = (books::UNEXPLAINED, books::BITCOIN);
    let text = "spent by a transaction that was not ordered";
    books::transfer(scope, &payout.id, text, debit, credit, sats);
}
