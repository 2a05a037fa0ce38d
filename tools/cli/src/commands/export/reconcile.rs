//! Whether the lists say the same, to the satoshi.
//!
//! The balances follow from the journal. What the journal posts to the money
//! on the chain (`asset:bitcoin`, `asset:unconfirmed`) and to the money of
//! payouts (`expense:payouts`, `expense:network-fees`, `expense:unexplained`,
//! `liability:payout:…`) follows from payments and payouts, one by one; so does
//! what each payout of refunds or shares has paid off.
//!
//! All else rests on vends, tabs, refunds, cash and sales, which are not
//! exported: of those accounts only the journal tells.

use std::collections::BTreeMap;

use dctrl_proto::v1::{Account, JournalEntry, Payment, PaymentState, Payout};

/// Counted, and in the chain.
const BITCOIN: &str = "asset:bitcoin";
/// Counted, and in no block.
const UNCONFIRMED: &str = "asset:unconfirmed";
/// Paid out, where nobody was owed it.
const PAYOUTS: &str = "expense:payouts";
/// Paid to miners.
const FEES: &str = "expense:network-fees";
/// Spent by transactions that nobody ordered.
const UNEXPLAINED: &str = "expense:unexplained";
/// Reserved for a payout and its fee, by payout.
const RESERVED: &str = "liability:payout:";

/// Sums by account and by what they rest on.
type Sums = BTreeMap<(String, String), i128>;

/// Finds what does not agree, in one sentence.
pub(super) fn reconcile(
    accounts: &[Account],
    journal: &[JournalEntry],
    payments: &[Payment],
    payouts: &[Payout],
) -> Result<(), String> {
    balances(accounts, journal)?;
    let mut listed = Sums::new();
    for payment in payments {
        add_payment(&mut listed, payment);
    }
    for payout in payouts {
        add_payout(&mut listed, payout)?;
    }
    let posted = posted(journal, &listed);
    let sum = |sums: &Sums, key| sums.get(key).copied().unwrap_or_default();
    for key in listed.keys().chain(posted.keys()) {
        let (says, holds) = (sum(&listed, key), sum(&posted, key));
        if says != holds {
            let (account, reference) = key;
            return Err(format!(
                "{account} holds {holds} sats for {reference}, and the lists of payments and payouts say {says}"
            ));
        }
    }
    Ok(())
}

/// The balances follow from the journal, and sum to 0.
fn balances(accounts: &[Account], journal: &[JournalEntry]) -> Result<(), String> {
    let mut balances: BTreeMap<&str, i128> = BTreeMap::new();
    for posting in journal.iter().flat_map(|entry| &entry.postings) {
        *balances.entry(&posting.account).or_default() += i128::from(posting.amount_sats);
    }
    balances.retain(|_, sats| *sats != 0);
    let kept: BTreeMap<&str, i128> = accounts
        .iter()
        .map(|account| (account.name.as_str(), i128::from(account.balance_sats)))
        .collect();
    if balances != kept {
        return Err("the balances do not follow from the journal".to_owned());
    }
    if kept.values().sum::<i128>() != 0 {
        return Err("the balances do not sum to 0".to_owned());
    }
    Ok(())
}

/// The account in which a payment stands, as the ledger books it.
pub(super) fn account(payment: &Payment) -> &'static str {
    match payment.state() {
        _ if !payment.booked => "",
        PaymentState::Confirmed | PaymentState::Final => BITCOIN,
        PaymentState::Seen | PaymentState::Reorged => UNCONFIRMED,
        _ => "vanished",
    }
}

fn add_payment(sums: &mut Sums, payment: &Payment) {
    let account = account(payment);
    if [BITCOIN, UNCONFIRMED].contains(&account) {
        let outpoint = payment.outpoint.clone().unwrap_or_default();
        let reference = format!("{}:{}", hex::encode(&outpoint.txid), outpoint.vout);
        add(sums, account, &reference, payment.amount_sats.into());
    }
}

/// What is reserved is an expense, or pays off what was owed; it is owed to the
/// payout until that is settled, and leaves the wallet then.
fn add_payout(sums: &mut Sums, payout: &Payout) -> Result<(), String> {
    let id = &payout.id;
    let paid = i128::from(payout.reserved_sats);
    let fee = i128::from(payout.reserved_fee_sats);
    let lost = i128::from(payout.lost_sats);
    let owed = format!("{RESERVED}{id}");
    add_paid(sums, payout)?;
    add(sums, FEES, id, fee);
    add(sums, UNEXPLAINED, id, lost);
    add(sums, BITCOIN, id, -lost);
    let credited = if payout.settled { BITCOIN } else { &owed };
    add(sums, credited, id, -paid - fee);
    Ok(())
}

/// Where the recipients' money comes from: all of it is reserved, or none.
fn add_paid(sums: &mut Sums, payout: &Payout) -> Result<(), String> {
    let id = &payout.id;
    let amounts = payout.recipients.iter().map(|one| one.amount_sats);
    let all: i128 = amounts.clone().map(i128::from).sum();
    let paid = i128::from(payout.reserved_sats);
    if all != i128::from(payout.amount_sats) || (paid != 0 && paid != all) {
        return Err(format!(
            "payout {id} reserves {paid} sats of {}, and its recipients get {all}",
            payout.amount_sats
        ));
    }
    if payout.accounts.is_empty() {
        add(sums, PAYOUTS, id, paid);
        return Ok(());
    }
    if payout.accounts.len() != payout.recipients.len() {
        return Err(format!("payout {id} pays off other accounts than it pays"));
    }
    for (account, sats) in payout.accounts.iter().zip(amounts) {
        let sats = if paid == 0 { 0 } else { sats };
        add(sums, account, id, sats.into());
    }
    Ok(())
}

/// What the journal has posted to the accounts that the lists explain, and to
/// those that a payout pays off, by that payout.
fn posted(journal: &[JournalEntry], listed: &Sums) -> Sums {
    let mut sums = Sums::new();
    for entry in journal {
        for posting in &entry.postings {
            let key = (posting.account.clone(), entry.reference.clone());
            if is_explained(&posting.account) || listed.contains_key(&key) {
                *sums.entry(key).or_default() += i128::from(posting.amount_sats);
            }
        }
    }
    sums
}

/// Whether nothing but payments and payouts is posted to an account.
fn is_explained(account: &str) -> bool {
    let all = [BITCOIN, UNCONFIRMED, PAYOUTS, FEES, UNEXPLAINED];
    all.contains(&account) || account.starts_with(RESERVED)
}

fn add(sums: &mut Sums, account: &str, reference: &str, sats: i128) {
    let key = (account.to_owned(), reference.to_owned());
    *sums.entry(key).or_default() += sats;
}

#[cfg(test)]
mod tests;
