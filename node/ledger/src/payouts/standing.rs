//! What the ledger knows of the addresses that a payout pays: whether they are
//! on the allow-list, and whether the federation has paid them before.
//!
//! It stands in the payout itself, so that the nodes sign it with the rest, and
//! who approves or signs on a machine without network has it proven. A payout
//! whose end is open follows the allow-list; one that is over keeps what was
//! known at its end.
//!
//! Deliberately absent: any judgement. The rules are asked when a payout is
//! proposed, and people decide what they make of the rest.

use dctrl_proto::v1::{Payout, PayoutKind, PayoutRecipient, PayoutStanding};

use super::{OPEN_MAX, is_over, keep, version_of};
use crate::scope::Scope;
use crate::{StateRead, keys, tables};

/// Writes it into a payout whose end is open.
pub(super) fn write(state: &dyn StateRead, payout: &mut Payout) {
    if !is_over(payout) {
        let recipients = payout.recipients.iter();
        payout.standings = recipients.map(|one| standing(state, one)).collect();
    }
}

fn standing(state: &dyn StateRead, recipient: &PayoutRecipient) -> PayoutStanding {
    let address = recipient.address.as_str();
    let paid = state.scan(&keys::payouts_paid_to(address), None, 1);
    PayoutStanding {
        allowed: tables::read(state, &keys::payout_allowed(address)),
        paid_before: !paid.is_empty(),
    }
}

/// A settled payout is in the chain, or is gone from it again.
pub(super) fn count(scope: &mut Scope<'_>, payout: &Payout, here: bool) {
    let settled = version_of(payout, &payout.settled_txid);
    let pays = settled.is_some_and(|version| version.kind() != PayoutKind::Cancel);
    for one in payout.recipients.iter().filter(|_| pays) {
        let key = keys::payout_paid(&one.address, &payout.id);
        if here {
            scope.put_bytes(key, &[]);
        } else {
            scope.delete(key);
        }
    }
}

/// The allow-list has changed in this address: the payouts that would pay it
/// say so, before more people sign them.
pub(crate) fn list_changed(scope: &mut Scope<'_>, address: &str, how: &str) {
    for (key, _) in scope.scan(keys::PAYOUTS_OPEN, None, OPEN_MAX) {
        let id = String::from_utf8_lossy(&key[keys::PAYOUTS_OPEN.len()..]).into_owned();
        let payout = tables::must(keep::find(scope, &id));
        if payout.recipients.iter().any(|one| one.address == address) {
            keep::save(scope, payout, &format!("{address} {how} the allow-list."));
        }
    }
}
