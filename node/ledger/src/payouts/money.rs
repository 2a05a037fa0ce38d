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
    let mut postings = paid_off(payout, more_paid);
    postings.push((books::FEES, more_fee));
    postings.push((owed.as_str(), -more_paid - more_fee));
    books::post(scope, &payout.id, text, &postings);
    payout.reserved_sats = paid;
    payout.reserved_fee_sats = fee;
}

/// Where `more_paid` is taken from: an expense, or what each recipient is owed,
/// which is all paid off or none of it.
fn paid_off(payout: &Payout, more_paid: i64) -> Vec<(&str, i64)> {
    if payout.accounts.is_empty() {
        return vec![(books::PAYOUTS, more_paid)];
    }
    let accounts = payout.accounts.iter().map(String::as_str);
    let amounts = payout.recipients.iter();
    let amounts = amounts.map(|one| more_paid.signum() * books::signed(one.amount_sats));
    accounts.zip(amounts).collect()
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
