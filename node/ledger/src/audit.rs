//! Whether the books and the stock add up, and the nodes are who was approved.
//!
//! [`block`] looks at what a block has touched and stops the process when it
//! is wrong: the block is not kept then. [`full`] computes everything anew,
//! for tests and for people who doubt.

mod full;
mod money;
mod payouts;
mod rosters;

use dctrl_proto::v1::{Account, JournalEntry, Machine, NodeRoster, Payment, Slot, Vend};

pub use full::full;

use crate::scope::Scope;
use crate::{StateRead, keys, stock, tables, vends};

/// Audits what the block has touched.
///
/// # Panics
/// When something does not add up.
pub(crate) fn block(scope: &Scope<'_>) {
    let mut moved: i64 = 0;
    let mut booked: i64 = 0;
    let mut chain = money::Chain::default();
    for (key, value) in scope.overlay().changes() {
        if key.starts_with(keys::ACCOUNTS) {
            let balance = |value: Option<Vec<u8>>| {
                value.map_or(0, |value| {
                    tables::decode::<Account>(key, &value).balance_sats
                })
            };
            let now = balance(value.clone());
            let change = now - balance(scope.overlay().base().get(key));
            moved += change;
            let name = keys::parse_account(key);
            chain.account(name, change);
            money::assert_allowed(scope, name, now);
        }
        let Some(value) = value else {
            continue;
        };
        if key.starts_with(keys::JOURNAL) {
            let entry: JournalEntry = tables::decode(key, value);
            booked += entry_sum(&entry);
        } else if key.starts_with(keys::SLOTS) {
            let slot: Slot = tables::decode(key, value);
            assert!(stock::adds_up(&slot), "slot {slot:?} does not add up");
        } else if key.starts_with(keys::VENDS) {
            let vend: Vend = tables::decode(key, value);
            order_is_the_machines_only_one(scope, &vend);
        } else if key.starts_with(keys::PAYMENTS) {
            let payment: Payment = tables::decode(key, value);
            let before = scope.overlay().base().get(key);
            let before = before.map(|value| tables::decode::<Payment>(key, &value));
            chain.payment(before.as_ref(), &payment);
        } else if key.starts_with(keys::PAYOUTS) {
            let spent = |value: &[u8]| payouts::spent_by(&tables::decode(key, value));
            let before = scope.overlay().base().get(key);
            chain.spent(spent(value) - before.map_or(0, |value| spent(&value)));
        } else if key.starts_with(keys::ROSTERS) {
            let roster: NodeRoster = tables::decode(key, value);
            rosters::assert_approved(scope, &roster);
        }
    }
    assert_eq!(booked, 0, "the block's journal does not sum to 0");
    assert_eq!(moved, 0, "the block's balances do not sum to 0");
    chain.assert_follows_from_the_payments();
}

fn entry_sum(entry: &JournalEntry) -> i64 {
    let amounts = entry.postings.iter().map(|posting| posting.amount_sats);
    amounts.sum()
}

/// A machine has at most one order out: the vend it names.
fn order_is_the_machines_only_one(state: &dyn StateRead, vend: &Vend) {
    if vends::is_ordered(vend.state()) {
        let machine: Machine = tables::must(tables::machine(state, &vend.machine_id));
        assert_eq!(machine.outstanding_vend, vend.id, "a second order is out");
    }
}
