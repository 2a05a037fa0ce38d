//! What the federation owes, against what it has: with `cover_liabilities` in
//! the genesis no payout may be proposed that would leave less in the chain
//! than is owed to members, guests and sharers.
//!
//! What is owed is every credit in a liability account; what members owe on
//! their tabs does not lessen it. What other payouts have reserved is gone
//! already. A payout that pays off what is owed lessens that by as much.
//!
//! Fees that are raised later are not looked at: `fee_sats_max` bounds them.

use dctrl_proto::v1::{Account, Refusal};

use super::rules::rules;
use super::source::Source;
use crate::refuse::{ensure, precond};
use crate::scope::View;
use crate::{StateRead, books, keys, tables};

/// Credits in all liability accounts: owed to people, and reserved for payouts.
fn owed(state: &dyn StateRead) -> (i64, i64) {
    let accounts = keys::account(books::LIABILITIES);
    let mut sums = (0, 0);
    for account in tables::rows::<Account>(state, &accounts) {
        let credit = (-account.balance_sats).max(0);
        if account.name.starts_with(books::RESERVED) {
            sums.1 += credit;
        } else {
            sums.0 += credit;
        }
    }
    sums
}

/// Refuses a payout that takes what is owed to others.
pub(crate) fn require_cover(
    view: &View<'_>,
    source: &Source,
    fee_sats: u64,
) -> Result<(), Refusal> {
    if !rules(view.genesis).cover_liabilities {
        return Ok(());
    }
    let (owed, reserved) = owed(view.state);
    let pays: u64 = source.recipients.iter().map(|one| one.amount_sats).sum();
    let settles = if source.is_typed() { 0 } else { pays };
    let has = tables::account(view.state, books::BITCOIN).balance_sats;
    let left = has - reserved - books::signed(pays) - books::signed(fee_sats);
    let needed = owed - books::signed(settles);
    ensure(left >= needed, || {
        let message = format!("It would leave {left} sats, and {needed} are owed to others.");
        precond("payout.liabilities", message)
    })
}
