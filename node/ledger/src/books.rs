//! Double-entry books in satoshi.
//!
//! An entry's postings sum to 0, so all balances do. A balance is debits less
//! credits: what the federation has is positive, what it owes or has earned
//! negative.

use dctrl_proto::v1::{JournalEntry, Posting, Vend};

use crate::scope::Scope;
use crate::{keys, tables};

/// Counted, and in the chain now.
pub(crate) const BITCOIN: &str = "asset:bitcoin";
/// Counted, and waiting for a block: trusted at once, or reorganised.
pub(crate) const UNCONFIRMED: &str = "asset:unconfirmed";
/// Owed for payments that were counted and have vanished, by whom.
pub(crate) const DEBTS: &str = "asset:debt:";
/// Taken in cash, by who recorded it.
pub(crate) const CASH: &str = "asset:cash:";
/// What members have, by member; what they owe within their limit where it is
/// a debit.
pub(crate) const TABS: &str = "liability:tab:";
/// What guests have, by vend.
pub(crate) const CLAIMS: &str = "liability:claim:";
/// What is set aside for refunds, by refund.
pub(crate) const REFUNDS: &str = "liability:refund:";
/// Shares of the sales, by member.
pub(crate) const SHARES: &str = "liability:share:";
/// Reserved for payouts and their fees, by payout.
pub(crate) const RESERVED: &str = "liability:payout:";
/// All that is owed begins so.
pub(crate) const LIABILITIES: &str = "liability:";
/// Earned by dispensing.
pub(crate) const SALES: &str = "income:sales";

/// Of sales, what operators share.
pub(crate) const SHARED: &str = "expense:shares";
/// Paid out.
pub(crate) const PAYOUTS: &str = "expense:payouts";
/// Paid to miners.
pub(crate) const FEES: &str = "expense:network-fees";
/// Spent from the wallet by a transaction that nobody ordered.
pub(crate) const UNEXPLAINED: &str = "expense:unexplained";

/// Reserved for a payout and its fee.
pub(crate) fn payout(id: &str) -> String {
    format!("{RESERVED}{id}")
}

/// Received for a vend whose end is open.
pub(crate) fn vend(vend: &Vend) -> String {
    format!("liability:vend:{}", vend.id)
}

/// Held while nobody knows whether the vend dispensed.
pub(crate) fn held(vend: &Vend) -> String {
    format!("liability:held:{}", vend.id)
}

/// Set aside to be paid back on the chain.
pub(crate) fn refund(id: &str) -> String {
    format!("{REFUNDS}{id}")
}

/// A member's share of the sales, which no payout has paid yet.
pub(crate) fn share(member_id: &str) -> String {
    format!("{SHARES}{member_id}")
}

/// Satoshi as a signed amount.
pub(crate) fn signed(sats: u64) -> i64 {
    i64::try_from(sats).expect("there are fewer than 2^51 satoshi")
}

/// Debits one account and credits another. Nothing is booked for 0.
pub(crate) fn transfer(
    scope: &mut Scope<'_>,
    reference: &str,
    text: &str,
    debit: &str,
    credit: &str,
    sats: u64,
) {
    let postings = [(debit, signed(sats)), (credit, -signed(sats))];
    post(scope, reference, text, &postings);
}

/// Books an entry; postings of 0 are left out.
///
/// # Panics
/// When the postings do not sum to 0.
pub(crate) fn post(scope: &mut Scope<'_>, reference: &str, text: &str, postings: &[(&str, i64)]) {
    let sum: i64 = postings.iter().map(|(_, amount)| amount).sum();
    assert_eq!(sum, 0, "entry {text:?} for {reference} does not balance");
    let postings: Vec<Posting> = postings
        .iter()
        .filter(|(_, amount)| *amount != 0)
        .map(|(account, amount)| Posting {
            account: (*account).to_owned(),
            amount_sats: *amount,
        })
        .collect();
    if postings.is_empty() {
        return;
    }
    for posting in &postings {
        let mut account = tables::account(scope, &posting.account);
        account.balance_sats += posting.amount_sats;
        let key = keys::account(&posting.account);
        if account.balance_sats == 0 {
            scope.delete(key);
        } else {
            scope.put(key, &account);
        }
    }
    let number = scope.take_journal_number();
    let entry = JournalEntry {
        number,
        height: scope.height(),
        time_ms: scope.time_ms(),
        reference: reference.to_owned(),
        text: text.to_owned(),
        postings,
    };
    scope.put(keys::journal(number), &entry);
}
